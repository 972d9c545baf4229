from __future__ import annotations

import io
import sys
import time

import pytest

from spark_prox.spark.progress import LiveLine, announce


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_for(stream: io.StringIO, count: int, what: str) -> None:
    deadline = time.monotonic() + 10
    while stream.getvalue().count(what) < count and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_log_gets_whole_lines_and_no_control_character(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with LiveLine(lambda: "three\x1b[2J of four", every_s=0.01):
        wait_for(log, 2, "of four")
    lines = log.getvalue().splitlines()
    assert set(lines) == {"three\\x1b[2J of four"}
    assert len(lines) >= 2


def test_a_log_is_quiet_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr("spark_prox.spark.progress._REDRAW_S", 0.01)
    with LiveLine(lambda: "line"):
        time.sleep(0.1)
    assert log.getvalue() == ""


def test_a_terminal_is_redrawn_in_place_and_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("spark_prox.spark.progress._REDRAW_S", 0.01)
    with LiveLine(lambda: "x" * 500):
        wait_for(terminal, 2, "\r")
        announce("something else")
    drawn = terminal.getvalue()
    assert drawn.startswith("\r\x1b[K" + "x" * 36 + "...")
    assert drawn.count("\n") == 1
    assert "\r\x1b[Ksomething else\n" in drawn
    assert drawn.endswith("\r\x1b[K")


def test_a_line_that_cannot_be_told_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log, asked = io.StringIO(), list[int]()
    monkeypatch.setattr(sys, "stderr", log)

    def broken() -> str:
        asked.append(1)
        raise RuntimeError("Spark is gone")

    with LiveLine(broken, every_s=0.01):
        deadline = time.monotonic() + 10
        while len(asked) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(asked) >= 3
    assert log.getvalue() == ""
