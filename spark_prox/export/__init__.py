"""Training data out of a warehouse: formats, order and split, shards, manifest and card. Knows no Spark."""
