"""Runs the HTML reader in a child process, where a hostile page can cost a page and no more.

The parser is native code: a page of a few hundred kilobytes can be written so that it takes minutes, gigabytes or
the process. The child has a limit on time for each page and on address space; when it dies, the page gets a code and
the next page gets a new child. Knows nothing of archives.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import IO

from spark_prox.errors import RejectCode
from spark_prox.sources.extraction import check_extract, extract_function
from spark_prox.sources.page_text import hinted_text
from spark_prox.sources.warc.contents import HtmlToText
from spark_prox.sources.warc.http_message import PayloadError

__all__ = ["ContainedPageText", "serve"]

REQUEST = struct.Struct("!IId")  # bytes of payload, bytes of charset, most seconds
MIB = 1 << 20
HINTED = "all, with hints"
ANSWER = struct.Struct("!?II")  # whether it worked, bytes of text, bytes of hints


class ContainedPageText:
    """Text of pages from a child process that starts with the first page. Use as a context manager.

    Args:
        extract: how pages become text, a name of `extraction`; EXTRACT_MISSING where its package is not installed.
        line_hints: make hints for the lines of each text.
        timeout_s: most seconds for one page.
        file_timeout_s: seconds for the pages of one file (see `next_file`) beyond a second for each mebibyte of them;
            when they are used up, each further page has half a second and one for each mebibyte.
        max_memory_bytes: most address space of the child.
    """

    def __init__(
        self,
        *,
        extract: str = "all",
        line_hints: bool = False,
        timeout_s: float = 30.0,
        file_timeout_s: float = 120.0,
        max_memory_bytes: int = 3 << 30,
    ) -> None:
        check_extract(extract)
        self._extract = HINTED if line_hints else extract
        self.line_hints: str | None = None
        """Hints for the lines of the last text, as JSON; None where they are not made."""
        self._timeout_s = timeout_s
        self._file_timeout_s = file_timeout_s
        self._spent_s = 0.0
        self._max_memory_bytes = max_memory_bytes
        self._child: subprocess.Popen[bytes] | None = None

    def next_file(self) -> None:
        """The pages that follow are of another file."""
        self._spent_s = 0.0

    def __call__(self, payload: bytes, charset: str | None) -> str:
        """Text of an HTML page.

        Raises:
            PayloadError: RECORD_UNREADABLE, when the page is more than the child can bear.
        """
        fair_s = len(payload) / MIB
        limit_s = self._timeout_s if self._spent_s < self._file_timeout_s else min(self._timeout_s, 0.5 + fair_s)
        begun = time.monotonic()
        try:
            return self._ask(payload, charset, limit_s)
        finally:
            self._spent_s += max(time.monotonic() - begun - fair_s, 0.0)

    def _ask(self, payload: bytes, charset: str | None, limit_s: float) -> str:
        if self._child is None:
            self._child = self._start()
        name = (charset or "").encode("ascii", "replace")
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(REQUEST.pack(len(payload), len(name), limit_s))
            stdin.write(name)
            stdin.write(payload)
            stdin.flush()
            worked, size, hint_size = ANSWER.unpack(_read(stdout, ANSWER.size))
            text = _read(stdout, size).decode("utf-8", "replace")
            self.line_hints = _read(stdout, hint_size).decode() or None
        except (OSError, EOFError):
            raise PayloadError(RejectCode.RECORD_UNREADABLE, self._reason(limit_s)) from None
        if not worked:
            raise PayloadError(RejectCode.RECORD_UNREADABLE, f"the HTML reader failed: {text}")
        return text

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.communicate()

    def _reason(self, limit_s: float) -> str:
        """Why the child died; forgets it."""
        child, self._child = self._child, None
        if child is None:
            return "the HTML reader is gone"
        try:
            child.communicate(timeout=5)
        except (subprocess.TimeoutExpired, OSError, ValueError):
            child.kill()
            child.wait()
        if child.returncode == -signal.SIGALRM:
            return f"reading the HTML took more than {limit_s:g} s"
        return f"the HTML reader died (exit status {child.returncode})"

    def _start(self) -> subprocess.Popen[bytes]:
        call = f"from spark_prox.sources.contained import serve; serve({self._max_memory_bytes}, {self._extract!r})"
        # The child finds the same code as its parent, also where that came as a zip from Spark.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        return subprocess.Popen(
            [sys.executable, "-c", call],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def __enter__(self) -> ContainedPageText:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(max_memory_bytes: int, extract: str) -> None:
    """The child: pages from standard input, texts to standard output, until the parent is gone."""
    import resource

    html_to_text = _with_hints if extract == HINTED else _without_hints(extract_function(extract))
    resource.setrlimit(resource.RLIMIT_AS, (max_memory_bytes, max_memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            payload_bytes, name_bytes, timeout_s = REQUEST.unpack(_read(source, REQUEST.size))
            charset = _read(source, name_bytes).decode("ascii") or None
            payload = _read(source, payload_bytes)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, timeout_s)  # its default action ends the process, native code included
        try:
            text, hints = html_to_text(payload, charset)
            worked, answer = True, text.encode("utf-8", "replace")
        except Exception as error:  # noqa: BLE001 - whatever native code raises is one page's fault
            worked, answer, hints = False, type(error).__name__.encode(), b""
        signal.setitimer(signal.ITIMER_REAL, 0)
        sink.write(ANSWER.pack(worked, len(answer), len(hints)))
        sink.write(answer)
        sink.write(hints)
        sink.flush()


def _with_hints(payload: bytes, charset: str | None) -> tuple[str, bytes]:
    text, hints = hinted_text(payload, charset)
    return text, json.dumps([asdict(hint) for hint in hints]).encode()


def _without_hints(html_to_text: HtmlToText) -> Callable[[bytes, str | None], tuple[str, bytes]]:
    return lambda payload, charset: (html_to_text(payload, charset), b"")


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return bytes(data)
