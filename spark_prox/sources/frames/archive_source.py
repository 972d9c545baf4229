"""The Spark data sources `warc` and `wet`: WARC, WET and ARC files as rows, one for each record.

    register_sources(spark)
    spark.read.format("warc").load("crawl/*.warc.gz").where("type = 'response' AND http_status = 200")

    CREATE TEMPORARY VIEW pages USING warc OPTIONS (path 'crawl/*.warc.gz', columns 'target_uri, text')

Spark tells a source in Python which conditions a query has, but not which columns: `columns`, or a schema, says that,
and without `text` among them no page is parsed. The source is planned in a process of its own beside the driver, which
has no session, and read on the executors. Knows nothing of what a record is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.sql import SparkSession
from pyspark.sql import datasource as ds
from pyspark.sql.types import StructType

from spark_prox.errors import InputError
from spark_prox.sources.conditions import Condition
from spark_prox.sources.contained import ContainedPageText
from spark_prox.sources.frames.row_batches import batches_of
from spark_prox.sources.listing import file_size, list_paths
from spark_prox.sources.object_store import ObjectStores, store_error
from spark_prox.sources.opening import open_file
from spark_prox.sources.source_options import SourceOptions
from spark_prox.sources.warc.contents import ContentReader
from spark_prox.sources.warc.record_rows import HEAD_COLUMNS, RecordQuery, RecordRow, read_records, unreadable_file
from spark_prox.spark.hadoop_settings import object_stores
from spark_prox.spark.shipping import ship_code

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArchivePart", "ArchiveReader", "WarcSource", "WetSource", "register_sources"]

COLUMN_TYPES = {
    **dict.fromkeys(RecordRow._fields, "string"),
    "date": "timestamp",
    "http_status": "int",
    "payload": "binary",
    "warc_headers": "map<string,string>",
    "http_headers": "map<string,string>",
    "position": "bigint",
}
UNDIVIDED = (".bz2", ".xz", ".zst", ".zstd")
MAX_TASKS = 100_000


def register_sources(spark: SparkSession) -> None:
    """Make `warc` and `wet` known to a session, with its settings of object stores and its push-down of conditions.

    Ships this code to the executors of a cluster.
    """
    ship_code(spark)
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    stores = object_stores(spark)
    for source in (WarcSource, WetSource):
        # A class of its own: Spark sends it to the process that plans, which has no session to ask.
        spark.dataSource.register(type(source.__name__, (source,), {"stores": stores, "__module__": __name__}))


class WarcSource(ds.DataSource):
    """`spark.read.format("warc")`: every record, with the columns of `RecordRow` but payload and headers by default.

    Registered with `spark.dataSource.register` alone, it asks for `spark.sql.python.filterPushdown.enabled`, and finds
    credentials of object stores in the environment.

    Attributes:
        stores: how object stores are reached.
    """

    stores: ClassVar[ObjectStores] = ObjectStores()

    @classmethod
    def name(cls) -> str:
        """The name of the format."""
        return "warc"

    def schema(self) -> str:
        """The columns that the option `columns` names, or the default ones."""
        return ", ".join(f"{name} {COLUMN_TYPES[name]}" for name in self._options().columns)

    def reader(self, schema: StructType) -> ArchiveReader:
        """The reader of the columns of a schema.

        Raises:
            InputError: MISSING_COLUMN, BAD_COLUMN.
        """
        for field in schema.fields:
            wanted = COLUMN_TYPES.get(field.name)
            if wanted is None:
                names = ", ".join(COLUMN_TYPES)
                raise InputError("MISSING_COLUMN", f"archives have no column {field.name!r}.", f"They have {names}.")
            if field.dataType.simpleString() != wanted:
                found = field.dataType.simpleString()
                raise InputError("BAD_COLUMN", f"column {field.name!r} is {found}.", f"Its type is {wanted}: cast it.")
        return ArchiveReader(self._options(), schema, self.stores)

    def _options(self) -> SourceOptions:
        return SourceOptions.of(self.options, self.name())


class WetSource(WarcSource):
    """`spark.read.format("wet")`: the same, without the columns of HTTP by default."""

    @classmethod
    def name(cls) -> str:
        """The name of the format."""
        return "wet"


@dataclass
class ArchivePart(ds.InputPartition):
    """A file, or a byte range of it."""

    path: str
    start: int = 0
    stop: int | None = None


class ArchiveReader(ds.DataSourceReader):
    """Plans the parts of a query's files, and reads one part."""

    def __init__(self, options: SourceOptions, schema: StructType, stores: ObjectStores) -> None:
        self._stores = stores
        self._options = options
        self._schema = schema
        self._conditions: tuple[Condition, ...] = ()

    def pushFilters(self, filters: list[ds.Filter]) -> Iterable[ds.Filter]:  # noqa: N802 - Spark's name
        """Take over what can be said of a record before its payload is read; the rest is Spark's."""
        for one in filters:
            condition = condition_of(one)
            if condition is None:
                yield one
            else:
                self._conditions += (condition,)

    def partitions(self) -> Sequence[ArchivePart]:
        """One part for each file, or for each range of `split_bytes` of a file that can be divided."""
        options = self._options
        parts: list[ArchivePart] = []
        for file in list_paths(options.paths, prefix=options.prefix, max_files=options.max_files, stores=self._stores):
            size = None
            if options.split_bytes and not file.path.lower().endswith(UNDIVIDED):
                size = file_size(file, self._stores)
            step = max(options.split_bytes, (size or 0) // MAX_TASKS)
            starts = range(0, size, step) if size and step else [0]
            parts += [ArchivePart(file.path, at, at + step if at != starts[-1] else None) for at in starts]
        return parts

    def read(self, partition: ds.InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of one part; a file that cannot be read is a row with `error`."""
        assert isinstance(partition, ArchivePart)
        return batches_of(self._rows(partition), self._schema)

    def _rows(self, part: ArchivePart) -> Iterator[RecordRow]:
        options = self._options
        query = RecordQuery(columns=frozenset(self._schema.fieldNames()), conditions=self._conditions)
        with ExitStack() as opened:
            html_to_text = opened.enter_context(
                ContainedPageText(extract=options.extract, timeout_s=options.page_timeout_s)
            )
            contents = ContentReader(
                max_text_chars=options.max_text_chars,
                max_payload_bytes=options.max_payload_bytes,
                html_to_text=html_to_text,
            )
            try:
                stream = open_file(part.path, opened, self._stores)
            except (OSError, ValueError) as error:  # pyarrow's errors are among them
                if isinstance(error, OSError) and (refused := store_error(part.path, error)):
                    raise refused from None  # of every file: no verdict on this one
                yield from unreadable_file(query, error, path=part.path)
                return
            yield from read_records(stream, query, contents, path=part.path, start=part.start, stop=part.stop)


_COMPARED: dict[type, str] = {
    ds.EqualTo: "=",
    ds.EqualNullSafe: "<=>",
    ds.GreaterThan: ">",
    ds.GreaterThanOrEqual: ">=",
    ds.LessThan: "<",
    ds.LessThanOrEqual: "<=",
    ds.In: "in",
    ds.StringStartsWith: "starts",
    ds.StringEndsWith: "ends",
    ds.StringContains: "contains",
}


def condition_of(found: Any) -> Condition | None:
    """A filter of Spark's as a condition; None if it is on another column or of another kind."""
    negated = False
    while isinstance(found, ds.Not):
        found, negated = found.child, not negated
    column = found.attribute[0] if len(found.attribute) == 1 else ""
    if column not in HEAD_COLUMNS:
        return None
    if isinstance(found, (ds.IsNull, ds.IsNotNull)):
        return Condition(column=column, test="is null", negated=negated is isinstance(found, ds.IsNull))
    test = _COMPARED.get(type(found))
    if test is None:
        return None
    values = tuple(found.value) if test == "in" else (found.value,)
    return Condition(column=column, test=test, values=values, negated=negated)
