"""Input to rows: one row for each document and for each thing that should have been one.

The columns are `doc_id, url, text, source, crawl, path, position`, the user's own, `reject_code, reject_detail`; a
row is a document where `reject_code` is null. Knows nothing of tables and of what runs on executors: the file reader
is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError
from spark_prox.sources.frames.core_columns import with_core_columns
from spark_prox.sources.frames.folder_columns import with_folder_columns
from spark_prox.sources.frames.identity import resolve_duplicates
from spark_prox.sources.frames.parquet import read_parquet
from spark_prox.sources.frames.places import flat_columns
from spark_prox.sources.frames.raw import RawFrame, read_archives, read_delta, read_json
from spark_prox.sources.layouts import Layout, find_layout

__all__ = ["read_input"]

ARCHIVE_LAYOUT = Layout(
    text=("text",), doc_id="record_id", id_is_explicit=False, url=("url",), crawl=("crawl",), source=None
)


def read_input(spark: SparkSession, spec: InputSpec, *, archive_reader: Callable[..., Any]) -> DataFrame:
    """Rows of any input. Bad data never raises here nor when the rows are used; a bad request raises here.

    Args:
        spark: the session.
        spec: what to read.
        archive_reader: `udfs.ingest.ReadArchives`, which reads files on the executors.

    Returns:
        A lazy frame. What archives and JSON files give is kept on the executors' disks until
        `spark.catalog.clearCache()` or the end of the session.

    Raises:
        InputError: INPUT_NOT_FOUND, WRONG_FORMAT, MISSING_COLUMN, BAD_COLUMN, SCHEMA_CONFLICT.
    """
    raw = _read(spark, spec, archive_reader)
    raw = replace(raw, rows=with_folder_columns(raw.rows, raw.folders))
    layout = _layout(spec, raw)
    if layout is None:
        layout = Layout(text=("text",), doc_id=None, id_is_explicit=False, url=(), crawl=(), source=None)
        raw = RawFrame(rows=raw.rows.selectExpr("CAST(NULL AS STRING) AS text", "*"), has_positions=raw.has_positions)
    rows = with_core_columns(raw.rows, spec, layout, spellings=raw.spellings, together=raw.together)
    return resolve_duplicates(rows, id_is_explicit=layout.id_is_explicit, has_positions=raw.has_positions)


def _read(spark: SparkSession, spec: InputSpec, archive_reader: Callable[..., Any]) -> RawFrame:
    if spec.is_archive:
        if spec.id_column is not None or spec.text_column != "text":
            raise InputError(
                "MISSING_COLUMN",
                f"{spec.format} files have no columns to name.",
                "Leave --id-column and --text-column out.",
            )
        return read_archives(spark, spec, archive_reader)
    if spec.format == "jsonl":
        return read_json(spark, spec, archive_reader)
    return read_parquet(spark, spec, archive_reader) if spec.format == "parquet" else read_delta(spark, spec)


def _layout(spec: InputSpec, raw: RawFrame) -> Layout | None:
    """None where no row could be read, so that there are only rejects."""
    if spec.is_archive:
        return ARCHIVE_LAYOUT
    columns = flat_columns(raw.rows.schema)
    return find_layout(spec, columns, mixed=raw.mixed, spellings=raw.spellings) if columns else None
