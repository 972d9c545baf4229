"""One type for the columns of several files: null and anything is that, integers and floats of two widths the wider.

Integers and floats go together where no integer would be rounded.

Types are those of Spark's JSON of schemas. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

__all__ = ["TypeConflictError", "is_wider", "merge_types", "widest"]

INTEGERS = ("byte", "short", "integer", "long")
FLOATS = ("float", "double")
_EXACT = {"byte": "float", "short": "float", "integer": "double"}
"""The narrowest float that holds every integer of a type."""
Kind = str | dict[str, Any]


class TypeConflictError(ValueError):
    """Two types that do not go together, and where."""

    def __init__(self, path: tuple[str, ...], one: Kind, other: Kind) -> None:
        self.column = ".".join(path)
        self.types = (_name(one), _name(other))
        super().__init__(f"{self.column}: {self.types[0]} and {self.types[1]}")


def merge_types(one: Kind, other: Kind, path: tuple[str, ...] = (), large: Set[str] | None = None) -> Kind:
    """The type that holds the values of both.

    Args:
        large: columns of type `long`, by path with dots, that may have values which a `double` rounds; None where
            nothing is known of values.

    Raises:
        TypeConflictError: there is none.
    """
    if other in (one, "void"):
        return one
    if one == "void":
        return other
    if isinstance(one, dict) and isinstance(other, dict) and one["type"] == other["type"]:
        return _merge_nested(one, other, path, large)
    if isinstance(one, str) and isinstance(other, str):
        for ladder in (INTEGERS, FLOATS):
            if one in ladder and other in ladder:
                return max(one, other, key=ladder.index)
        mixed = _integer_and_float(one, other, large is not None and ".".join(path) not in large)
        if mixed:
            return mixed
        decimals = [_decimal(kind) for kind in (one, other)]
        if decimals[0] and decimals[1]:
            return _wider_decimal(decimals[0], decimals[1], path)
    raise TypeConflictError(path, one, other)


def widest(kind: Kind) -> Kind:
    """The type with every integer as `long` and every float as `double`, so that later files of either width fit."""
    if isinstance(kind, str):
        return "long" if kind in INTEGERS else "double" if kind in FLOATS else kind
    made = dict(kind)
    for name in ("elementType", "valueType", "keyType"):
        if name in made:
            made[name] = widest(made[name])
    if made["type"] == "struct":
        made["fields"] = [{**field, "type": widest(field["type"])} for field in made["fields"]]
    return made


def is_wider(table: Kind, incoming: Kind) -> bool:
    """True if every value of `incoming` fits in `table`, which has no more fields than it."""
    try:
        return merge_types(table, incoming) == table and _names(table) == _names(incoming)
    except TypeConflictError:
        return False


def _integer_and_float(one: str, other: str, is_exact: bool) -> str:
    """The float type that holds an integer type and a float type; "" without one."""
    integer, real = (one, other) if one in INTEGERS else (other, one)
    if integer not in INTEGERS or real not in FLOATS:
        return ""
    if integer == "long":
        return "double" if is_exact else ""
    return max(_EXACT[integer], real, key=FLOATS.index)


def _merge_nested(
    one: dict[str, Any], other: dict[str, Any], path: tuple[str, ...], large: Set[str] | None
) -> dict[str, Any]:
    if one["type"] == "struct":
        found = {field["name"]: field for field in one["fields"]}
        for field in other["fields"]:
            name = field["name"]
            kind = field["type"]
            if name in found:
                kind = merge_types(found[name]["type"], kind, (*path, name), large)
            found[name] = {**field, "type": kind}
        return {**one, "fields": list(found.values())}
    return {
        **one,
        **{
            part: merge_types(one[part], other[part], (*path, part.removesuffix("Type")), large)
            for part in ("elementType", "keyType", "valueType")
            if part in one
        },
    }


def _wider_decimal(one: tuple[int, int], other: tuple[int, int], path: tuple[str, ...]) -> str:
    scale = max(one[1], other[1])
    precision = scale + max(one[0] - one[1], other[0] - other[1])
    if precision > 38:
        raise TypeConflictError(path, f"decimal{one}", f"decimal{other}")
    return f"decimal({precision},{scale})"


def _decimal(kind: str) -> tuple[int, int] | None:
    if not kind.startswith("decimal("):
        return None
    precision, scale = kind[len("decimal(") : -1].split(",")
    return int(precision), int(scale)


def _names(kind: Kind) -> list[object]:
    """The names of fields at every depth, in order."""
    if isinstance(kind, str):
        return []
    if kind["type"] == "struct":
        return [[field["name"], _names(field["type"])] for field in kind["fields"]]
    return [_names(kind[part]) for part in ("elementType", "keyType", "valueType") if part in kind]


def _name(kind: Kind) -> str:
    return kind if isinstance(kind, str) else str(kind["type"])
