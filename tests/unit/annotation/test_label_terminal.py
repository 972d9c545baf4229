"""Labelling in a real pseudo-terminal, in a process of its own: keys arrive one by one and the terminal is put back."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_prox.annotation.label_files import LabelFile
from spark_prox.annotation.label_session import SampledDocument, label_documents, pending
from spark_prox.annotation.label_terminal import KeyReader, Screen
from spark_prox.annotation.labels import load_labelled_pages
from spark_prox.errors import SetupError

PROGRAM = """
import sys
from spark_prox.annotation.label_files import LabelFile
from spark_prox.annotation.label_screen import label_screen
from spark_prox.annotation.label_session import label_documents
from spark_prox.annotation.label_terminal import Screen
from spark_prox.terminal import paint_for
from tests.unit.annotation.test_label_terminal import documents

screen, paint = Screen(), paint_for(sys.stdout)
def draw(state, document, title):
    rows, columns = screen.size
    screen.draw(label_screen(state, document.lines, title=title, rows=rows, columns=columns, paint=paint))
with screen:
    done = label_documents(documents(), LabelFile(sys.argv[1]), screen.keys(), draw)
print("labelled", done)
"""


def documents() -> list[SampledDocument]:
    return [
        SampledDocument(
            doc_id=f"d{n}", url=None, source="s", outcome="EDITED", text="Menu\ntext\nAd", removed=(True, False, False)
        )
        for n in range(3)
    ]


@pytest.fixture
def terminal(repository: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "LINES": "24", "COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": str(repository)}
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "labels.jsonl")],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=repository, env=environment,
    )  # fmt: skip
    before = termios.tcgetattr(theirs)
    yield child, ours
    child.wait(timeout=30)
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def read_until(descriptor: int, wanted: str) -> str:
    seen, deadline = "", time.monotonic() + 60
    while wanted not in seen and time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.1)[0]:
            seen += os.read(descriptor, 65536).decode("utf-8", "replace")
    assert wanted in seen
    return seen


def test_a_person_labels_in_a_terminal_quits_and_goes_on(
    terminal: tuple[subprocess.Popen[bytes], int], tmp_path: Path
) -> None:
    child, keys = terminal
    screen = read_until(keys, "? for the keys")
    assert "1 of 3" in screen
    assert "> " in screen
    os.write(keys, b"\x1b[B\x1b[B")  # two lines down, as the arrow key sends it
    os.write(keys, b"r\r")  # the run missed the ad
    read_until(keys, "2 of 3")
    os.write(keys, b"0-1wu\r")  # taken back: the run is right
    read_until(keys, "3 of 3")
    os.write(keys, b"kq")
    read_until(keys, "labelled 2")
    assert child.wait(timeout=30) == 0
    pages = load_labelled_pages([tmp_path / "labels.jsonl"])
    assert [(page.page_id, page.keep) for page in pages] == [("d0", (0, 1, 0)), ("d1", (0, 1, 1))]
    assert [document.doc_id for document in pending(documents(), LabelFile(tmp_path / "labels.jsonl"))] == ["d2"]


def test_keys_have_names() -> None:
    read, write = os.pipe()
    os.write(write, "k\x1b[A\x1bOB\x1b[6~\r\x7fé\x1b".encode())
    os.close(write)
    assert list(KeyReader(read).keys()) == ["k", "up", "down", "pagedown", "enter", "backspace", "é", "escape"]
    os.close(read)


def test_without_a_terminal_it_says_so() -> None:
    with pytest.raises(SetupError, match="NO_TERMINAL"):
        Screen()


def test_the_end_of_the_keys_is_a_quit_and_skipped_documents_stay(tmp_path: Path) -> None:
    labels = LabelFile(tmp_path / "l.jsonl")
    assert label_documents(documents(), labels, iter(["s", "enter", "k"]), lambda *_: None) == 1
    assert list(labels.pages) == ["d1"]
    assert [document.doc_id for document in pending(documents(), labels)] == ["d0", "d2"]
