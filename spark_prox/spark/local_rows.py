"""A few rows of the driver as a DataFrame that is part of its plan: no job makes them, as of an empty table.

`createDataFrame` of Python's rows is an RDD, which takes a job of as many tasks as there are cores wherever it is used:
a second and more for each broadcast. Of an Arrow table it is a local relation. Knows no table of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

__all__ = ["local_rows"]


def local_rows(spark: SparkSession, rows: Sequence[Sequence[object]], schema: StructType | str) -> DataFrame:
    """Rows as a DataFrame, for as many as fit into a plan: up to some 48 MB.

    Args:
        rows: values in the order of the schema; a struct is a tuple, a map a dict, a time has its zone.
        schema: of all of them.
    """
    parsed: Any = StructType.fromDDL(schema) if isinstance(schema, str) else schema
    arrow = to_arrow_schema(parsed)
    columns = zip(*rows, strict=True) if rows else [()] * len(arrow)
    arrays = [pa.array(map(_value, column), field.type) for column, field in zip(columns, arrow, strict=True)]
    table: Any = pa.Table.from_arrays(arrays, schema=arrow)  # PySpark's own types know of pandas alone
    frame: DataFrame = spark.createDataFrame(table, parsed)
    return frame


def _value(value: object) -> object:
    return list(value.items()) if isinstance(value, Mapping) else value
