"""spark_prox: refine web corpora with programs written by a small language model, as a Spark job.

The package has two halves. The Spark half (`warehouse`, `spark`, `stages`, `sources.frames`, `report`, `pipeline`,
`doctor`) knows nothing of models; all other folders are the pure half and know nothing of Spark. `udfs` sits between
them and runs on the executors.
"""

__version__ = "0.1.0"
