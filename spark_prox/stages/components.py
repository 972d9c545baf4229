"""Connected components of a graph of edges in a DataFrame, without the edges ever being in one place.

By alternating large-star and small-star operations (Kiveris et al., Connected Components in MapReduce, SoCC 2014):
each links the neighbours of a node to the smallest of them, until every component is a star around its smallest node.
Each round is stored, so that plans stay short. Knows no document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_prox.spark.counting import observed
from spark_prox.spark.progress import announce
from spark_prox.warehouse.tables import Warehouse

__all__ = ["components"]

_SUMS = {"edges": "count(*)", "sum": "bit_xor(xxhash64(node, root))"}


@contextmanager
def components(
    warehouse: Warehouse, edges: DataFrame, *, rounds: int, progress: Callable[[int], AbstractContextManager[object]]
) -> Iterator[DataFrame]:
    """(node, root): of every node with a smaller one in its component, the smallest node of the component.

    Args:
        edges: (node, root) of long: root smaller than node.
        rounds: most rounds; components that are not whole by then stay in parts, and a line says so.
        progress: entered around each round, by its number.

    Yields:
        Stored rows, which are deleted at the end.
    """
    before: tuple[int, int | None] | None = None
    with ExitStack() as kept:
        current = edges
        for number in range(1, rounds + 1):
            watched, counted = observed(_small_star(_large_star(current)), _SUMS)
            stored = warehouse.staged(watched, "components", progress(number))
            current = stored.__enter__()
            kept.pop_all().close()
            kept.push(stored)
            found = counted.get["edges"], counted.get["sum"]
            if found == before or not found[0]:
                break
            before = found
        else:
            announce(f"Components are not whole after {rounds} rounds; some duplicates stay.")
        yield current.groupBy("node").agg(F.min("root").alias("root"))


def _large_star(edges: DataFrame) -> DataFrame:
    """Each node links its larger neighbours to the smallest of itself and its neighbours."""
    both = edges.unionByName(edges.select(F.col("root").alias("node"), F.col("node").alias("root")))
    smallest = both.groupBy("node").agg(F.least(F.min("root"), F.col("node")).alias("smallest"))
    larger = both.where("root > node").join(smallest, "node")
    return larger.select(F.col("root").alias("node"), F.col("smallest").alias("root")).distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Each node links itself and its smaller neighbours to the smallest of them."""
    smallest = edges.groupBy("node").agg(F.min("root").alias("smallest"))
    linked = edges.join(smallest, "node").where("root > smallest")
    others = linked.select(F.col("root").alias("node"), F.col("smallest").alias("root"))
    return others.unionByName(smallest.select("node", F.col("smallest").alias("root"))).distinct()
