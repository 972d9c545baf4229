"""The HTML reader in its own process: same text, and a hostile page costs only itself."""

from __future__ import annotations

import os
import signal
import time

import pytest

from spark_prox.errors import RejectCode
from spark_prox.sources.contained import ContainedPageText
from spark_prox.sources.page_text import page_text
from spark_prox.sources.warc.http_message import PayloadError
from tests.unit.sources.archive_builder import html

OPTIONS = b"<select>" + b"<option>x" * 300_000  # quadratic in the parser


def test_a_page_reads_the_same_in_the_child() -> None:
    pages = [html("one"), "<p>日本語 עברית <b>é</b>".encode(), b"", b"\xff\xfe\x00", "<p>поле".encode("cp1251")]
    with ContainedPageText() as contained:
        assert [contained(page, "windows-1251") for page in pages] == [
            page_text(page, "windows-1251") for page in pages
        ]


def test_a_page_that_takes_too_long_is_unreadable_and_the_next_is_read() -> None:
    with ContainedPageText(timeout_s=0.5) as contained:
        with pytest.raises(PayloadError) as caught:
            contained(OPTIONS, None)
        assert caught.value.code is RejectCode.RECORD_UNREADABLE
        assert caught.value.detail == "reading the HTML took more than 0.5 s"
        assert contained(html("next"), None) == "next\nText of next."


def test_a_page_that_takes_too_much_memory_is_unreadable_and_the_next_is_read() -> None:
    with ContainedPageText(max_memory_bytes=400 << 20) as contained:
        greedy = b"<p>" + b"".join(b"<b a%d=1>" % n for n in range(3000)) + b"<p>x" * 3000
        with pytest.raises(PayloadError) as caught:
            contained(greedy, None)
        assert caught.value.code is RejectCode.RECORD_UNREADABLE
        assert contained(html("next"), None) == "next\nText of next."


def test_a_child_that_dies_is_replaced() -> None:
    with ContainedPageText() as contained:
        contained(html("x"), None)
        child = contained._child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        with pytest.raises(PayloadError, match="died"):
            contained(html("x"), None)
        assert contained(html("y"), None) == "y\nText of y."


def test_no_child_is_started_without_a_page_and_none_is_left_behind() -> None:
    with ContainedPageText() as contained:
        assert contained._child is None
        contained(html("x"), None)
        child = contained._child
        assert child is not None
    assert child.poll() is not None


def test_nesting_of_any_depth_is_read() -> None:
    with ContainedPageText() as contained:
        for tag in (b"<div>", b"<blockquote>", b"<ul><li>", b"<table><tr><td>", b"<span>"):
            assert contained(tag * 20_000 + b"deep", None).strip("\n").endswith("deep")


def test_a_file_of_slow_pages_has_a_budget_and_its_other_pages_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def ask(self: ContainedPageText, payload: bytes, charset: str | None, limit_s: float) -> str:
        limits.append(limit_s)
        clock[0] += 20.0 if payload.startswith(b"slow") else 0.0
        return ""

    clock = [0.0]
    monkeypatch.setattr(ContainedPageText, "_ask", ask)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with ContainedPageText(timeout_s=30.0, file_timeout_s=50.0) as contained:
        for page in (b"slow", b"slow", b"slow", b"x", b"y" * (2 << 20)):
            contained(page, None)
        contained.next_file()
        contained(b"x", None)
    assert [round(limit, 3) for limit in limits] == [30.0, 30.0, 30.0, 0.5, 2.5, 30.0]
