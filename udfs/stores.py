"""Takes over, on an executor, how the driver reaches object stores: before the first model is fetched."""

from __future__ import annotations

import json

from pyspark import TaskContext

from spark_prox.model_store import STORES_PROPERTY, use_stores
from spark_prox.sources.object_store import ObjectStores

__all__ = ["adopt_stores"]


def adopt_stores() -> None:
    """Use the settings that came with this task, if any came."""
    context = TaskContext.get()
    given = context.getLocalProperty(STORES_PROPERTY) if context is not None else None
    if given:
        settings, hadoop = json.loads(given)
        use_stores(ObjectStores.of(dict(settings), dict(hadoop)))
