"""Inputs that were found by trying the product, read and stored by Spark: schemas and tables are Spark's doing.

All JSON inputs that stand alone are read in one job, through folders that a glob names; so are those of Parquet.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError
from spark_prox.jobkit import run
from spark_prox.sources.frames import read_input
from spark_prox.warehouse.tables import Warehouse
from udfs.ingest import ReadArchives

Reader = Callable[..., DataFrame]
Ingest = Callable[..., int]
TEXT = "The river rose two metres and the bridge was closed."


@pytest.fixture(scope="session")
def faults(repository: Path) -> Path:
    folder = repository.parent / "shared" / "faults"
    if not folder.is_dir():
        pytest.skip("../shared/faults is not there: found inputs are not part of the repository")
    return folder


@pytest.fixture
def read(spark: SparkSession) -> Reader:
    def read_any(path: object, format_name: str = "jsonl", **more: Any) -> DataFrame:
        spec = InputSpec(path=str(path), format=format_name, **more)
        return read_input(spark, spec, archive_reader=ReadArchives(spec=spec))

    return read_any


@pytest.fixture
def ingest(repository: Path) -> Ingest:
    """The job itself; returns its exit code."""
    spec = importlib.util.spec_from_file_location("ingest_job", repository / "jobs" / "ingest.py")
    assert spec is not None
    assert spec.loader is not None
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)

    def run_job(path: Path, warehouse: Path, *more: str) -> int:
        return run(job.PARSER, job.ingest, ["--input", str(path), "--warehouse", str(warehouse), *more])

    return run_job


def by_folder(rows: DataFrame) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    for row in rows.collect():
        found.setdefault(Path(row.path).parent.name, {})[row.doc_id.partition("#")[0]] = row
    return found


def test_json_lines_of_all_faults_in_one_read(read: Reader, faults: Path) -> None:
    rows = by_folder(read(f"{faults}/F{{01,02,08,09,23}}/*/a.jsonl*"))
    assert set(rows["case_TEXT_one_of_many"]) == {"a", "b0", "b1", "b2", "b3", "b4"}
    assert {row.text for row in rows["case_TEXT_one_of_many"].values()} == {TEXT}
    assert rows["case_text_same"]["a"].text == TEXT
    assert "Title of it" in rows["case_text_same"]["a"].asDict().values()
    assert set(rows["case_id"]) == {"a", "b", "c"}
    assert [rows["case_url"][key].url for key in "ab"] == ["http://a/", "http://b/"]
    assert [rows["dupkeys"][key].text for key in "ab"] == ["second value", TEXT]
    assert set(rows["dup_id"]) == {"a", "b", "c"}
    assert [rows["dup_user"][key].score for key in "abc"] == [2, 3, 4]
    assert [rows["dup_meta"][key].url for key in "ab"] == ["http://2/", "http://b/"]
    for name in ("deep250", "deep400", "deepl500"):
        assert {row.reject_code for row in rows[name].values()} == {None, "BAD_ROW"}
    assert set(rows["floatid"]) == {"9007199254740993", "9007199254740992", "0.5"}
    assert set(rows["oneflt"]) == {"1", "2", "100000001", "3.5"}
    assert set(rows["idsB"]) == {"1", "2", "2.5"}
    for name in ("zstlong", "zstskip", "zstnosuffix", "bz2nosuffix"):
        assert len(rows[name]) == 2


def test_parquet_of_all_faults_is_read_or_named(read: Reader, faults: Path) -> None:
    together = (
        (f"{faults}/F{{04,20}}/*/*,{faults}/F21/e_i*,{faults}/F21/pq_int3264", 16),
        (f"{faults}/F21/pq_nullstr,{faults}/F21/pq_structnull", 8),
        (f"{faults}/F05/{{pq_ns,pq_t_dec256,pq_t_time,pq_t_uuid}}/*", 8),
        (f"{faults}/F05/{{pq_nstz,pq_t_f16}}/*", 4),
    )
    for path, count in together:
        rows = read(path, "parquet").collect()
        assert (len(rows), {row.reject_code for row in rows}) == (count, {None})


def test_files_of_other_types_are_an_error_that_names_column_types_and_file(read: Reader, tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2), ("c", "x")):
        pq.write_table(pa.table({"text": ["t"], "m": [{"n": value}]}), tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match=r"SCHEMA_CONFLICT.*'m\.n' is long in most files and string in '.*c\.parquet'"):
        read(tmp_path, "parquet")


def test_folders_name_string_columns_in_every_format_and_through_globs(read: Reader, tmp_path: Path) -> None:
    for month, lang in (("01", "en"), ("02", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / f"month={month}" / f"lang%20x={lang}"
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_text(json.dumps({"id": month, "text": TEXT}))
        pq.write_table(pa.table({"id": [month], "text": [TEXT], "n": [1]}), folder / "a.parquet")
    wanted = {"01": ("01", "en"), "02": ("02", None)}
    for path, format_name in (
        (f"{tmp_path}/*/*/*.jsonl", "jsonl"),
        (f"{tmp_path}/*/*/*.parquet", "parquet"),
        (f"{tmp_path}/month=0[12]/*/a.parquet", "parquet"),
    ):
        rows = read(path, format_name).collect()
        assert {row.doc_id: (row.month, row["lang x"]) for row in rows} == wanted


@pytest.mark.slow
def test_integers_of_two_widths_and_null_columns_go_into_one_warehouse_one_by_one(
    spark: SparkSession, ingest: Ingest, tmp_path: Path
) -> None:
    """Four runs over one table: only Delta says whether their columns go together."""
    tables = {
        "a": {"n": pa.array([1], pa.int32()), "m": pa.array([None], pa.null())},
        "b": {"n": pa.array([1 << 40], pa.int64()), "m": pa.array(["x"])},
        "c": {"n": pa.array([3], pa.int16()), "m": pa.array([None], pa.null()), "new": pa.array([None], pa.null())},
        "d": {"n": pa.array([None], pa.null())},
    }
    for name, columns in tables.items():
        pq.write_table(pa.table({"id": [name], "text": [TEXT], **columns}), tmp_path / f"{name}.parquet")
        assert ingest(tmp_path / f"{name}.parquet", tmp_path / "out", "--input-format", "parquet") == 0
    stored = {row.doc_id: (row.n, row.m) for row in Warehouse(spark, str(tmp_path / "out")).read("documents").collect()}
    assert stored == {"a": (1, None), "b": (1 << 40, "x"), "c": (3, None), "d": (None, None)}


def test_ids_of_a_second_run_are_those_of_the_first(
    spark: SparkSession, ingest: Ingest, faults: Path, tmp_path: Path
) -> None:
    for name in ("idsA", "idsB"):
        assert ingest(faults / "F09" / name, tmp_path / "out") == 0
    documents = Warehouse(spark, str(tmp_path / "out")).read("documents")
    assert sorted(row.doc_id for row in documents.select("doc_id").collect()) == ["1", "2", "2.5"]


def test_an_id_that_pandas_made_a_float_is_the_integer_that_it_was(read: Reader, tmp_path: Path) -> None:
    ids = pa.array([1.0, 20240101000000.0, 2.5, None], pa.float64())
    pq.write_table(pa.table({"id": ids, "text": ["a", "b", "c", "d"]}), tmp_path / "a.parquet")
    rows = read(tmp_path, "parquet").collect()
    assert {row.doc_id for row in rows if row.text != "d"} == {"1", "20240101000000", "2.5"}


def test_keys_of_their_own_in_every_line_do_not_become_columns(read: Reader, tmp_path: Path) -> None:
    lines = [{"id": f"d{n}", "text": TEXT, "meta": {f"k{n}": n}, f"own{n}": [n], "c": 1} for n in range(1000)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    rows = read(tmp_path)
    assert {name: kind for name, kind in rows.dtypes if name in ("meta", "other_keys", "c")} == {
        "meta": "string", "other_keys": "map<string,string>", "c": "bigint",
    }  # fmt: skip
    assert len(rows.columns) < 20
    found = {row.doc_id: row for row in rows.collect()}
    assert json.loads(found["d7"].meta) == {"k7": 7}
    assert found["d7"].other_keys == {"own7": "[7]"}
