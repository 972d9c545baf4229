"""Engines: what runs a language model. `base` is the seam, `worker` holds the one loaded engine of a process."""
