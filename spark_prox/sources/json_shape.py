"""The shape of JSON lines: which keys they have, at which depth, with values of which types.

Each part of the input builds a `Shape` as its lines are read; shapes are merged, and the result gives a Spark schema.
The types are those that Spark infers (bigint, decimal, double, boolean, string; what does not go together is a
string, as written). It is bounded: an object that has keys of its own in every line becomes JSON text, and of the
keys of lines only the most frequent become columns. Knows nothing of Spark but its type names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MAX_COLUMNS", "MAX_DEPTH", "MAX_KEYS", "Shape", "merge_shapes"]

MAX_DEPTH = 48
"""Levels of a value. Spark's planner and Delta's schema recurse: some hundred levels end the JVM."""

MAX_KEYS = 256
"""Keys of a nested object over all lines; with more they are data, and the object stays JSON text."""

MAX_COLUMNS = 512
"""Keys of lines that become columns of their own."""

MAX_FIELDS = 4096
"""Fields of one shape at any depth."""

_TRACKED = 4 * MAX_COLUMNS
_LONG = 1 << 63
_DIGITS = 38
_RARE = 100  # where there are too many keys, those of fewer than one line in so many get no column


@dataclass(kw_only=True)
class Shape:
    """The values that were seen at one place.

    Attributes:
        scalar: None, boolean, bigint, decimal(n,0), double, or string, which is also what takes everything.
        fields: of objects: in how many lines a key was seen, and the shape of its values.
        element: of arrays.
        has_more: keys were left out.
        together: names in lower case of which one line had several spellings.
    """

    scalar: str | None = None
    fields: dict[str, tuple[int, Shape]] | None = None
    element: Shape | None = None
    has_more: bool = False
    together: set[str] = field(default_factory=set)

    def add_line(self, value: Mapping[str, Any]) -> None:
        """Take the object of one line."""
        if len(value) > 1 and len(self.together) < _TRACKED:
            lower = [name.lower() for name in value]
            if len(set(lower)) < len(lower):
                self.together.update(name for name in lower if lower.count(name) > 1)
        self._add_fields(value, limit=_TRACKED)

    def merge(self, other: Shape, *, limit: int = MAX_KEYS) -> None:
        """Take all that another shape has seen."""
        self.together |= other.together
        if other.scalar is not None:
            self._add_scalar(other.scalar)
        if other.fields is not None:
            self._merge_fields(other, limit)
        if other.element is not None and self._may_be("element"):
            self.element = self.element or Shape()
            self.element.merge(other.element)

    def to_json(self) -> str:
        """The shape as text, for another process."""
        return json.dumps(self._plain(), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Shape:
        """The inverse of `to_json`."""
        return _from_plain(json.loads(text))

    def columns(self, wanted: Iterable[str] = ()) -> Shape:
        """The shape with its most frequent keys only, and always those of `wanted` in any case."""
        fields = self.fields or {}
        if len(fields) <= MAX_COLUMNS:
            return self
        always = {name.lower() for name in wanted}
        lines = max(count for count, _ in fields.values())
        common = [name for name, (count, _) in fields.items() if name.lower() in always or count * _RARE >= lines]
        order = sorted(common, key=lambda name: (name.lower() not in always, -fields[name][0], name))
        kept = {name: fields[name] for name in order[:MAX_COLUMNS]}
        return Shape(fields=kept, has_more=True, together=self.together)

    def bounded(self) -> Shape:
        """The shape with its widest objects as text, until it has few enough fields."""
        inner = [(shape._size(), shape) for _, shape in (self.fields or {}).values()]
        total = sum(size for size, _ in inner)
        for size, shape in sorted(inner, key=lambda one: -one[0]):
            if total <= MAX_FIELDS:
                break
            shape._become_text()
            total -= size - 1
        return self

    def spark_type(self) -> str | dict[str, Any] | None:
        """The type as in Spark's JSON of schemas; None for objects without keys, which have no type."""
        if self.fields is not None:
            found = {name: self.fields[name][1].spark_type() for name in sorted(self.fields)}
            fields = [_field(name, kind) for name, kind in found.items() if kind is not None]
            return {"type": "struct", "fields": fields} if fields else None
        if self.element is not None:
            kind = self.element.spark_type()
            if kind is None:
                return None
            return {"type": "array", "elementType": "string" if kind == "void" else kind, "containsNull": True}
        return {"bigint": "long"}.get(self.scalar or "void", self.scalar or "void")

    def _add(self, value: object) -> None:
        if value is None or self.scalar == "string":
            return
        if isinstance(value, dict):
            if self._may_be("fields"):
                self._add_fields(value, limit=MAX_KEYS)
        elif isinstance(value, list):
            if self._may_be("element"):
                self.element = self.element or Shape()
                for item in value:
                    self.element._add(item)
        else:
            self._add_scalar(_scalar_of(value))

    def _add_fields(self, value: Mapping[str, Any], *, limit: int) -> None:
        fields = self.fields = {} if self.fields is None else self.fields
        for name, inner in value.items():
            count, shape = fields.get(name, (0, None))
            if shape is None:
                if len(fields) >= limit:
                    self.has_more = True
                    continue
                shape = Shape()
            fields[name] = (count + 1, shape)
            shape._add(inner)
        if self.has_more and limit == MAX_KEYS:
            self._become_text()

    def _merge_fields(self, other: Shape, limit: int) -> None:
        if not self._may_be("fields"):
            return
        fields = self.fields = {} if self.fields is None else self.fields
        self.has_more |= other.has_more
        for name, (count, shape) in (other.fields or {}).items():
            if name not in fields and len(fields) >= limit:
                self.has_more = True
                continue
            seen, own = fields.get(name, (0, Shape()))
            own.merge(shape)
            fields[name] = (seen + count, own)
        if self.has_more and limit == MAX_KEYS:
            self._become_text()

    def _add_scalar(self, kind: str) -> None:
        if self.fields is not None or self.element is not None:
            self._become_text()
        elif self.scalar != kind:
            self.scalar = _common(self.scalar, kind)

    def _may_be(self, kind: str) -> bool:
        """True if the place can hold objects or arrays; if it holds something else, it is text from now on."""
        other = self.element if kind == "fields" else self.fields
        if self.scalar is None and other is None:
            return True
        self._become_text()
        return False

    def _become_text(self) -> None:
        self.scalar, self.fields, self.element, self.has_more = "string", None, None, False

    def _size(self) -> int:
        inner = sum(shape._size() for _, shape in (self.fields or {}).values())
        return 1 + inner + (self.element._size() if self.element else 0)

    def _plain(self) -> list[Any]:
        fields = None if self.fields is None else {n: [c, s._plain()] for n, (c, s) in self.fields.items()}
        return [
            self.scalar,
            fields,
            self.element._plain() if self.element else None,
            self.has_more,
            sorted(self.together),
        ]


def merge_shapes(texts: Iterable[str]) -> Shape:
    """The shape of all lines from those of parts."""
    whole = Shape(fields={})
    for text in texts:
        whole.merge(Shape.from_json(text), limit=_TRACKED)
    return whole


def _from_plain(plain: list[Any]) -> Shape:
    scalar, fields, element, has_more, together = plain
    return Shape(
        scalar=scalar,
        fields=None
        if fields is None
        else {name: (count, _from_plain(shape)) for name, (count, shape) in fields.items()},
        element=None if element is None else _from_plain(element),
        has_more=has_more,
        together=set(together),
    )


def _scalar_of(value: object) -> str:
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        if -_LONG <= value < _LONG:
            return "bigint"
        digits = len(str(abs(value)))
        return f"decimal({digits},0)" if digits <= _DIGITS else "double"
    return "double"


def _common(one: str | None, other: str) -> str:
    """The type for values of both types, as Spark infers it."""
    if one is None or one == other:
        return other
    kinds = {kind.partition("(")[0] for kind in (one, other)}
    if kinds <= {"bigint", "decimal"}:
        return f"decimal({max(_precision(one), _precision(other))},0)"
    return "double" if kinds <= {"bigint", "decimal", "double"} else "string"


def _precision(kind: str) -> int:
    return 20 if kind == "bigint" else int(kind[len("decimal(") : -len(",0)")])


def _field(name: str, kind: str | dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": {}}
