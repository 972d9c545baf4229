"""Settings that a model's folder brings along: `spark_prox.json`, so that a refiner is used by its path alone.

    {"level": "chunk", "template": "prox-chunk", "margins": {"min_remove_margin": 0.5}}
    {"level": "both", "template": {"doc": "page-doc", "chunk": "page-chunk"}, "margins": {"min_drop_margin": 2.2}}

`template` is what "auto" stands for, `margins` are what policy `default` takes. `jobs/train.py` writes the file. Knows
no templates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_prox.documents import LEVELS, Level
from spark_prox.errors import ModelError
from spark_prox.metadata import finite_number, read_object

__all__ = ["FOLDER_SETTINGS", "FolderSettings", "folder_settings", "write_folder_settings"]

FOLDER_SETTINGS = "spark_prox.json"
_LEVELS = ("doc", "chunk", "both")
_KEYS = ("level", "template", "margins")
_FIELDS = ("min_drop_margin", "min_remove_margin", "min_remove_margin_short")


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """The settings of one folder.

    Attributes:
        level: doc, chunk or both.
        templates: by level, for the levels that the model is for; empty where the folder does not say.
        margins: fields of the policy; None where the folder does not say.
    """

    level: str
    templates: Mapping[Level, str]
    margins: Mapping[str, float] | None


def folder_settings(folder: Path) -> FolderSettings | None:
    """The settings in a folder; None without the file.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    file = folder / FOLDER_SETTINGS
    if not file.is_file():
        return None
    found = read_object(file)
    if unknown := [str(key)[:40] for key in found if key not in _KEYS]:
        raise _bad(file, f"has the key {unknown[0]!r}", f"expected {', '.join(_KEYS)}")
    level = found.get("level", "both")
    if level not in _LEVELS:
        raise _bad(file, f"has level {str(level)[:40]!r}", f"expected one of {', '.join(_LEVELS)}")
    return FolderSettings(level=level, templates=_templates(file, found, level), margins=_margins(file, found))


def _templates(file: Path, found: dict[str, Any], level: str) -> dict[Level, str]:
    given = found.get("template", {})
    named = {level: given} if isinstance(given, str) and level != "both" else given
    if not isinstance(named, dict) or not all(isinstance(name, str) and len(name) <= 80 for name in named.values()):
        raise _bad(file, "has a template that is no name", "expected a name, or one each for doc and chunk")
    if any(key not in LEVELS or level not in (key, "both") for key in named):
        raise _bad(file, f"is for level {level} and names templates of another", "expected those of its level")
    return {key: named[key] for key in LEVELS if key in named}


def _margins(file: Path, found: dict[str, Any]) -> dict[str, float] | None:
    margins = found.get("margins")
    if margins is None:
        return None
    if not isinstance(margins, dict):
        raise _bad(file, "has margins that are no object", f"expected some of {', '.join(_FIELDS)}")
    if strange := [str(name)[:40] for name in margins if name not in _FIELDS]:
        raise _bad(file, f"has the margin {strange[0]!r}", f"expected some of {', '.join(_FIELDS)}")
    return {name: finite_number(file, margins, name) for name in margins}


def write_folder_settings(
    folder: Path, templates: Mapping[Level, str], *, margins: Mapping[str, float] | None = None
) -> None:
    """Write the file of a refiner that was trained.

    Args:
        templates: of the levels that it was trained for.
        margins: None to write none.
    """
    settings: dict[str, object] = {"level": "both" if len(templates) > 1 else next(iter(templates))}
    settings["template"] = dict(templates)
    if margins is not None:
        settings["margins"] = dict(margins)
    (folder / FOLDER_SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _bad(file: Path, what: str, wanted: str) -> ModelError:
    return ModelError("MODEL_BAD_METADATA", f"{str(file)!r} {what}; {wanted}.", "Correct the file, or delete it.")
