"""Read YAML that somebody else may have written: bounded in size, depth and what its aliases expand to.

YAML that refers to itself, or that grows a million times when it is written out, is refused before anything is built
from it. Knows no key.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from spark_prox.errors import ConfigError

__all__ = ["parse_yaml", "read_yaml"]

_MAX_CHARS = 1 << 20
_MAX_DEPTH = 32
_MAX_NODES = 20_000
_MAX_INTEGER = 1 << 63


def read_yaml(path: Path) -> Any:
    """The value of a YAML file.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, CONFIG_SYNTAX.
    """
    if not path.is_file():
        raise ConfigError(
            "CONFIG_NOT_FOUND",
            f"There is no configuration file {str(path)!r}.",
            "Start from conf/local.yaml.",
        )
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MAX_CHARS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("CONFIG_SYNTAX", f"{str(path)!r} is no text in UTF-8 ({type(error).__name__}).") from None
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigError("CONFIG_SYNTAX", f"{str(path)!r} is not YAML{where}.") from None
    except ValueError as error:
        raise ConfigError("CONFIG_SYNTAX", f"{str(path)!r} cannot be used: {error}.") from None


def parse_yaml(text: str) -> Any:
    """The value that a YAML text stands for.

    Raises:
        yaml.YAMLError: it is none.
        ValueError: it is too large, refers to itself, or holds a value that no setting has.
    """
    if len(text) > _MAX_CHARS:
        raise ValueError(f"it has more than {_MAX_CHARS:,} characters")
    _check_shape(text)
    try:
        value = yaml.safe_load(text)
    except (ValueError, OverflowError) as error:  # such as a date in month 13
        raise ValueError(f"it holds a value that cannot be read ({type(error).__name__})") from None
    _check_numbers(value)
    return value


def _check_shape(text: str) -> None:
    """Count nodes as if every alias were written out, by the parser's events: nothing is built."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []  # anchor of each collection around this place, and nodes before it
    nodes = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, _ in opened):
                raise ValueError("it refers to itself")
            nodes += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, nodes))
            nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = nodes - before
        if len(opened) > _MAX_DEPTH:
            raise ValueError(f"it nests more than {_MAX_DEPTH} levels deep")
        if nodes > _MAX_NODES:
            raise ValueError(f"it has more than {_MAX_NODES:,} values")


def _check_numbers(value: object) -> None:
    if isinstance(value, dict):
        for key, below in value.items():
            _check_numbers(key)
            _check_numbers(below)
    elif isinstance(value, (list, tuple, set)):
        for below in value:
            _check_numbers(below)
    elif isinstance(value, int):
        if not -_MAX_INTEGER <= value < _MAX_INTEGER:
            raise ValueError("it holds a number of more than 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number that is not finite")
