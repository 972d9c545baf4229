"""spark_prox: refine web corpora with programs written by a small language model, as a Spark job.

    import spark_prox

    spark_prox.refine(df, text="text", id="id")     # a DataFrame of refined documents, without a warehouse
    spark_prox.connect("warehouse").refined         # what a job left, and the queries of its reports

The package has two halves. The Spark half (`warehouse`, `spark`, `stages`, `sources.frames`, `report`, `pipeline`,
`doctor`) knows nothing of models; all other folders are the pure half and know nothing of Spark. `udfs` sits between
them and runs on the executors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spark_prox.notebook import connect, refine

__all__ = ["connect", "refine"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load the facade at its first use: whoever imports a module of the package pays for that module alone."""
    if name not in __all__:
        raise AttributeError(f"module 'spark_prox' has no attribute {name!r}")
    from spark_prox import notebook

    return getattr(notebook, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
