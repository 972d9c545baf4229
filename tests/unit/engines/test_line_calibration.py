"""The second stage over a line encoder's margins: what it adds, to which lines, and what a model's folder must hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.engines.line_calibration import CALIBRATION, LineCalibration, load_calibration, save_calibration
from spark_prox.errors import ModelError

PROSE, MENU = 30, 3
NUMBERS = LineCalibration(
    intercept=1.0, per_prose=-0.5, per_page=-0.25, most=2.0, prose_length=21, title_lines=2, title_margin=2.5
)


def corrected(margins: list[float], lengths: list[int], page: float = 0.0) -> list[float]:
    found: list[float] = NUMBERS.apply(np.array(margins, np.float32), np.array(lengths), page).tolist()
    return found


def test_a_page_with_much_prose_keeps_its_margins_and_a_doubtful_one_gets_the_benefit() -> None:
    sure = [3.0] * 20
    assert corrected(sure, [PROSE] * 20) == sure
    assert corrected([-3.0, 1.0], [MENU, MENU]) == [-2.0, 2.0]
    assert corrected([-3.0, 1.0], [MENU, MENU], page=-1.0) == [-1.75, 2.25]
    assert corrected([-3.0, 1.0], [MENU, MENU], page=-99.0) == [-1.0, 3.0]  # never more than `most`


def test_a_page_of_which_no_line_would_stay_is_left_to_the_document_level() -> None:
    assert corrected([-9.0, -0.5], [PROSE, MENU]) == [0.0, 0.5]


def test_unsure_lines_shortly_before_the_first_prose_are_kept() -> None:
    margins = [-1.0, -2.0, -4.0, 3.0, -1.0, *[5.0] * 20]
    lengths = [MENU, MENU, MENU, PROSE, MENU, *[PROSE] * 20]
    assert corrected(margins, lengths) == [-1.0, 0.0, -4.0, *margins[3:]]


def test_a_line_is_never_worse_off() -> None:
    @given(st.lists(st.tuples(st.floats(-9, 9, width=32), st.integers(0, 38)), min_size=1), st.floats(-20, 20))
    def check(lines: list[tuple[float, int]], page: float) -> None:
        margins = [margin for margin, _ in lines]
        found = corrected(margins, [length for _, length in lines], page)
        assert all(after >= before for after, before in zip(found, margins, strict=True))

    check()


def test_a_folder_without_the_file_has_none_and_a_stored_one_comes_back(tmp_path: Path) -> None:
    assert load_calibration(tmp_path) is None
    save_calibration(tmp_path, NUMBERS)
    assert load_calibration(tmp_path) == NUMBERS


@pytest.mark.parametrize("change", [{"version": 2}, {"most": "2"}, {"more": 1}, {"intercept": float("nan")}])
def test_a_file_of_another_version_or_with_other_entries_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    save_calibration(tmp_path, NUMBERS)
    stored = json.loads((tmp_path / CALIBRATION).read_text())
    (tmp_path / CALIBRATION).write_text(json.dumps({**stored, **change}))
    with pytest.raises(ModelError, match="MODEL_BAD_METADATA"):
        load_calibration(tmp_path)
