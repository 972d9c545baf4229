"""Casts columns as pyarrow reads them to the types that Spark takes.

For Parquet files that Spark's own reader cannot read; see `parquet_shape` for what becomes what. Knows Arrow arrays,
nothing of files.
"""

from __future__ import annotations

import uuid
from typing import Any

__all__ = ["cast_array", "cast_batch"]


def cast_batch(batch: Any, schema: Any) -> list[Any]:
    """The columns of `schema` from a record batch: cast, or null where it has none of that name."""
    import pyarrow as pa

    columns = []
    for field in schema:
        at = batch.schema.get_field_index(field.name)
        if at < 0:
            columns.append(pa.nulls(batch.num_rows, field.type))
        else:
            columns.append(cast_array(batch.column(at), field.type))
    return columns


def cast_array(array: Any, target: Any) -> Any:
    """An array of the type `target`, which `merged_types` found for it.

    Raises:
        pyarrow.ArrowInvalid: a value does not fit.
    """
    import pyarrow as pa
    import pyarrow.types as is_type

    kind = array.type
    if kind == target:
        return array
    if is_type.is_null(kind):
        return pa.nulls(len(array), target)
    if is_type.is_dictionary(kind):
        return cast_array(array.dictionary_decode(), target)
    if isinstance(array, pa.ExtensionArray):
        return cast_array(array.storage, target)
    if is_type.is_struct(target):
        return _cast_struct(array, target)
    if is_type.is_map(target):
        return _cast_map(array, target)
    if is_type.is_list(target):
        return _cast_list(array, target)
    if is_type.is_string(target) and is_type.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return pa.array([value and str(uuid.UUID(bytes=value)) for value in array.to_pylist()], target)
    if is_type.is_timestamp(kind) and is_type.is_timestamp(target):
        in_micros = array.cast(pa.timestamp("us", kind.tz), safe=False)  # nanoseconds are cut off
        return in_micros.cast(pa.int64()).cast(target)
    if is_type.is_duration(kind):
        return array.cast(pa.int64()).cast(target)
    rounds = is_type.is_floating(target) and not is_type.is_integer(kind)  # an integer is never rounded
    return array.cast(target, safe=not rounds)


def _cast_struct(array: Any, target: Any) -> Any:
    import pyarrow as pa

    names = [array.type.field(at).name for at in range(array.type.num_fields)]
    inner = array.flatten()
    children = [
        cast_array(inner[names.index(field.name)], field.type)
        if field.name in names
        else pa.nulls(len(array), field.type)
        for field in (target.field(at) for at in range(target.num_fields))
    ]
    fields = [target.field(at) for at in range(target.num_fields)]
    return pa.StructArray.from_arrays(children, fields=fields, mask=array.is_null())


def _offsets(array: Any) -> Any:
    """The start of each list among the values that `flatten` gives, which leaves out those of null lists."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.cast(pc.list_value_length(array), pa.int32()), 0)
    ends = pc.cumulative_sum(lengths).to_pylist() if len(array) else []
    return pa.array([0, *ends], pa.int32())


def _cast_list(array: Any, target: Any) -> Any:
    import pyarrow as pa

    values = cast_array(array.flatten(), target.value_type)
    return pa.ListArray.from_arrays(_offsets(array), values, type=target, mask=array.is_null())


def _cast_map(array: Any, target: Any) -> Any:
    import pyarrow as pa

    start, end = array.offsets[0].as_py(), array.offsets[-1].as_py()
    keys = cast_array(array.keys.slice(start, end - start), target.key_type)
    items = cast_array(array.items.slice(start, end - start), target.item_type)
    offsets = pa.array([offset - start for offset in array.offsets.to_pylist()], pa.int32())
    return pa.MapArray.from_arrays(offsets, keys, items, type=target, mask=array.is_null())
