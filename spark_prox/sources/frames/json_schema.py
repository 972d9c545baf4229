"""The schema of JSON lines: inferred by Spark from all of them, with names that Spark can tell apart.

Two keys that differ only in case are one name to Spark: the second gets a number. Runs on the driver; knows nothing
of files.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, DataType, StructField, StructType

__all__ = ["distinct_names", "infer_json_schema"]


def infer_json_schema(spark: SparkSession, lines: DataFrame) -> tuple[StructType, StructType]:
    """The schema to parse with, and the same with names that are distinct in lower case.

    Args:
        lines: one string column.
    """
    jvm: Any = spark._jvm
    session: Any = spark._jsparkSession
    # PySpark's reader takes strings only as an RDD, which would send every line through Python.
    strings = getattr(lines._jdf, "as")(jvm.org.apache.spark.sql.Encoders.STRING())
    inferred = (
        session.read()
        .option("allowUnquotedControlChars", "true")
        .option("columnNameOfCorruptRecord", "__prox_bad")
        .json(strings)
    )
    schema = StructType.fromJson(_as_dict(inferred.schema().json()))
    kept = StructType([field for field in schema.fields if field.name != "__prox_bad"])
    return kept, distinct_names(kept)


def distinct_names(schema: StructType) -> StructType:
    """The same types in the same order, no two names of one struct equal in lower case, none empty."""
    seen: set[str] = set()
    fields = []
    for field in schema.fields:
        base = name = field.name or "unnamed"
        number = 1
        while name.lower() in seen:
            number += 1
            name = f"{base}_{number}"
        seen.add(name.lower())
        fields.append(StructField(name, _distinct(field.dataType), True))
    return StructType(fields)


def _distinct(kind: DataType) -> DataType:
    if isinstance(kind, StructType):
        return distinct_names(kind)
    if isinstance(kind, ArrayType):
        return ArrayType(_distinct(kind.elementType), True)
    return kind


def _as_dict(text: str) -> dict[str, Any]:
    import json

    return dict(json.loads(text))
