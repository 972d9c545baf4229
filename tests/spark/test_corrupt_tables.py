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

from tests.spark.conftest import Finished
from tests.spark.runs import NO_HEADER, run_job, scripted

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


def words(*settings: str) -> list[str]:
    """Settings on a command line."""
    return [word for setting in settings for word in ("--set", setting)]


def parquet(source: Path, warehouse: Path) -> list[str]:
    """The command line of a run of the chunk stage over Parquet files."""
    script = ("model.engine=scripted", NO_HEADER, "chunk.template=prox-chunk", "doc.enabled=false")
    given = ("--input", str(source), "--input-format", "parquet", "--id-column", "id", "--warehouse", str(warehouse))
    return [*given, *words(*script)]


@pytest.fixture
def other_model(tiny_llama: Path, finished: Finished, tmp_path: Path) -> list[str]:
    """The command line of a run over a finished warehouse whose model takes out another line: it reads every text."""
    warehouse, source = finished.copy(tmp_path)
    given = ("--input", str(source), "--input-format", "jsonl", "--id-column", "id", "--warehouse", str(warehouse))
    return [*given, *words(*scripted(tiny_llama, "model.script=remove_lines(start=1, end=1)"))]


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
    spark: SparkSession, tmp_path: Path
) -> None:
    source, warehouse = write_source(tmp_path / "in"), tmp_path / "w"
    file = source / "part-1.parquet"
    content = spoil(file, "cut")
    for _ in range(2):
        assert run_job("ingest", *parquet(source, warehouse)) == 0
        assert rows(spark, warehouse, "rejects", "code", "path") == [("FILE_UNREADABLE", str(file))]
        assert len(rows(spark, warehouse, "documents", "doc_id")) == (FILES - 1) * ROWS
    file.write_bytes(content)
    assert run_job("ingest", *parquet(source, warehouse)) == 0
    assert rows(spark, warehouse, "rejects", "code", "path") == []
    counts = Counter(rows(spark, warehouse, "documents", "doc_id"))
    assert len(counts) == FILES * ROWS
    assert set(counts.values()) == {1}


def test_tables_of_newer_code_are_left_alone(
    spark: SparkSession, other_model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = tmp_path / "w"
    name = "spark_prox.schema_version"
    spark.sql(f"ALTER TABLE delta.`{warehouse}/programs` SET TBLPROPERTIES ('{name}' = '999')")
    before = versions(spark, warehouse)
    capsys.readouterr()
    assert run_job("refine", *other_model) == 2
    line = complaint(capsys)
    assert "programs" in line
    assert "999" in line
    assert versions(spark, warehouse) == before


@pytest.mark.slow
def test_a_broken_file_of_documents_stops_the_run_and_nothing_is_lost(
    spark: SparkSession, other_model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = tmp_path / "w"
    before = versions(spark, warehouse)
    stored = rows(spark, warehouse, "refined", "doc_id", "text", "outcome")
    file = max(warehouse.glob("documents/*.parquet"), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    for how in ("cut", "flipped"):
        spoil(file, how)
        capsys.readouterr()
        assert run_job("refine", *other_model) == 2
        line = complaint(capsys)
        assert line.startswith("[SPARK_PROX.TABLE_FILE_UNREADABLE]")
        assert file.name in line, how
        assert versions(spark, warehouse) == before, how
        assert rows(spark, warehouse, "refined", "doc_id", "text", "outcome") == stored, how
        file.write_bytes(content)
    assert run_job("refine", *other_model) == 0
    after = rows(spark, warehouse, "refined", "doc_id", "text")
    assert [row[0] for row in after] == [row[0] for row in stored]
    assert all(str(text).startswith("Home |") and "line 0" not in str(text) for _, text in after)
