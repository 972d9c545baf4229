"""Parquet as pyarrow writes it: its types in Spark's words, and its values in types that Spark takes."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_prox.sources import parquet_shape
from spark_prox.sources.arrow_rows import cast_array, cast_batch
from spark_prox.sources.parquet_shape import FileShape, UnreadableColumnError, shape_of_file


def shape(table: pa.Table, **how: Any) -> FileShape:
    stream = io.BytesIO()
    pq.write_table(table, stream, **how)
    found = shape_of_file(pq.ParquetFile(stream))
    assert FileShape.from_json(found.to_json()) == found
    return found


def kind(values: list[Any], arrow: pa.DataType, **how: Any) -> tuple[Any, str]:
    found = shape(pa.table({"v": pa.array(values, arrow)}), **how)
    return found.schema["fields"][0]["type"], found.foreign


@pytest.mark.parametrize(
    ("arrow", "spark"),
    [
        (pa.int8(), "byte"),
        (pa.uint32(), "long"),
        (pa.uint64(), "decimal(20,0)"),
        (pa.large_string(), "string"),
        (pa.string_view(), "string"),
        (pa.dictionary(pa.int32(), pa.string()), "string"),
        (pa.binary(3), "binary"),
        (pa.decimal128(10, 2), "decimal(10,2)"),
        (pa.timestamp("us"), "timestamp_ntz"),
        (pa.timestamp("ms", "UTC"), "timestamp"),
        (pa.date32(), "date"),
        (pa.duration("us"), "long"),
    ],
)
def test_types_that_spark_has_are_read_by_spark(arrow: pa.DataType, spark: str) -> None:
    assert kind([None], arrow) == (spark, "")


@pytest.mark.parametrize(
    ("arrow", "spark", "word"),
    [
        (pa.null(), "void", "nulls only"),
        (pa.timestamp("ns"), "timestamp_ntz", "nanoseconds"),
        (pa.timestamp("ns", "UTC"), "timestamp", "nanoseconds"),
        (pa.float16(), "float", "FLOAT16"),
        (pa.time64("us"), "string", "TIME"),
        (pa.time32("ms"), "string", "TIME"),
        (pa.decimal256(50, 2), "string", "decimal256"),
        (pa.uuid(), "string", "UUID"),
    ],
)
def test_types_that_spark_lacks_are_cast_and_named_with_their_column(arrow: pa.DataType, spark: str, word: str) -> None:
    found, foreign = kind([None], arrow)
    assert found == spark
    assert foreign.startswith("column 'v' is of type")
    assert word in foreign


def test_int96_is_a_timestamp_of_spark() -> None:
    assert kind([None], pa.timestamp("ns"), use_deprecated_int96_timestamps=True) == ("timestamp", "")


def test_nested_types_are_walked_with_their_leaves() -> None:
    arrow = pa.struct([("a", pa.list_(pa.struct([("t", pa.time32("ms"))]))), ("m", pa.map_(pa.string(), pa.int32()))])
    found, foreign = kind([None], arrow)
    assert [field["type"]["type"] for field in found["fields"]] == ["array", "map"]
    assert foreign == "column 'v.a.element.t' is of type TIME"


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"compression": "brotli"}, "BROTLI"),
        ({"compression": "lz4"}, "LZ4"),
        ({"use_byte_stream_split": True, "use_dictionary": False}, "BYTE_STREAM_SPLIT"),
    ],
)
def test_codecs_and_encodings_that_spark_lacks_are_named(how: dict[str, Any], word: str) -> None:
    assert word in kind([1.5], pa.float64(), **how)[1]
    assert kind([1.5], pa.float64(), compression="zstd") == ("double", "")


def test_names_that_spark_cannot_tell_apart_are_read_with_pyarrow() -> None:
    assert "'text'" in shape(pa.table({"text": ["a"], "Text": ["b"]})).foreign


def test_a_column_that_claims_too_much_or_nests_too_deep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    deep: pa.DataType = pa.int32()
    for _ in range(60):
        deep = pa.struct([("a", deep)])
    with pytest.raises(UnreadableColumnError, match=r"'v.a.a.*nested in more than 48 levels"):
        kind([None], deep)
    monkeypatch.setattr(parquet_shape, "MAX_CHUNK_BYTES", 1000)
    with pytest.raises(UnreadableColumnError, match="column 'v' unpacks"):
        kind(["x" * 1_000_000], pa.string(), compression="zstd")


NESTED = pa.list_(pa.struct([("a", pa.int32()), ("b", pa.null())]))
WIDER = pa.list_(pa.struct([("a", pa.int64()), ("b", pa.string()), ("c", pa.float64())]))


@pytest.mark.parametrize(
    ("array", "target", "values"),
    [
        (pa.array([uuid.UUID(int=1).bytes, None], pa.binary(16)), pa.string(), [str(uuid.UUID(int=1)), None]),
        (pa.array([1.5, None], pa.float16()), pa.float32(), [1.5, None]),
        (pa.array([decimal.Decimal("1.50")], pa.decimal256(50, 2)), pa.string(), ["1.50"]),
        (pa.array([datetime.time(1, 2, 3)], pa.time32("s")), pa.string(), ["01:02:03"]),
        (pa.array([1_999], pa.timestamp("ns")), pa.timestamp("us"), [datetime.datetime(1970, 1, 1, 0, 0, 0, 1)]),
        (pa.array([1 << 63], pa.uint64()), pa.decimal128(20, 0), [decimal.Decimal(1 << 63)]),
        (pa.array(["a", None]).dictionary_encode(), pa.string(), ["a", None]),
        (pa.array([None, None], pa.null()), pa.int64(), [None, None]),
        (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)), pa.list_(pa.int64()), [[1, 2], None, [3, 4]]),
        (pa.array([[1], None, [], [3]], pa.large_list(pa.int32())), pa.list_(pa.int64()), [[1], None, [], [3]]),
        (
            pa.array([[{"a": 1, "b": None}], None, [None]], NESTED),
            WIDER,
            [[{"a": 1, "b": None, "c": None}], None, [None]],
        ),
        (
            pa.array([[("k", 1)], None, [("x", None)]], pa.map_(pa.string(), pa.int32())),
            pa.map_(pa.string(), pa.int64()),
            [[("k", 1)], None, [("x", None)]],
        ),
    ],
)
def test_values_are_cast_whole_and_in_slices(array: pa.Array, target: pa.DataType, values: list[Any]) -> None:
    found = cast_array(array, target)
    assert found.type == target
    assert found.to_pylist() == values
    assert cast_array(array.slice(1), target).to_pylist() == values[1:]


def test_a_column_that_a_batch_lacks_is_null() -> None:
    batch = pa.record_batch({"a": [1]})
    columns = cast_batch(batch, pa.schema([("b", pa.string()), ("a", pa.int64())]))
    assert [column.to_pylist() for column in columns] == [[None], [1]]
    assert json.loads(shape(pa.table({"a": [1]})).to_json())[1] == ""


def test_columns_of_large_integers_are_known_by_their_statistics() -> None:
    table = pa.table(
        {
            "small": pa.array([1, None, -(1 << 53)], pa.int64()),
            "large": pa.array([1, (1 << 53) + 1, 3], pa.int64()),
            "none": pa.array([None, None, None], pa.int64()),
            "narrow": pa.array([1, 2, 3], pa.int32()),
            "s": pa.array([{"n": 1 << 60}, None, None], pa.struct([("n", pa.int64())])),
        }
    )
    assert shape(table).large == ("large", "s.n")
    assert shape(table, write_statistics=False).large == ("small", "large", "none", "s.n")


def test_an_integer_that_a_double_would_round_is_never_cast() -> None:
    assert cast_array(pa.array([1 << 53, None], pa.int64()), pa.float64()).to_pylist() == [float(1 << 53), None]
    with pytest.raises(pa.ArrowInvalid):
        cast_array(pa.array([(1 << 53) + 1], pa.int64()), pa.float64())
