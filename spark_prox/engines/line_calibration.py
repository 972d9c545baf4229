"""The second stage of a line encoder: a few numbers beside the weights that correct the margins of a page's lines.

A page on which the model finds little prose, or that it doubts as a whole, is one that it may have misread, and a
mistake there costs most of the content: its lines get the benefit of the doubt. Lines shortly before the first prose
are kept where the model is not sure: the title is one of them. Of a page without a line that the model keeps, all
lines stay, for the document level to decide. All of it adds to margins and never subtracts.

Numbers in `calibration.json` of a model's folder; a folder without the file has margins as the model gives them. Knows
no text: shapes of lines say which are prose.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from spark_prox.errors import ModelError
from spark_prox.metadata import finite_number, read_object

__all__ = ["CALIBRATION", "LineCalibration", "load_calibration", "save_calibration"]

CALIBRATION = "calibration.json"
_VERSION = 1
_STRONG = 1.0  # a line of prose that the model keeps with this margin counts as content that it has found


@dataclass(frozen=True, kw_only=True)
class LineCalibration:
    """The numbers of one model. Margins are in nats.

    Attributes:
        intercept, per_prose, per_page: the benefit of a page's lines is `intercept` + `per_prose` * log(1 + lines of
            prose that are surely kept) + `per_page` * margin of the page, at least 0.
        most: the largest benefit.
        prose_length: lines whose number of length is at least this are prose.
        title_lines: so many lines before the first prose that is kept may be the title.
        title_margin: they are kept where the model's own margin is at least minus this.
    """

    intercept: float
    per_prose: float
    per_page: float
    most: float
    prose_length: int
    title_lines: int
    title_margin: float

    def sure_prose(self, margins: Any, lengths: Any) -> int:
        """How many lines of prose the model surely keeps.

        Args:
            margins: [L] of the page's lines.
            lengths: [L] number of each line's length, as in its shape.
        """
        return int(((margins > _STRONG) & (lengths >= self.prose_length)).sum())

    def benefit(self, margins: Any, lengths: Any, page_margin: float) -> float:
        """The addition to the margin of every line of a page; arguments as in `sure_prose`."""
        found = math.log1p(self.sure_prose(margins, lengths))
        return min(self.most, max(0.0, self.intercept + self.per_prose * found + self.per_page * page_margin))

    def apply(self, margins: Any, lengths: Any, page_margin: float) -> Any:
        """[L] corrected margins; arguments as in `sure_prose`."""
        import numpy as np

        corrected = margins + np.float32(self.benefit(margins, lengths, page_margin))
        if not (margins > 0).any():  # what is left of such a page would be scraps: the document level decides on it
            return np.maximum(corrected, 0)
        prose = np.flatnonzero((margins > 0) & (lengths >= self.prose_length))
        if len(prose):
            before = slice(max(0, int(prose[0]) - self.title_lines), int(prose[0]))
            unsure = margins[before] >= -self.title_margin
            corrected[before] = np.where(unsure, np.maximum(corrected[before], 0), corrected[before])
        return corrected


def save_calibration(folder: Path, calibration: LineCalibration) -> None:
    """Write the file."""
    text = json.dumps({"version": _VERSION, **asdict(calibration)}, indent=1)
    (folder / CALIBRATION).write_text(text + "\n", encoding="utf-8")


def load_calibration(folder: Path) -> LineCalibration | None:
    """The numbers in a model's folder; None without the file.

    Raises:
        ModelError: MODEL_BAD_METADATA, also for a file of a later version.
    """
    file = folder / CALIBRATION
    if not file.is_file():
        return None
    found = read_object(file)
    names = [entry.name for entry in fields(LineCalibration)]
    if found.get("version") != _VERSION or sorted(found) != sorted([*names, "version"]):
        raise ModelError(
            "MODEL_BAD_METADATA",
            f"{str(file)!r} has other entries than a calibration of version {_VERSION}.",
            "Use the version of spark_prox that wrote it, or delete the file to take margins as the model gives them.",
        )
    numbers: dict[str, Any] = {name: finite_number(file, found, name) for name in names}
    return LineCalibration(
        **{**numbers, "prose_length": int(numbers["prose_length"]), "title_lines": int(numbers["title_lines"])}
    )
