"""One input, one served model and one undisturbed run for all faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

from tests.cluster.conftest import ClusterSession
from tests.cluster.faults.documents import write_documents
from tests.cluster.faults.rounds import Arena, Undisturbed
from tests.cluster.faults.served import ServedModel, served_model
from tests.cluster.standalone import StandaloneCluster

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModel]:
    """A model that is asked over HTTP and counts."""
    with served_model(tmp_path_factory.mktemp("served"), delay_s=0.02) as model:
        yield model


@pytest.fixture(scope="package")
def arena(
    cluster: StandaloneCluster,
    cluster_session: ClusterSession,
    served: ServedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Arena:
    """Runs of sixty documents, and some lines that are none, in two batches."""

    def session() -> AbstractContextManager[SparkSession]:
        return cluster_session({"spark.master": "local[1]"}, ship=False)

    folder = tmp_path_factory.mktemp("faults")
    lines = write_documents(folder / "input", count=60, seed=1)
    return Arena(
        cluster=cluster,
        folder=folder,
        source=folder / "input",
        lines=lines,
        settings=(*served.settings, "placement.batch_documents=30", "placement.partitions=2"),
        served=served,
        session=session,
    )


@pytest.fixture(scope="package")
def undisturbed(arena: Arena) -> Undisturbed:
    """What every disturbed run has to come to."""
    return arena.undisturbed()
