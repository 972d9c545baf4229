"""Labelling as a function of keys, what it shows, and the file that it writes."""

from __future__ import annotations

import gzip
import json
from functools import reduce
from pathlib import Path

import pytest

from spark_prox.annotation.label_files import LabelFile
from spark_prox.annotation.label_screen import label_screen
from spark_prox.annotation.labelling import LineMarks, begin, press
from spark_prox.annotation.labels import LabelledPage, load_labelled_pages
from spark_prox.errors import InputError
from spark_prox.terminal import PLAIN, Paint

REMOVED = [True, False, False, False, True]


def typed(keys: str | list[str], start: LineMarks | None = None) -> LineMarks:
    return reduce(press, keys, start or begin(5, REMOVED))


def labels(state: LineMarks) -> str:
    return "".join("k" if keep else "r" for keep in state.keep())


def test_a_document_that_is_stored_at_once_says_that_the_run_is_right() -> None:
    state = typed(["enter"])
    assert state.ending == "stored"
    assert labels(state) == "rkkkr"


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("k", "kkkkr"),  # the line under the cursor, which then goes on
        ("kr", "krkkr"),
        ("w", "kkkkr"),  # the run removed it, which is wrong
        ("ww", "krkkr"),  # and it kept this one, which is wrong too
        ("1-3r", "rrrrr"),
        ("0,4k", "kkkkk"),
        ("0-1,4w", "krkkk"),
        ("1-3rK", "krrrk"),  # the others
        ("0kR", "krrrr"),
        ("0-4ru", "rkkkr"),
        ("krru", "krkkr"),
        ("kuuu", "rkkkr"),
        ("4gk", "rkkkk"),
        ("jjppk", "kkkkr"),
        ("12x1r", "rrkkr"),  # a key that does nothing forgets the number
    ],
)
def test_keys_mark_lines(keys: str, wanted: str) -> None:
    assert labels(typed(keys)) == wanted


@pytest.mark.parametrize("keys", ["9k", "3-1k", "2-9r", "-k", "1--2k", "1,,9k", "99999999999k"])
def test_a_range_that_is_none_changes_nothing_and_is_told(keys: str) -> None:
    state = typed(keys)
    assert state.marks == (None,) * 5
    assert state.message
    assert state.typed == ""


def test_backspace_takes_back_a_digit_and_escape_all_of_them() -> None:
    assert labels(typed(["1", "3", "backspace", "r"])) == "rrkkr"
    assert labels(typed(["3", "escape", "k"])) == "kkkkr"


def test_the_cursor_stays_inside_the_document() -> None:
    assert typed(["up", "pageup", "home"]).cursor == 0
    assert typed(["end", "down", "pagedown", " "]).cursor == 4
    assert typed(["k"] * 9).cursor == 4
    assert typed(["k", "k", "home", "n"]).cursor == 2
    assert typed(["K", "n"]).message == "every line has a mark"


def test_hidden_decisions_ask_for_a_mark_of_every_line() -> None:
    hidden = begin(3, None)
    assert "hidden" in typed("w", hidden).message
    refused = typed(["k", "enter"], hidden)
    assert refused.ending is None
    assert "2 lines have no mark" in refused.message
    done = typed(["k", "R", "enter"], hidden)
    assert (done.ending, labels(done)) == ("stored", "krr")


def test_a_document_is_skipped_or_labelling_ends() -> None:
    assert typed("s").ending == "skipped"
    assert typed("kkq").ending == "quit"
    assert typed("?").asks_help


def test_the_screen_shows_decisions_and_marks_and_no_control_character() -> None:
    lines = ["Home\x1b[2J", "text", "日本語" * 50, "more", "Ad"]
    state = typed("jr")
    rows = label_screen(state, lines, title="d\x07", rows=8, columns=40, paint=PLAIN)
    assert rows[0] == "d\\x07"
    assert rows[1] == "    -     0  Home\\x1b[2J"
    assert rows[2] == "  r       1  text"
    assert rows[3].startswith(">         2  日本語")
    assert len(rows[3]) <= 40 - 12
    assert len(rows) == 8
    assert (
        "5 lines, the run removed 2, 1 marked"
        in label_screen(state, lines, title="", rows=8, columns=99, paint=PLAIN)[-2]
    )
    painted = label_screen(state, lines, title="d", rows=8, columns=40, paint=Paint(enabled=True))
    assert painted[2] == "\x1b[31m  r       1  text\x1b[0m"


def test_a_long_document_is_shown_around_the_cursor() -> None:
    state = begin(1_000, [False] * 1_000)
    state = reduce(press, ["5", "0", "0", "g"], state)
    rows = label_screen(state, [f"line {n}" for n in range(1_000)], title="d", rows=13, columns=80, paint=PLAIN)
    assert any(row.startswith(">       500  line 500") for row in rows)
    assert len(rows) == 13


PAGE = LabelledPage(page_id="d1", source="s", url="https://h.example/1", lines=("a", "ß", ""), keep=(1.0, 0.0, 1.0))


@pytest.mark.parametrize("name", ["labels.jsonl", "new/labels.jsonl.gz"])
def test_labels_are_in_the_layout_that_training_and_evaluation_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    LabelFile(path).add(PAGE)
    other = LabelledPage(page_id="d2", source="s", lines=("x",), keep=(0.0,))
    LabelFile(path).add(other)
    assert load_labelled_pages([path]) == [PAGE, other]
    opener = gzip.open if name.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as stream:
        row = json.loads(next(iter(stream)))
    assert row == {"id": "d1", "url": "https://h.example/1", "source": "s", "text": "a\nß\n", "keep": [1, 0, 1]}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_page_that_is_labelled_again_takes_the_place_of_the_first_labels(tmp_path: Path) -> None:
    labels_of = LabelFile(tmp_path / "l.jsonl")
    labels_of.add(PAGE)
    labels_of.add(LabelledPage(page_id="d1", source="s", lines=("a",), keep=(0.0,)))
    assert [page.keep for page in load_labelled_pages([tmp_path / "l.jsonl"])] == [(0.0,)]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "l.jsonl"
    labels_of = LabelFile(path)
    labels_of.add(PAGE)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="LABELS_UNWRITABLE"):
        labels_of.add(LabelledPage(page_id="d2", source="s", lines=("x",), keep=(0.0,)))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["l.jsonl"]
    assert list(labels_of.pages) == ["d1"]


def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text("not json\n")
    with pytest.raises(InputError, match="LABELS_UNWRITABLE"):
        LabelFile(tmp_path / "l.jsonl")
    with pytest.raises(InputError, match="LABELS_BAD_NAME"):
        LabelFile(tmp_path / "labels.csv")
