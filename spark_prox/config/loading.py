"""The loader of configuration: a YAML file plus `key=value` overrides, built into frozen dataclasses.

An unknown key is an error that names the nearest valid one. The loader knows no section.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from spark_prox.config.plain_yaml import parse_yaml, read_yaml
from spark_prox.errors import ConfigError

__all__ = ["as_mapping", "bad_value", "build", "read_tree"]

T = TypeVar("T")

_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
"""A number that YAML reads as text, because it has no point: 1e-5."""
_SIZE = re.compile(r"([0-9]{1,6})\s*([kmgt])(?:i?b)?", re.IGNORECASE)
"""Bytes as Spark's own settings have them: 256m, 256MB and 256 MiB are 256 * 1024 * 1024."""
_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def read_tree(
    path: str | Path | None, overrides: Sequence[str] = (), base: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read a configuration file and apply overrides, without a check of its keys.

    Args:
        path: a YAML file; None for an empty one.
        overrides: `key=value` strings; keys are dotted, values are YAML.
        base: values that lie under the overrides and over the file, by dotted key.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, CONFIG_SYNTAX, CONFIG_BAD_VALUE.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        tree = _read_yaml(Path(path))
    for name, value in (base or {}).items():
        _set(tree, name.split("."), value, name)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise ConfigError(
                "CONFIG_BAD_VALUE",
                f"--set {override!r} is not key=value.",
                "Example: --set doc.enabled=false",
            )
        try:
            value = parse_yaml(text)
        except yaml.YAMLError:
            value = text
        except ValueError as error:
            raise ConfigError("CONFIG_BAD_VALUE", f"{key.strip()[:80]} cannot be used: {error}.") from None
        _set(tree, key.strip().split("."), value, key.strip())
    return tree


def build(cls: type[T], tree: object, prefix: str) -> T:
    """Build a dataclass from a mapping, checking keys and types."""
    if not isinstance(tree, Mapping):
        raise bad_value(prefix or "the file", tree, "a mapping of keys")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if key not in fields:
            near = difflib.get_close_matches(str(key), list(fields), n=1, cutoff=0.5)
            hint = f"Did you mean {(prefix + '.' if prefix else '') + near[0]!r}?" if near else ""
            raise ConfigError(
                "CONFIG_UNKNOWN_KEY",
                f"Unknown configuration key {name!r}.",
                hint or f"Valid: {', '.join(fields)}.",
            )
        default = fields[key].default
        if dataclasses.is_dataclass(default) and not isinstance(default, type) and isinstance(value, Mapping):
            # A partial section keeps this section's own defaults.
            values[key] = _convert(hints[key], {**as_mapping(default), **value}, name)
        else:
            values[key] = _convert(hints[key], value, name)
    try:
        return cls(**values)
    except TypeError:
        missing = [
            f"{prefix}.{f.name}" if prefix else f.name
            for f in fields.values()
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and f.name not in values
        ]
        raise ConfigError("CONFIG_MISSING_KEY", f"Missing configuration: {', '.join(missing)}.") from None
    except ValueError as error:
        raise ConfigError("CONFIG_BAD_VALUE", f"{prefix or 'configuration'}: {error}.") from None


def _convert(hint: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        choices = [choice for choice in typing.get_args(hint) if choice is not type(None)]
        if value is None:
            return None
        return _convert(choices[0], value, name)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise bad_value(name, value, "one of " + ", ".join(map(str, typing.get_args(hint))))
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):  # the default of a section inside a section
            return value
        return build(hint, {} if value is None else value, name)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if value is not None and not isinstance(value, Mapping):
            raise bad_value(name, value, "a mapping of keys")
        return dict(value or {})
    if origin is tuple:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)) or not all(isinstance(item, str) for item in values):
            raise bad_value(name, value, "a list of texts")
        return tuple(values)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        raise bad_value(name, value, "a finite number")
    if hint is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    sized = hint is int and name.endswith("_bytes")
    if sized and isinstance(value, str) and (size := _SIZE.fullmatch(value.strip())):
        return int(size[1]) << 10 * (" kmgt".index(size[2].lower()))
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise bad_value(name, value, _expected(hint, sized))
    return value


def _expected(hint: type, sized: bool) -> str:
    words = _EXPECTED.get(hint, f"a {hint.__name__}")
    return f"{words}, or a size such as 256MB" if sized else words


def as_mapping(spec: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, one level deep."""
    return {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}


def bad_value(name: str, value: object, expected: str) -> ConfigError:
    """The error CONFIG_BAD_VALUE for one key."""
    shown = repr(value)
    return ConfigError("CONFIG_BAD_VALUE", f"{name} is {shown[:80]}; expected {expected}.")


def _read_yaml(path: Path) -> dict[str, Any]:
    tree = read_yaml(path)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError("CONFIG_SYNTAX", f"{str(path)!r} holds a {type(tree).__name__}, not a mapping of keys.")
    return tree


def _set(tree: dict[str, Any], keys: list[str], value: Any, name: str) -> None:
    for key in keys[:-1]:
        below = tree.get(key)
        if below is None:
            below = tree[key] = {}
        if not isinstance(below, dict):
            raise bad_value(name, value, f"{key!r} to be a section")
        tree = below
    tree[keys[-1]] = value
