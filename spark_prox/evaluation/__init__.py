"""Compare writers of programs with labels: metrics, intervals, thresholds."""
