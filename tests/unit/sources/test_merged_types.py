"""One type for the columns of several files."""

from __future__ import annotations

from typing import Any

import pytest

from spark_prox.sources.merged_types import TypeConflictError, is_wider, merge_types, widest


def struct(**fields: Any) -> dict[str, Any]:
    made = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in fields.items()]
    return {"type": "struct", "fields": made}


def array(kind: Any) -> dict[str, Any]:
    return {"type": "array", "elementType": kind, "containsNull": True}


@pytest.mark.parametrize(
    ("one", "other", "merged"),
    [
        ("void", "string", "string"),
        ("integer", "long", "long"),
        ("byte", "short", "short"),
        ("float", "double", "double"),
        ("integer", "double", "double"),
        ("short", "float", "float"),
        ("integer", "float", "double"),
        ("decimal(5,2)", "decimal(10,1)", "decimal(11,2)"),
        (struct(a="void"), struct(a="string", b="long"), struct(a="string", b="long")),
        (array(struct(a="integer")), array(struct(a="long")), array(struct(a="long"))),
        ("void", array("long"), array("long")),
    ],
)
def test_types_that_go_together_have_one_that_holds_both(one: Any, other: Any, merged: Any) -> None:
    assert merge_types(one, other) == merged
    assert {str(field) for field in [merge_types(other, one)]} == {str(merged)}


@pytest.mark.parametrize(
    ("one", "other", "column"),
    [
        ("long", "string", ""),
        ("long", "double", ""),
        ("string", "binary", ""),
        (struct(m=struct(a="long")), struct(m=struct(a="string")), "m.a"),
        (struct(l=array("long")), struct(l=array("string")), "l.element"),
        (struct(x="long"), struct(x=struct(a="long")), "x"),
        ("decimal(38,0)", "decimal(38,10)", ""),
    ],
)
def test_types_that_do_not_go_together_are_named_with_their_place(one: Any, other: Any, column: str) -> None:
    with pytest.raises(TypeConflictError) as caught:
        merge_types(one, other)
    assert caught.value.column == column


def test_large_integers_and_doubles_go_together_only_where_none_is_rounded() -> None:
    one, other = struct(n="long", m=struct(k="long")), struct(n="double", m=struct(k="double"))
    merged = struct(n="double", m=struct(k="double"))
    assert merge_types(one, other, large=frozenset()) == merge_types(other, one, large=frozenset()) == merged
    with pytest.raises(TypeConflictError) as caught:
        merge_types(one, other, large={"m.k"})
    assert caught.value.column == "m.k"
    assert not is_wider("double", "long")


def test_a_new_table_has_the_widest_types_and_an_old_one_takes_narrower_values() -> None:
    assert widest(struct(a="integer", b=array("float"), c="string")) == struct(a="long", b=array("double"), c="string")
    assert is_wider("long", "integer")
    assert not is_wider("integer", "long")
    assert not is_wider("string", "long")
    assert is_wider(struct(a="long"), struct(a="integer"))
    assert not is_wider(struct(a="long", b="long"), struct(b="long", a="long"))
