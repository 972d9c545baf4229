"""The report as one HTML page: plain data in, text out. Knows no Spark."""
