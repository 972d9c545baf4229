"""Input to rows: one row for each document and for each thing that should have been one.

The columns are `doc_id, url, text, source, crawl, path, position, html_extract`, the user's own, `reject_code,
reject_detail`; a row is a document where `reject_code` is null. Knows nothing of tables and of what runs on executors:
the file reader is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError
from spark_prox.functions import FileReader
from spark_prox.sources.formats import FORMATS
from spark_prox.sources.frames.core_columns import with_core_columns
from spark_prox.sources.frames.files import InputFile
from spark_prox.sources.frames.folder_columns import with_folder_columns
from spark_prox.sources.frames.identity import resolve_duplicates
from spark_prox.sources.frames.places import flat_columns
from spark_prox.sources.frames.raw import RawFrame
from spark_prox.sources.layouts import Layout, find_layout

__all__ = ["read_input"]

ARCHIVE_LAYOUT = Layout(
    text=("text",), doc_id="record_id", id_is_explicit=False, url=("url",), crawl=("crawl",), source=None
)


class FrameReader(Protocol):
    """The function that the module of an input format offers."""

    def __call__(self, spark: SparkSession, spec: InputSpec, reader: FileReader) -> RawFrame:
        """Lazy rows of the input.

        Args:
            reader: reads files on the executors, see `Functions.read_archives`.

        Raises:
            InputError: the input is not there or is something else.
        """
        ...


def read_input(
    spark: SparkSession,
    spec: InputSpec,
    *,
    archive_reader: FileReader,
    listed: Callable[[Sequence[InputFile]], object] | None = None,
) -> DataFrame:
    """Rows of any input. Bad data never raises here nor when the rows are used; a bad request raises here.

    Args:
        spark: the session.
        spec: what to read.
        archive_reader: `udfs.ingest.ReadArchives`, which reads files on the executors.
        listed: is told which files there are; none for a table.

    Returns:
        A lazy frame. What archives and JSON files give is kept on the executors' disks until
        `spark.catalog.clearCache()` or the end of the session.

    Raises:
        InputError: INPUT_NOT_FOUND, WRONG_FORMAT, MISSING_COLUMN, BAD_COLUMN, SCHEMA_CONFLICT.
    """
    raw = _read(spark, spec, archive_reader)
    if listed is not None:
        listed(raw.files)
    raw = replace(raw, rows=with_folder_columns(raw.rows, raw.folders))
    layout = _layout(spec, raw)
    if layout is None:
        layout = Layout(text=("text",), doc_id=None, id_is_explicit=False, url=(), crawl=(), source=None)
        raw = RawFrame(rows=raw.rows.selectExpr("CAST(NULL AS STRING) AS text", "*"), has_positions=raw.has_positions)
    rows = with_core_columns(raw.rows, spec, layout, spellings=raw.spellings, together=raw.together)
    return resolve_duplicates(rows, id_is_explicit=layout.id_is_explicit, has_positions=raw.has_positions)


def _read(spark: SparkSession, spec: InputSpec, archive_reader: FileReader) -> RawFrame:
    found = FORMATS[spec.format]
    if not found.has_columns and (spec.id_column is not None or spec.text_column != "text"):
        raise InputError(
            "MISSING_COLUMN",
            f"{spec.format} files have no columns to name.",
            "Leave --id-column and --text-column out.",
        )
    read: FrameReader = getattr(import_module(found.module), found.function)
    return read(spark, spec, archive_reader)


def _layout(spec: InputSpec, raw: RawFrame) -> Layout | None:
    """None where no row could be read, so that there are only rejects."""
    if spec.is_archive:
        return ARCHIVE_LAYOUT
    columns = flat_columns(raw.rows.schema)
    return find_layout(spec, columns, mixed=raw.mixed, spellings=raw.spellings) if columns else None
