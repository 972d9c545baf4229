"""The columns of the driver's requests to the executors' file reader, and of its answers.

`udfs.ingest.ReadArchives` turns rows of `SLICE_FIELDS` into rows of `RAW_COLUMNS`. Knows no format and no Spark.
"""

from __future__ import annotations

__all__ = ["RAW_COLUMNS", "SHAPE", "SLICE_FIELDS"]

SLICE_FIELDS = "path: string, kind: string, start: bigint, stop: bigint"
"""A part of a file. `kind` is archive, lines (JSON Lines) or parquet; `stop` is null for the end."""

RAW_COLUMNS = (
    "path string, position long, record_id string, url string, text string, crawl string, crawled_at string, "
    "mime_type string, html_extract string, line_hints string, reject_code string, reject_detail string"
)
"""A record of an archive, a line of a JSON file (in `text`), or the verdict on a Parquet file."""

SHAPE = "SHAPE"
"""`reject_code` of a row that is none: `text` tells what the file's rows look like."""
