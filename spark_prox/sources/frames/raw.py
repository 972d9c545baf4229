"""Gets the rows of each format into one shape: the user's columns, where each row is, and what could not be read.

Archives and JSON Lines go through the executors' file reader, whose output is kept on the executors' disks so that
files are parsed once; Parquet and Delta through Spark's own. Knows nothing of which column means what.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError
from spark_prox.functions import PandasFunction
from spark_prox.sources.frames.files import InputFile, check_format, list_files
from spark_prox.sources.frames.json_schema import infer_json_schema
from spark_prox.sources.readers import SLICE_FIELDS

__all__ = [
    "CODE",
    "DETAIL",
    "PATH",
    "POSITION",
    "RawFrame",
    "delta_table",
    "read_archives",
    "read_delta",
    "read_json",
    "read_parquet",
]

PATH, POSITION, CODE, DETAIL = "__prox_path", "__prox_position", "__prox_code", "__prox_detail"
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
    """

    rows: DataFrame
    mixed: bool = False
    has_positions: bool = True


def read_archives(spark: SparkSession, spec: InputSpec, reader: PandasFunction) -> RawFrame:
    """Rows of WARC, WET and ARC files; user columns: record_id, url, text, crawl, crawled_at, mime_type."""
    files = _checked_files(spark, spec)
    raw = _read_files(spark, _whole(files, "archive"), reader)
    return RawFrame(rows=_placed(raw.persist(StorageLevel.DISK_ONLY)))


def read_json(spark: SparkSession, spec: InputSpec, reader: PandasFunction) -> RawFrame:
    """Rows of JSON Lines files, fields by the union of what is in all of them."""
    files = _checked_files(spark, spec)
    slices = [part for file in files for part in _parts(file)]
    lines = _read_files(spark, slices, reader).persist(StorageLevel.DISK_ONLY)
    schema, renamed = infer_json_schema(spark, lines.where("text IS NOT NULL").select("text"))
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "__prox_bad", "allowUnquotedControlChars": "true"}
    parsed = _placed(lines.select("path", "position", "text", "reject_code", "reject_detail"))
    if not schema.fields:
        return RawFrame(rows=parsed.drop("text"), mixed=True)
    row = F.from_json("text", _with_bad(schema), options)
    bad = F.col("text").isNotNull() & (F.col("__prox_row").isNull() | F.col("__prox_row.__prox_bad").isNotNull())
    rows = (
        parsed.withColumn("__prox_row", row)
        .withColumn(CODE, F.when(bad, F.lit("BAD_ROW")).otherwise(F.col(CODE)))
        .withColumn(DETAIL, F.when(bad, F.lit("JSON that Spark cannot read")).otherwise(F.col(DETAIL)))
        .select(F.col("__prox_row").cast(_with_bad(renamed)).alias("__prox_row"), PATH, POSITION, CODE, DETAIL)
        .select("__prox_row.*", PATH, POSITION, CODE, DETAIL)
    )
    return RawFrame(rows=rows.drop("__prox_bad"), mixed=True)


def _with_bad(schema: StructType) -> StructType:
    """`schema` and a column for what does not parse."""
    return StructType([*schema.fields, StructField("__prox_bad", StringType())])


def read_parquet(spark: SparkSession, spec: InputSpec, reader: PandasFunction) -> RawFrame:
    """Rows of Parquet files; one without a readable footer becomes a reject."""
    files = _checked_files(spark, spec)
    verdicts = _read_files(spark, _whole(files, "parquet"), reader).cache()
    broken = verdicts.where("reject_code IS NOT NULL")
    bad_paths = {row.path for row in broken.select("path").collect()}
    good = [file.path for file in files if file.path not in bad_paths]
    rejects = _placed(broken.select("path", "position", "reject_code", "reject_detail"))
    if not good:
        return RawFrame(rows=rejects)
    frame = spark.read.option("mergeSchema", "true")
    if "," not in spec.path and not set("*?[{") & set(spec.path) and good != [spec.path]:
        frame = frame.option("basePath", spec.path)  # partition columns of a directory tree
    try:
        rows = frame.parquet(*good)
    except Exception as error:
        if "MERGE_SCHEMAS" not in str(error) and "merge" not in str(error):
            raise
        raise InputError(
            "SCHEMA_CONFLICT",
            f"the Parquet files of {spec.path!r} have a column with different types.",
            "Read them one by one.",
        ) from None
    placed = _with_metadata(rows, "_metadata.row_index")
    return RawFrame(rows=placed.unionByName(rejects, allowMissingColumns=True) if bad_paths else placed)


def read_delta(spark: SparkSession, spec: InputSpec, reader: PandasFunction) -> RawFrame:
    """Rows of a Delta table, by path or by name. Its rows have no position of their own."""
    return RawFrame(rows=_with_metadata(delta_table(spark, spec)[0], None), has_positions=False)


def delta_table(spark: SparkSession, spec: InputSpec) -> tuple[DataFrame, bool]:
    """A Delta table as it is, and whether it was named by a path.

    Raises:
        InputError: WRONG_FORMAT, INPUT_NOT_FOUND.
    """
    is_path = "/" in spec.path or _exists(spark, spec)
    try:
        rows = spark.read.format("delta").load(spec.path) if is_path else spark.table(spec.path)
        rows.schema  # noqa: B018 - resolves the table
        return rows, is_path
    except Exception:  # noqa: BLE001 - analysis errors of many kinds, from Java and from Delta
        code = "WRONG_FORMAT" if is_path and _exists(spark, spec) else "INPUT_NOT_FOUND"
        raise InputError(
            code, f"there is no Delta table {spec.path!r}.", "Give the path of a Delta table or a catalog name."
        ) from None


def _exists(spark: SparkSession, spec: InputSpec) -> bool:
    try:
        return bool(list_files(spark, spec))
    except InputError:
        return False


def _checked_files(spark: SparkSession, spec: InputSpec) -> list[InputFile]:
    files = list_files(spark, spec)
    check_format(spark, spec, files)
    return files


def _whole(files: list[InputFile], kind: str) -> list[tuple[Slice, int]]:
    return [((file.path, kind, 0, None), file.size) for file in files]


def _parts(file: InputFile) -> list[tuple[Slice, int]]:
    """Parts of a plain file for several tasks; a packed one cannot be divided."""
    if file.path.lower().endswith(PACKED) or file.size <= SPLIT_BYTES:
        return _whole([file], "lines")
    starts = range(0, file.size, SPLIT_BYTES)
    return [((file.path, "lines", at, at + SPLIT_BYTES), min(SPLIT_BYTES, file.size - at)) for at in starts]


def _read_files(spark: SparkSession, slices: list[tuple[Slice, int]], reader: PandasFunction) -> DataFrame:
    """Run the file reader over parts of files: one task for a large file, one for many small ones."""
    loads = _balance(slices, spark.sparkContext.defaultParallelism)
    tasks = spark.createDataFrame(
        spark.sparkContext.parallelize([(load,) for load in loads], len(loads)),
        f"slices array<struct<{SLICE_FIELDS}>>",
    )
    return tasks.select(F.inline("slices")).mapInPandas(reader, reader.columns)


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


def _placed(raw: DataFrame) -> DataFrame:
    """The reader's place and verdict under names that no user's column has, last."""
    names = {"path": PATH, "position": POSITION, "reject_code": CODE, "reject_detail": DETAIL}
    others = [name for name in raw.columns if name not in names]
    return raw.select(*others, *(F.col(old).alias(new) for old, new in names.items()))


def _with_metadata(rows: DataFrame, position: str | None) -> DataFrame:
    """Spark's own name of the row's file, as a plain path, and the row's number in it."""
    uri = F.regexp_replace(F.col("_metadata.file_path"), r"\+", "%2B")
    path = F.regexp_replace(F.url_decode(uri), "^file:/+", "/")
    none = F.lit(None).cast("string")
    number = F.col(position) if position else F.lit(None)
    return rows.select("*", path.alias(PATH), number.cast("long").alias(POSITION), none.alias(CODE), none.alias(DETAIL))
