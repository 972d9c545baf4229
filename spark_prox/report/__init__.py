"""What a person reads at the end of a run. Returns strings; prints nothing."""
