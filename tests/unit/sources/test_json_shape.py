"""What many lines look like together: Spark's types, bounded, and no line decides for others."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from spark_prox.sources import json_shape
from spark_prox.sources.json_lines import LineRow, read_json_lines
from spark_prox.sources.json_shape import MAX_COLUMNS, MAX_DEPTH, MAX_KEYS, Shape, merge_shapes


def shape_of(*lines: object) -> Shape:
    shape = Shape(fields={})
    data = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode()
    assert all(row.line is not None for row in read_json_lines(io.BytesIO(data), shape=shape))
    return shape


def types(shape: Shape) -> dict[str, Any]:
    kind = shape.spark_type()
    assert isinstance(kind, dict)
    return {field["name"]: field["type"] for field in kind["fields"]}


def row(line: str) -> LineRow:
    [found] = read_json_lines(io.BytesIO(line.encode()))
    return found


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "long"),
        ([1, 2.5], "double"),
        ([1, None], "long"),
        ([None], "void"),
        ([True], "boolean"),
        ([True, 1], "string"),
        ([1, "a"], "string"),
        ([1 << 63], "decimal(19,0)"),
        ([1 << 63, 1], "decimal(20,0)"),
        ([1 << 63, 1.5], "double"),
        ([10**40], "double"),
        ([[1], "a"], "string"),
        ([{"a": 1}, 1], "string"),
        ([{"a": 1}, [1]], "string"),
    ],
)
def test_values_of_several_types_get_the_type_that_takes_all(values: list[object], kind: str) -> None:
    assert types(shape_of(*({"v": value} for value in values)))["v"] == kind
    assert types(shape_of(*({"v": value} for value in reversed(values))))["v"] == kind


def test_nested_values_have_nested_types_and_objects_without_keys_none() -> None:
    found = types(shape_of({"m": {"b": 1}, "l": [1, 2.5], "e": {}, "n": []}, {"m": {"a": ["x"]}}))
    assert [field["name"] for field in found["m"]["fields"]] == ["a", "b"]
    assert found["l"]["elementType"] == "double"
    assert found["n"]["elementType"] == "string"
    assert "e" not in found


def test_shapes_of_parts_merge_to_the_shape_of_all_lines() -> None:
    lines = [{"a": 1}, {"a": 2.5, "m": {"x": None}}, {"m": {"x": "s", "y": [1]}}, {"A": [{}]}, {"m": 3}]
    parts = [shape_of(*lines[:2]), shape_of(*lines[2:4]), shape_of(lines[4])]
    whole = shape_of(*lines)
    for texts in ([part.to_json() for part in parts], [part.to_json() for part in reversed(parts)]):
        assert merge_shapes(texts).spark_type() == whole.spark_type()


def test_an_object_with_keys_of_its_own_in_every_line_is_text() -> None:
    lines = [{"id": n, "meta": {f"k{n}": 1, "url": "x"}} for n in range(MAX_KEYS + 1)]
    assert types(shape_of(*lines))["meta"] == "string"
    assert types(shape_of(*lines[:50]))["meta"]["type"] == "struct"
    parts = [shape_of(*lines[:200]).to_json(), shape_of(*lines[200:]).to_json()]
    assert types(merge_shapes(parts))["meta"] == "string"


def test_of_lines_with_keys_of_their_own_only_the_common_keys_are_columns() -> None:
    shape = shape_of(*({"id": n, "text": "x", f"k{n}": 1} for n in range(2 * MAX_COLUMNS)), {"Dump": "y"})
    kept = shape.columns(["dump"])
    assert set(types(kept)) == {"id", "text", "Dump"}
    assert kept.has_more
    assert not shape_of({"a": 1}).columns().has_more


def test_a_shape_of_too_many_fields_keeps_its_small_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_shape, "MAX_FIELDS", 20)
    found = types(shape_of({"large": {f"k{n}": 1 for n in range(30)}, "small": {"a": 1}}).bounded())
    assert found["large"] == "string"
    assert found["small"]["type"] == "struct"


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ('{"id":"a0","id":"a"}', '{"id":"a"}'),
        ('{"m":{"u":1.50,"u":2.50},"l":[1e5]}', '{"m":{"u":2.50},"l":[1e5]}'),
        ('{"id":NaN, "n": -Infinity}', '{"id":"NaN","n":"-Infinity"}'),
        ('{"a":9007199254740993,"a":9007199254740993}', '{"a":9007199254740993}'),
        ('{"t":"\\ud800","t":"\\ud800"}', '{"t":"\\ud800"}'),
        ('{"id": 1.0, "t": "x"}', '{"id": 1.0, "t": "x"}'),
    ],
)
def test_a_repeated_key_means_its_last_value_and_numbers_stay_as_written(line: str, written: str) -> None:
    assert row(line).line == written


def test_spellings_of_one_line_are_told_from_those_of_several() -> None:
    assert shape_of({"text": 1}, {"TEXT": 2}).together == set()
    assert merge_shapes([shape_of({"text": 1, "Text": 2}).to_json(), "[null,{},null,false,[]]"]).together == {"text"}


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]"), ('{"a":[', "]}")])
def test_a_line_is_nested_to_a_limit(opening: str, closing: str) -> None:
    levels = opening.count("{") + opening.count("[")
    fits = (MAX_DEPTH - 1) // levels
    assert row('{"v":' + opening * fits + "1" + closing * fits + "}").line is not None
    for count in (fits + 1, 250, 900, 100_000):
        deep = row('{"v":' + opening * count + "1" + closing * count + "}")
        assert (deep.reject_code, deep.reject_detail) == ("BAD_ROW", "nested too deeply")
    assert row('{"v":[' + ",".join(["{}"] * 1000) + "]}").line is not None
