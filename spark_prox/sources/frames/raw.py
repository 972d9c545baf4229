"""Gets the rows of each format into one shape: the user's columns, where each row is, and what could not be read.

Archives and JSON Lines go through the executors' file reader, whose output is kept on the executors' disks so that
files are parsed once; Parquet and Delta through Spark's own. Knows nothing of which column means what.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from delta.tables import DeltaTable
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError
from spark_prox.functions import FileReader
from spark_prox.sources.folders import folder_keys
from spark_prox.sources.frames.files import InputFile, check_format, list_files
from spark_prox.sources.frames.json_schema import JsonSchema, json_schema
from spark_prox.sources.frames.places import CODE, DETAIL, PATH, PLACES, POSITION, flat_columns
from spark_prox.sources.json_shape import merge_shapes
from spark_prox.sources.layouts import KNOWN_NAMES, find_layout
from spark_prox.sources.line_hints import HINT_TYPE
from spark_prox.sources.readers import SHAPE, SLICE_FIELDS
from spark_prox.sources.snapshot import InputSnapshot

__all__ = [
    "RawFrame",
    "checked_files",
    "delta_table",
    "placed",
    "read_archives",
    "read_delta",
    "read_files",
    "read_json",
    "table_snapshot",
    "tasks_of",
    "whole",
    "with_metadata",
]

SPLIT_BYTES = 128 << 20
TASK_BYTES = 64 << 20  # packed bytes of one task, where files are smaller
MAX_TASKS = 20_000
Slice = tuple[str, str, int, "int | None"]
PACKED = (".gz", ".bz2", ".zst", ".zstd", ".gzip")


@dataclass(frozen=True, kw_only=True)
class RawFrame:
    """Rows before anything is known of their meaning.

    Attributes:
        rows: the user's columns, then PATH, POSITION, CODE and DETAIL.
        mixed: rows may follow different layouts.
        has_positions: (PATH, POSITION) tells rows apart.
        spellings: what rows call a column, where that is not its name.
        together: such names, in lower case, of which one row has several spellings.
        folders: keys of `key=value` folders.
        files: what was listed; () for a table.
    """

    rows: DataFrame
    mixed: bool = False
    has_positions: bool = True
    spellings: dict[str, str] = field(default_factory=dict)
    together: frozenset[str] = frozenset()
    folders: Sequence[str] = ()
    files: Sequence[InputFile] = ()


def read_archives(spark: SparkSession, spec: InputSpec, reader: FileReader) -> RawFrame:
    """Rows of WARC, WET and ARC files; user columns: record_id, url, text, crawl, crawled_at, mime_type."""
    files = checked_files(spark, spec)
    raw = read_files(spark, whole(files, "archive"), reader)
    rows = placed(raw.persist(StorageLevel.DISK_ONLY))
    hints = F.from_json("line_hints", HINT_TYPE)
    rows = rows.withColumn("line_hints", hints) if spec.line_hints else rows.drop("line_hints")
    return RawFrame(rows=rows, folders=folder_keys(file.path for file in files), files=files)


def read_json(spark: SparkSession, spec: InputSpec, reader: FileReader) -> RawFrame:
    """Rows of JSON Lines files under one schema that fits all of them."""
    files = checked_files(spark, spec)
    folders = folder_keys(file.path for file in files)
    slices = [part for file in files for part in _parts(file)]
    read = read_files(spark, slices, reader).persist(StorageLevel.DISK_ONLY)
    shape = merge_shapes(row.text for row in read.where(F.col("reject_code") == SHAPE).select("text").collect())
    lines = read.where(F.col("reject_code").isNull() | (F.col("reject_code") != SHAPE))
    given = [name for name in (spec.id_column, spec.text_column, spec.url_column) if name]
    schema = json_schema(shape.columns([*KNOWN_NAMES, *given, *(name.partition(".")[0] for name in given)]).bounded())
    rows = placed(lines.select("path", "position", "text", "reject_code", "reject_detail"))
    if not schema.parsed.fields:
        return RawFrame(rows=rows.drop("text"), mixed=True, folders=folders, files=files)
    layout = find_layout(spec, flat_columns(schema.named), mixed=True, spellings=schema.spellings)
    schema = schema.with_text((*layout.text, *((layout.doc_id,) if layout.doc_id else ()), *layout.other_ids))
    return RawFrame(
        rows=_parsed(rows, schema),
        mixed=True,
        spellings=schema.spellings,
        together=schema.together,
        folders=folders,
        files=files,
    )


def _parsed(lines: DataFrame, schema: JsonSchema) -> DataFrame:
    """The columns of lines, and the keys that have none together in `other_keys`."""
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "__prox_bad", "allowUnquotedControlChars": "true"}
    names = [field.name for field in schema.named.fields]
    row = F.from_json("text", _with_bad(schema.parsed), options)
    bad = F.col("text").isNotNull() & (F.col("__prox_row").isNull() | F.col("__prox_row.__prox_bad").isNotNull())
    others = []
    if schema.has_more:
        keys = [field.name for field in schema.parsed.fields]
        everything = F.from_json("text", "map<string,string>", {"allowUnquotedControlChars": "true"})
        rest = F.map_filter(everything, lambda key, _: ~key.isin(keys))
        others = [F.when(F.size(rest) > 0, rest).alias(_free_name("other_keys", names))]
    rows = (
        lines.withColumn("__prox_row", row)
        .withColumn(CODE, F.when(bad, F.lit("BAD_ROW")).otherwise(F.col(CODE)))
        .withColumn(DETAIL, F.when(bad, F.lit("JSON that Spark cannot read")).otherwise(F.col(DETAIL)))
        .select(F.col("__prox_row").cast(_with_bad(schema.named)).alias("__prox_row"), *others, *PLACES)
    )
    columns = [
        (F.lit(None) if name in schema.empty else F.col("__prox_row").getField(name)).alias(name) for name in names
    ]
    return rows.select(*columns, *(name for name in rows.columns if name != "__prox_row"))


def _free_name(name: str, taken: list[str]) -> str:
    lower = {one.lower() for one in taken}
    while name in lower:
        name = f"input_{name}"
    return name


def _with_bad(schema: StructType) -> StructType:
    """`schema` and a column for what does not parse."""
    return StructType([*schema.fields, StructField("__prox_bad", StringType())])


def read_delta(spark: SparkSession, spec: InputSpec, reader: FileReader) -> RawFrame:
    """Rows of a Delta table, by path or by name. Its rows have no position of their own."""
    return RawFrame(rows=with_metadata(delta_table(spark, spec)[0], None), has_positions=False)


def delta_table(spark: SparkSession, spec: InputSpec) -> tuple[DataFrame, bool]:
    """A Delta table as it is, and whether it was named by a path.

    Raises:
        InputError: WRONG_FORMAT, INPUT_NOT_FOUND, INPUT_VERSION_GONE.
    """
    is_path = "/" in spec.path or _exists(spark, spec)
    reader = spark.read.format("delta")
    if spec.version is not None:
        reader = reader.option("versionAsOf", spec.version)
    try:
        rows = reader.load(spec.path) if is_path else reader.table(spec.path)
        rows.schema  # noqa: B018 - resolves the table
        return rows, is_path
    except Exception:  # noqa: BLE001 - analysis errors of many kinds, from Java and from Delta
        if spec.version is not None:
            delta_table(spark, replace(spec, version=None))  # says what is wrong with the table itself
            raise InputError(
                "INPUT_VERSION_GONE",
                f"{spec.path!r} cannot be read as of version {spec.version}: it was never there, or VACUUM or log "
                "retention took it.",
                "Choose one that DESCRIBE HISTORY names, or read the present one: --set input.version=null.",
            ) from None
        code = "WRONG_FORMAT" if is_path and _exists(spark, spec) else "INPUT_NOT_FOUND"
        raise InputError(
            code, f"there is no Delta table {spec.path!r}.", "Give the path of a Delta table or a catalog name."
        ) from None


def table_snapshot(spark: SparkSession, spec: InputSpec) -> InputSnapshot:
    """Which version of a Delta table a run reads; without one where that cannot be told, as of a view."""
    try:
        is_path = "/" in spec.path or _exists(spark, spec)
        table = DeltaTable.forPath(spark, spec.path) if is_path else DeltaTable.forName(spark, spec.path)
        detail, last = table.detail().select("id").first(), table.history(1).select("version").first()
    except Exception:  # noqa: BLE001 - whoever reads the table says what is wrong with it
        return InputSnapshot(path=spec.path)
    assert detail is not None
    assert last is not None
    version = last["version"] if spec.version is None else spec.version
    return InputSnapshot(path=spec.path, digest=detail["id"], version=version)


def _exists(spark: SparkSession, spec: InputSpec) -> bool:
    try:
        return bool(list_files(spark, spec))
    except InputError:
        return False


def checked_files(spark: SparkSession, spec: InputSpec) -> list[InputFile]:
    files = list_files(spark, spec)
    check_format(spark, spec, files)
    return files


def whole(files: list[InputFile], kind: str) -> list[tuple[Slice, int]]:
    return [((file.path, kind, 0, None), file.size) for file in files]


def _parts(file: InputFile) -> list[tuple[Slice, int]]:
    """Parts of a plain file for several tasks; a packed one cannot be divided."""
    if file.path.lower().endswith(PACKED) or file.size <= SPLIT_BYTES:
        return whole([file], "lines")
    starts = range(0, file.size, SPLIT_BYTES)
    return [((file.path, "lines", at, at + SPLIT_BYTES), min(SPLIT_BYTES, file.size - at)) for at in starts]


def read_files(spark: SparkSession, slices: list[tuple[Slice, int]], reader: FileReader) -> DataFrame:
    """Run the file reader over parts of files."""
    return tasks_of(spark, slices).mapInPandas(reader, reader.columns)


def tasks_of(spark: SparkSession, slices: list[tuple[Slice, int]]) -> DataFrame:
    """Rows of `SLICE_FIELDS`: one task for a large file, one for many small ones."""
    loads = _balance(slices, spark.sparkContext.defaultParallelism)
    tasks = spark.createDataFrame(
        spark.sparkContext.parallelize([(load,) for load in loads], len(loads)),
        f"slices array<struct<{SLICE_FIELDS}>>",
    )
    return tasks.select(F.inline("slices"))


def _balance(slices: list[tuple[Slice, int]], cores: int) -> list[list[Slice]]:
    """Deal the parts, largest first, each to the task with the fewest bytes so far."""
    total = sum(size for _, size in slices)
    count = min(len(slices), MAX_TASKS, max(cores, math.ceil(total / TASK_BYTES)))
    heap: list[tuple[int, int]] = [(0, number) for number in range(count)]
    loads: list[list[Slice]] = [[] for _ in range(count)]
    for part, size in sorted(slices, key=lambda item: (-item[1], item[0][0], item[0][2])):
        filled, number = heapq.heappop(heap)
        loads[number].append(part)
        heapq.heappush(heap, (filled + max(size, 1), number))
    return loads


def placed(raw: DataFrame) -> DataFrame:
    """The reader's place and verdict under names that no user's column has, last."""
    names = {"path": PATH, "position": POSITION, "reject_code": CODE, "reject_detail": DETAIL}
    others = [name for name in raw.columns if name not in names]
    return raw.select(*others, *(F.col(old).alias(new) for old, new in names.items()))


def with_metadata(rows: DataFrame, position: str | None) -> DataFrame:
    """Spark's own name of the row's file, as a plain path, and the row's number in it."""
    uri = F.regexp_replace(F.col("_metadata.file_path"), r"\+", "%2B")
    path = F.regexp_replace(F.url_decode(uri), "^file:/+", "/")
    none = F.lit(None).cast("string")
    number = F.col(position) if position else F.lit(None)
    return rows.select("*", path.alias(PATH), number.cast("long").alias(POSITION), none.alias(CODE), none.alias(DETAIL))
