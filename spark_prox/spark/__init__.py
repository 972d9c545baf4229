"""Spark itself: the session, shipped code, placement of tasks, progress, failures, SQL functions."""
