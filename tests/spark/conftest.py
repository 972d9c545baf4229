"""One local Spark session with Delta for the whole tier, and one finished run that its tests copy and go on from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.quick_spark import QUICK_JVM, QUICK_SESSION

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

WORDS = " ".join(f"word{n}" for n in range(20))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is of the Spark tier."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.spark)
            # PySpark leaves the sockets of collect() to the garbage collector.
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session. Two cores: a lease test writes while another write waits, and two Python workers differ."""
    from spark_prox.spark.session import build_session
    from tests.spark.runs import ARROW_ROWS

    warehouse = tmp_path_factory.mktemp("spark-warehouse")
    session = build_session(
        "spark_prox tests",
        arrow_batch_rows=ARROW_ROWS,
        extra={
            **QUICK_SESSION,
            "spark.driver.memory": "2g",  # one JVM for the whole tier
            "spark.buffer.pageSize": "2m",  # by default 64 MB for the smallest sort
            "spark.master": "local[2]",
            "spark.default.parallelism": "1",  # a task for a few rows is enough
            "spark.sql.warehouse.dir": str(warehouse),  # nothing in the checkout
            "spark.driver.extraJavaOptions": f"{QUICK_JVM} -Dderby.system.home={warehouse}",
        },
    )
    yield session
    session.stop()


@dataclass(frozen=True)
class Finished:
    """A run that is done. Tests read it; one that writes copies it first."""

    source: Path
    warehouse: Path
    run_id: str
    refined: dict[str, Row]

    def copy(self, folder: Path) -> tuple[Path, Path]:
        """A warehouse of one's own, and the source: what `runs.pipeline` takes."""
        shutil.copytree(self.warehouse, folder / "w", ignore=shutil.ignore_patterns("_lease"))
        return folder / "w", self.source


@pytest.fixture(scope="session")
def finished(spark: SparkSession, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Thirty documents refined, one that no model can see, and four lines that are no document."""
    from tests.spark import runs

    folder = tmp_path_factory.mktemp("finished")
    source = write_source(folder)
    pipe = runs.pipeline(folder / "w", source, *runs.scripted(tiny_llama), id_column="id")
    return Finished(source=source, warehouse=folder / "w", run_id=pipe.log.run_id, refined=runs.refine(pipe))


def write_source(folder: Path) -> Path:
    """The input of `finished`."""
    from tests.spark import runs

    rows: list[dict[str, object] | str] = [
        {"id": f"d{n}", "url": f"https://h{n % 3}.example/{n}", "text": page(n), "n": n} for n in range(30)
    ]
    rows += [{"id": "null", "text": None, "n": 1}, {"id": "blank", "text": " \n ", "n": 1}, {"id": "d3", "text": "x y"}]
    rows += [{"id": "long", "text": f"{WORDS} " * 400, "n": 1}, "{broken"]
    return runs.write_lines(folder / "pages.jsonl", rows)


def page(n: int) -> str:
    """A page with a header line, lines of text and a footer: of two chunks for the first four numbers, else of one."""
    lines = 16 if n < 4 else 4
    return f"Home | About | Contact {n}\n" + "\n".join(f"{WORDS} {n} line {i}" for i in range(lines)) + "\nCopyright"
