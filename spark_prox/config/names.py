"""Names as SQL takes them: every identifier that reaches SQL is quoted here. Knows no table and no Spark."""

from __future__ import annotations

from spark_prox.errors import ConfigError

__all__ = ["CATALOG_PREFIX", "quoted", "quoted_name", "schema_of"]

CATALOG_PREFIX = "catalog:"
_MAX_PARTS = 8


def quoted(name: str) -> str:
    """One identifier in backticks: a column, a part of a table's name, a path."""
    return "`" + name.replace("`", "``") + "`"


def quoted_name(parts: tuple[str, ...]) -> str:
    """A name of several parts, such as a table with its schema."""
    return ".".join(map(quoted, parts))


def schema_of(location: str) -> tuple[str, ...] | None:
    """The parts of a schema's name in `catalog:<schema>`; None for a directory or URI.

    Parts are separated by dots; one in backticks may hold any character, a backtick written twice.

    Raises:
        ConfigError: WAREHOUSE_BAD_NAME.
    """
    if not location.startswith(CATALOG_PREFIX):
        return None
    name = location[len(CATALOG_PREFIX) :]
    parts: list[str] = []
    position = 0
    while True:
        part, position = _part(name, position)
        if not part.strip() or any(ord(character) < 32 for character in part) or len(parts) == _MAX_PARTS:
            raise _bad_name(location)
        parts.append(part)
        if position == len(name):
            return tuple(parts)
        if name[position] != ".":
            raise _bad_name(location)
        position += 1


def _part(name: str, position: int) -> tuple[str, int]:
    """The part that begins at a position, and where it ends."""
    if not name.startswith("`", position):
        stop = name.find(".", position)
        stop = len(name) if stop < 0 else stop
        return name[position:stop], stop
    stop = position + 1
    while (stop := name.find("`", stop)) >= 0 and name.startswith("``", stop):
        stop += 2
    if stop < 0:
        return "", len(name)
    return name[position + 1 : stop].replace("``", "`"), stop + 1


def _bad_name(location: str) -> ConfigError:
    return ConfigError(
        "WAREHOUSE_BAD_NAME",
        f"The warehouse {location[:80]!r} names no schema.",
        "Write catalog:SCHEMA or catalog:CATALOG.SCHEMA; a part with dots or blanks goes in backticks.",
    )
