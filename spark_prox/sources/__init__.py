"""Between raw input and rows: archives, JSON Lines, Parquet and Delta; only `frames` knows Spark."""
