"""Rows of Parquet files of any writer under one schema.

The executors look at every file first: a damaged one is a reject, and each other tells its types. Files that have the
types of all are read by Spark, the others with pyarrow, which casts. Knows nothing of which column means what.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, DataType, LongType, MapType, NullType, StringType, StructField, StructType

from spark_prox.config.input import InputSpec
from spark_prox.config.names import quoted
from spark_prox.errors import InputError
from spark_prox.functions import FileReader
from spark_prox.sources.folders import folder_keys
from spark_prox.sources.frames.files import InputFile
from spark_prox.sources.frames.places import CODE, DETAIL, PATH, PLACES, POSITION
from spark_prox.sources.frames.raw import RawFrame, checked_files, placed, read_files, tasks_of, whole, with_metadata
from spark_prox.sources.merged_types import TypeConflictError, merge_types
from spark_prox.sources.parquet_shape import FileShape
from spark_prox.sources.readers import SHAPE

__all__ = ["read_parquet"]


def read_parquet(spark: SparkSession, spec: InputSpec, reader: FileReader) -> RawFrame:
    """Rows of Parquet files; one without a readable footer becomes a reject.

    Raises:
        InputError: SCHEMA_CONFLICT.
    """
    files = checked_files(spark, spec)
    folders = folder_keys(file.path for file in files)
    verdicts = read_files(spark, whole(files, "parquet"), reader).cache()
    shapes = _shapes(verdicts)
    rejects = placed(
        verdicts.where(F.col("reject_code") != SHAPE).select("path", "position", "reject_code", "reject_detail")
    )
    if not shapes:
        return RawFrame(rows=rejects, folders=folders, files=files)
    merged = _merged(shapes)
    foreign = [text for text, _, _ in shapes if not _is_native(FileShape.from_json(text), merged)]
    is_foreign = F.col("text").isin(foreign) if foreign else F.lit(False)
    good = verdicts.where(F.col("reject_code") == SHAPE).select("path", is_foreign)
    paths: dict[str, bool] = dict(good.toLocalIterator())
    schema = StructType.fromJson(merged)
    frames = [rejects] if len(paths) < len(files) else []
    if native := [path for path, foreign_here in paths.items() if not foreign_here]:
        plain = StructType([field for field in schema.fields if not isinstance(field.dataType, NullType)])
        frames.append(with_metadata(spark.read.schema(_readable(plain)).parquet(*native), "_metadata.row_index"))
    if foreign:
        others = [file for file in files if paths.get(file.path)]
        frames.append(_arrow_rows(spark, others, _readable(schema), reader))
    rows = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), frames)
    empty = [field.name for field in schema.fields if isinstance(field.dataType, NullType)]
    columns = [
        (F.lit(None) if field.name in empty else F.col(quoted(field.name))).alias(field.name) for field in schema.fields
    ]
    return RawFrame(rows=rows.select(*columns, *PLACES), folders=folders, files=files)


def _shapes(verdicts: DataFrame) -> list[tuple[str, int, str]]:
    """Every shape, how many files have it, and the first of them; the most frequent first."""
    counted = verdicts.where(F.col("reject_code") == SHAPE).groupBy("text").agg(F.count("*"), F.min("path"))
    return sorted(((row[0], row[1], row[2]) for row in counted.collect()), key=lambda one: (-one[1], one[2]))


def _merged(shapes: list[tuple[str, int, str]]) -> dict[str, Any]:
    whole_type: Any = {"type": "struct", "fields": []}
    found = [(FileShape.from_json(text), path) for text, _, path in shapes]
    large = {column for shape, _ in found for column in shape.large}
    for shape, path in found:
        try:
            whole_type = merge_types(whole_type, _distinct(shape.schema), large=large)
        except TypeConflictError as error:
            raise InputError(
                "SCHEMA_CONFLICT",
                f"column {error.column!r} is {error.types[0]} in most files and {error.types[1]} in {path!r}"
                + (", and a double would round some of its integers." if {*error.types} == {"long", "double"} else "."),
                "Cast it in one of them, or give the other files only and run again for the rest.",
            ) from None
    made: dict[str, Any] = _distinct(whole_type)
    return made


def _distinct(schema: dict[str, Any]) -> dict[str, Any]:
    """The struct with names that Spark can tell apart at its first level; of several spellings of a name the first."""
    seen: set[str] = set()
    fields = []
    for field in schema["fields"]:
        name, number = field["name"], 1
        while name.lower() in seen:
            number += 1
            name = f"{field['name']}_{number}"
        seen.add(name.lower())
        fields.append({**field, "name": name})
    return {**schema, "fields": fields}


def _is_native(shape: FileShape, merged: dict[str, Any]) -> bool:
    """True if Spark reads the file under the merged schema as it is."""
    if shape.foreign:
        return False
    types = {field["name"]: field["type"] for field in merged["fields"]}
    return all(types.get(field["name"]) == field["type"] for field in shape.schema["fields"])


def _arrow_rows(spark: SparkSession, files: list[InputFile], schema: StructType, reader: FileReader) -> DataFrame:
    placed_schema = StructType([*schema.fields, StructField(PATH, StringType()), StructField(POSITION, LongType())])
    tables = reader.tables(to_arrow_schema(placed_schema))
    tasks = tasks_of(spark, whole(files, "parquet"))
    rows = tasks.mapInArrow(tables, placed_schema).persist(StorageLevel.DISK_ONLY)
    none = F.lit(None).cast("string")
    return rows.withColumns({CODE: none, DETAIL: none})


def _readable(schema: StructType) -> StructType:
    """The schema with strings for what is null in all files."""
    return StructType([StructField(field.name, _kind(field.dataType), True) for field in schema.fields])


def _kind(kind: DataType) -> DataType:
    if isinstance(kind, NullType):
        return StringType()
    if isinstance(kind, ArrayType):
        return ArrayType(_kind(kind.elementType), True)
    if isinstance(kind, MapType):
        return MapType(_kind(kind.keyType), _kind(kind.valueType), True)
    return _readable(kind) if isinstance(kind, StructType) else kind
