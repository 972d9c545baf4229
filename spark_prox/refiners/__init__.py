"""Refiners: making them, measuring them, and the small one that ships with the project (`embedded/`)."""
