"""spark_prox: refine web corpora with programs written by a small language model, as a Spark job.

The package has two halves. The pure half (`errors`, `documents`, `chunking`, `config`, `programs`, `engines`,
`refiners`) knows nothing of Spark; the Spark half (`session`, `schemas`, `tables`, `stages`) knows nothing of models.
`udfs` sits between them and runs on the executors.
"""

__version__ = "0.1.0"
