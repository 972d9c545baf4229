"""Input to Spark rows: the Spark half of `spark_prox.sources`."""

from spark_prox.sources.frames.read import read_input

__all__ = ["read_input"]
