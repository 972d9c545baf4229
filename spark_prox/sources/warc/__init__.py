"""Read web archives: WARC, WET and ARC files, their records and the HTTP messages inside."""
