"""Reports for people at the end of a run. Returns strings; prints nothing."""
