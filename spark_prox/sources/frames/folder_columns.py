"""Adds the columns that folders name to rows of any format, as strings. Runs on the driver; reads no file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, NullType, StringType, StructType

from spark_prox.config.names import quoted
from spark_prox.sources.folders import NO_VALUE
from spark_prox.sources.frames.places import PATH, PLACES

__all__ = ["with_folder_columns"]

JAVA_SPECIAL = re.compile(r"([\\.^$|?*+()\[\]{}])")


def with_folder_columns(rows: DataFrame, keys: Sequence[str]) -> DataFrame:
    """The rows with a column for each key; one that the files have themselves is filled where it is null.

    Args:
        keys: from `folder_keys`.
    """
    if not keys:
        return rows
    types = {field.name.lower(): field for field in rows.schema.fields}
    columns = {field.name: _column(field.name) for field in rows.schema.fields if field.name not in PLACES}
    for key in keys:
        name, value = unquote(key), _value(key)
        own = types.get(name.lower())
        if own is None:
            columns[name] = value
        elif isinstance(own.dataType, (StringType, NullType)):
            columns[own.name] = F.coalesce(columns[own.name].cast("string"), value)
        elif not isinstance(own.dataType, (StructType, ArrayType, MapType)):
            columns[own.name] = F.coalesce(columns[own.name], value.try_cast(own.dataType))
    return rows.select(*(column.alias(name) for name, column in columns.items()), *PLACES)


def _value(key: str) -> Column:
    escaped = JAVA_SPECIAL.sub(r"\\\1", key)
    written = F.regexp_extract(F.col(PATH), f"^.*/{escaped}=([^/]*)/", 1)
    plain = F.coalesce(F.try_url_decode(F.regexp_replace(written, r"\+", "%2B")), written)
    return F.when(~written.isin("", NO_VALUE), plain)


def _column(name: str) -> Column:
    return F.col(quoted(name))
