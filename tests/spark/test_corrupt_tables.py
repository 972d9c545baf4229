"""Files that rot: a Parquet file of the input, a data file of `documents`; and tables that newer code has written.

Each is one line and an exit code, nothing that was stored is lost or changed, and the run goes on after the repair.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delta.tables import DeltaTable

from tests.spark.test_bad_input import refine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FILES, ROWS = 3, 40
TABLES = ("documents", "programs", "refined", "rejects")


def write_source(folder: Path) -> Path:
    """A folder of Parquet files."""
    folder.mkdir()
    for number in range(FILES):
        ids = [f"d{n}" for n in range(number * ROWS, (number + 1) * ROWS)]
        rows = pa.table({"id": ids, "text": [page(doc_id) for doc_id in ids]})
        pq.write_table(rows, folder / f"part-{number}.parquet", compression="none")
    return folder


def page(doc_id: str) -> str:
    return "\n".join(f"line {n} of {doc_id} " + "with words of its own " * 3 for n in range(6))


def arguments(source: Path, warehouse: Path, *, removed: int = 0) -> list[str]:
    """A run of the chunk stage; `removed` is the line that its model takes out of every document."""
    settings = (
        "model.engine=scripted",
        f"model.script=remove_lines(start={removed}, end={removed})",
        "chunk.template=prox-chunk",
        "doc.enabled=false",
    )
    return [
        *("--input", str(source), "--input-format", "parquet", "--id-column", "id", "--warehouse", str(warehouse)),
        *(word for setting in settings for word in ("--set", setting)),
    ]


@pytest.fixture(scope="module")
def refined(spark: SparkSession, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A source and a warehouse that is up to date with it."""
    folder = tmp_path_factory.mktemp("corrupt")
    source = write_source(folder / "in")
    assert refine(repository, arguments(source, folder / "w")) == 0
    return source, folder / "w"


def rows(spark: SparkSession, warehouse: Path, table: str, *columns: str) -> list[tuple[object, ...]]:
    frame = spark.read.format("delta").load(str(warehouse / table))
    return sorted(tuple(row) for row in frame.select(*columns).collect())


def versions(spark: SparkSession, warehouse: Path) -> list[int]:
    tables = (DeltaTable.forPath(spark, str(warehouse / table)) for table in TABLES)
    return [int(table.history(1).collect()[0]["version"]) for table in tables]


def spoil(file: Path, how: str) -> bytes:
    """Damage a file; gives what it was."""
    content = file.read_bytes()
    start = len(content) // 3
    damaged = {"cut": content[: len(content) // 2], "flipped": content[:start] + bytes(64) + content[start + 64 :]}
    file.write_bytes(damaged[how])
    # Hadoop's own checksum would find the damage first; most file systems have none.
    (file.parent / f".{file.name}.crc").unlink(missing_ok=True)
    return content


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("[SPARK_PROX."))
    return line


def test_a_cut_input_file_is_one_reject_and_its_documents_come_after_the_repair(
    spark: SparkSession, repository: Path, tmp_path: Path
) -> None:
    source, warehouse = write_source(tmp_path / "in"), tmp_path / "w"
    file = source / "part-1.parquet"
    content = spoil(file, "cut")
    assert refine(repository, arguments(source, warehouse)) == 0
    assert rows(spark, warehouse, "rejects", "code", "path") == [("FILE_UNREADABLE", str(file))]
    assert len(rows(spark, warehouse, "refined", "doc_id")) == (FILES - 1) * ROWS
    assert refine(repository, arguments(source, warehouse)) == 0
    assert rows(spark, warehouse, "rejects", "code", "path") == [("FILE_UNREADABLE", str(file))]
    file.write_bytes(content)
    assert refine(repository, arguments(source, warehouse)) == 0
    assert rows(spark, warehouse, "rejects", "code", "path") == []
    counts = Counter(rows(spark, warehouse, "refined", "doc_id"))
    assert len(counts) == FILES * ROWS
    assert set(counts.values()) == {1}


def test_tables_of_newer_code_are_left_alone(
    spark: SparkSession, repository: Path, refined: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, warehouse = refined
    name = "spark_prox.schema_version"
    (now,) = (
        row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES delta.`{warehouse}/programs` ('{name}')").collect()
    )
    spark.sql(f"ALTER TABLE delta.`{warehouse}/programs` SET TBLPROPERTIES ('{name}' = '999')")
    before = versions(spark, warehouse)
    capsys.readouterr()
    assert refine(repository, arguments(source, warehouse, removed=1)) == 2
    line = complaint(capsys)
    assert "programs" in line
    assert "999" in line
    assert versions(spark, warehouse) == before
    spark.sql(f"ALTER TABLE delta.`{warehouse}/programs` SET TBLPROPERTIES ('{name}' = '{now}')")


def test_a_broken_file_of_documents_stops_the_run_and_nothing_is_lost(
    spark: SparkSession, repository: Path, refined: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, warehouse = refined
    before = versions(spark, warehouse)
    stored = rows(spark, warehouse, "refined", "doc_id", "text", "outcome")
    file = max(warehouse.glob("documents/*.parquet"), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    for how in ("cut", "flipped"):
        spoil(file, how)
        capsys.readouterr()
        # Another model: every text has to be read.
        assert refine(repository, arguments(source, warehouse, removed=1)) == 2
        line = complaint(capsys)
        assert line.startswith("[SPARK_PROX.TABLE_FILE_UNREADABLE]")
        assert file.name in line, how
        assert versions(spark, warehouse) == before, how
        assert rows(spark, warehouse, "refined", "doc_id", "text", "outcome") == stored, how
        file.write_bytes(content)
    assert refine(repository, arguments(source, warehouse, removed=1)) == 0
    after = rows(spark, warehouse, "refined", "doc_id", "text")
    assert [row[0] for row in after] == [row[0] for row in stored]
    assert all(str(text).startswith("line 0") and "line 1" not in str(text) for _, text in after)
