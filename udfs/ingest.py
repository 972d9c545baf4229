"""The ingest stage on an executor: file names in, records, lines or verdicts out.

Files are read forward in small pieces, so memory is bounded by one record, not by the file. Knows pandas and pyarrow;
the work is in `spark_prox.sources`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from typing import Any, BinaryIO, ClassVar

import pandas as pd
import pyarrow as pa

from spark_prox.config.input import InputSpec
from spark_prox.errors import RejectCode
from spark_prox.sources.arrow_rows import cast_batch
from spark_prox.sources.contained import ContainedPageText
from spark_prox.sources.json_lines import read_json_lines
from spark_prox.sources.json_shape import Shape
from spark_prox.sources.object_store import ObjectStores, store_error
from spark_prox.sources.opening import open_file, open_table
from spark_prox.sources.parquet_shape import FileShape, UnreadableColumnError, shape_of_file
from spark_prox.sources.readers import RAW_COLUMNS, SHAPE
from spark_prox.sources.unpacking import is_packed
from spark_prox.sources.warc.archive import read_archive

__all__ = ["ReadArchives", "ReadTables"]

BATCH_BYTES = 4 << 20
BATCH_ROWS = 512
PARQUET_ROWS = 1024
TABLE_ROWS = 64
COLUMNS = [
    "path",
    "position",
    "record_id",
    "url",
    "text",
    "crawl",
    "crawled_at",
    "mime_type",
    "html_extract",
    "line_hints",
    "reject_code",
    "reject_detail",
]
Row = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class ReadArchives:
    """For `mapInPandas` over `SLICE_FIELDS`; gives `RAW_COLUMNS`.

    Attributes:
        spec: its limit on text length.
        stores: how object stores are reached.
        page_timeout_s: most seconds for the text of one HTML page.
        file_timeout_s: seconds for slow pages of one file, after which each page has half a second.
        page_memory_bytes: most address space of the process that reads HTML.
    """

    columns: ClassVar[str] = RAW_COLUMNS
    spec: InputSpec
    stores: ObjectStores = ObjectStores()  # noqa: RUF009 - frozen
    page_timeout_s: float = 30.0
    file_timeout_s: float = 120.0
    page_memory_bytes: int = 3 << 30

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Rows in batches of at most 512 rows and about 4 MB of text."""
        with ContainedPageText(
            extract=self.spec.extract,
            line_hints=self.spec.line_hints,
            timeout_s=self.page_timeout_s,
            file_timeout_s=self.file_timeout_s,
            max_memory_bytes=self.page_memory_bytes,
        ) as html_to_text:
            rows: list[Row] = []
            size = 0
            for batch in batches:
                for path, kind, start, stop in batch.itertuples(index=False, name=None):
                    end = None if pd.isna(stop) else int(stop)
                    for row in self._rows(str(path), str(kind), int(start), end, html_to_text):
                        rows.append(row)
                        size += len(row[4] or "")
                        if size >= BATCH_BYTES or len(rows) >= BATCH_ROWS:
                            yield _frame(rows)
                            rows, size = [], 0
            if rows:
                yield _frame(rows)

    def _rows(
        self, path: str, kind: str, start: int, stop: int | None, html_to_text: ContainedPageText
    ) -> Iterator[Row]:
        unreadable = RejectCode.ARCHIVE_UNREADABLE if kind == "archive" else RejectCode.FILE_UNREADABLE
        try:
            with ExitStack() as opened:
                if kind == "parquet":
                    shape = _check_parquet(open_table(path, opened, self.stores), verify=self.spec.verify_files)
                    yield (path, None, None, None, shape.to_json(), None, None, None, None, None, SHAPE, None)
                    return
                if kind == "lines" and start and is_packed(open_file(path, opened, self.stores).read(8)):
                    return  # packed, without its suffix: the first part reads all of it
                stream = open_file(path, opened, self.stores, max(start - 1, 0))
                if kind == "archive":
                    html_to_text.next_file()
                    for row in read_archive(stream, max_text_chars=self.spec.max_text_chars, html_to_text=html_to_text):
                        code = row.reject_code
                        how, hints = (self.spec.extract, html_to_text.line_hints) if row.is_page else (None, None)
                        yield (path, *astuple(row)[:-3], how, hints, code and code.value, row.reject_detail)
                    return
                yield from self._lines(path, stream, start, stop)
        except UnreadableColumnError as error:
            yield _row(path, None, None, unreadable, str(error))
        except (OSError, EOFError, ValueError) as error:  # pyarrow's errors are among them
            if isinstance(error, OSError) and (refused := store_error(path, error)):
                raise refused from None  # of every file: no verdict on this one
            yield _row(path, None, None, unreadable, f"cannot be read: {type(error).__name__}")

    def _lines(self, path: str, stream: BinaryIO, start: int, stop: int | None) -> Iterator[Row]:
        """The lines of a part, and at last their shape, also where reading breaks off."""
        limit = 6 * self.spec.max_text_chars + (1 << 20)  # six bytes for a character written \uXXXX
        shape = Shape(fields={})
        try:
            for line in read_json_lines(stream, start=start, end=stop, max_line_bytes=limit, shape=shape):
                yield _row(path, line.position, line.line, line.reject_code, line.reject_detail)
        except (OSError, EOFError) as error:
            detail = f"cannot be read: {type(error).__name__}"
            yield _row(path, None, None, RejectCode.FILE_UNREADABLE, detail)
        yield (path, None, None, None, shape.bounded().to_json(), None, None, None, None, None, SHAPE, None)

    def tables(self, schema: pa.Schema) -> ReadTables:
        """The reader of whole Parquet files that Spark's own cannot read."""
        return ReadTables(schema=schema, stores=self.stores)


@dataclass(frozen=True, kw_only=True)
class ReadTables:
    """For `mapInArrow` over `SLICE_FIELDS`; gives the columns of `schema`, of which the last two are path and position.

    Attributes:
        schema: Arrow types that Spark takes.
        stores: how object stores are reached.
    """

    schema: pa.Schema
    stores: ObjectStores = ObjectStores()  # noqa: RUF009 - frozen

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of the files in batches of at most 64."""
        own = pa.schema(list(self.schema)[:-2])
        for batch in batches:
            for path in batch.column("path").to_pylist():
                with ExitStack() as opened:
                    file = _parquet_file(open_table(path, opened, self.stores))
                    position = 0
                    for rows in file.iter_batches(batch_size=TABLE_ROWS, use_threads=False):
                        places = [
                            pa.array([path] * rows.num_rows, pa.string()),
                            pa.array(range(position, position + rows.num_rows), pa.int64()),
                        ]
                        position += rows.num_rows
                        yield pa.RecordBatch.from_arrays([*cast_batch(rows, own), *places], schema=self.schema)


def _row(path: str, position: int | None, text: str | None, code: RejectCode | None, detail: str | None) -> Row:
    return (path, position, None, None, text, None, None, None, None, None, code and code.value, detail)


def _check_parquet(stream: BinaryIO, *, verify: bool) -> FileShape:
    """The shape of a file.

    Raises:
        OSError, ValueError: it has no readable footer, or, with `verify`, a page that is broken.
    """
    file = _parquet_file(stream)
    shape = shape_of_file(file)
    if verify:
        # As dictionaries: a long value that many rows share is then there once.
        leaves = [file.schema.column(at) for at in range(len(file.schema.names))]
        names = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        file = _parquet_file(stream, metadata=file.metadata, read_dictionary=names)
        for _ in file.iter_batches(batch_size=PARQUET_ROWS, use_threads=False):
            pass
    return shape


def _parquet_file(stream: BinaryIO, **how: Any) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(stream, pre_buffer=False, **how)


def _frame(rows: list[Row]) -> pd.DataFrame:
    frame: pd.DataFrame = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    frame["position"] = frame["position"].astype("Int64")
    return frame
