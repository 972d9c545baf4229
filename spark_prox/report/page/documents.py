"""Sampled documents as JSON for the page: whole stories, cut to what a browser shows, under a budget of bytes.

Documents are hostile. The JSON stands inside a script element, so what could end it is escaped; the page shows strings
as text nodes alone.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from urllib.parse import urlsplit

from spark_prox.programs import Edit
from spark_prox.report.decisions import CallStory, Decisions
from spark_prox.report.facts import LineFacts
from spark_prox.report.page.model import ShownDocument
from spark_prox.report.story import Key, StoredProgram, Story

__all__ = ["embedded_json", "fitting_documents"]

MAX_LINES = 3_000
MAX_DOCUMENT_BYTES = 400_000
_LINE_CHARS = 4_000
_CALLS = 500
_PROGRAMS = 64
_LARGE_FLOAT = 3e38
_ESCAPED = re.compile("[&<>\u2028\u2029\ud800-\udfff]")

_Json = dict[str, object]


def embedded_json(value: object) -> str:
    """JSON that is safe inside a script element: it has no `<`, `>`, `&`, line separator or lone surrogate."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def fitting_documents(documents: Iterable[ShownDocument], keys: Iterable[Key], budget: int) -> tuple[list[str], int]:
    """The JSON of documents, in their order, as long as they fit.

    Args:
        keys: of the programs that count.
        budget: bytes for all of them.

    Returns:
        One JSON text for each document, and how many were left out.
    """
    found: list[str] = []
    left_out = 0
    used = tuple(keys)
    for document in documents:
        text = embedded_json(_document(document, used))
        size = len(text.encode()) + 1
        if size > min(budget, MAX_DOCUMENT_BYTES):
            left_out += 1
            continue
        budget -= size
        found.append(text)
    return found, left_out


def _document(document: ShownDocument, keys: Sequence[Key]) -> _Json:
    story, decisions = document.story, document.decisions
    row = story.refined if story.refined is not None else decisions.row
    lines = story.text.split("\n")
    shown = lines[:MAX_LINES]
    found: _Json = {
        "id": story.doc_id,
        "url": story.url or "",
        "host": _host(story.url),
        "source": story.source or "",
        "own": dict(list(story.own.items())[:20]),
        "outcome": row.outcome,
        "reason": row.reason,
        "doc_reason": row.doc_reason,
        "doc_margin": _finite(row.doc_margin),
        "words": [row.words_before, row.words_after],
        "tokens": [row.tokens_before, row.tokens_after],
        "chars": [row.chars_before, row.chars_after],
        "line_count": len(lines),
        "hidden_lines": len(lines) - len(shown),
        "lines": [_clipped(line) for line in shown],
        "changed": _changed_lines(story.text, row.edits, len(shown)),
        "removed": _ranges(line for line in decisions.removed if line < len(shown)),
        "margins": [_short(decisions.margins.get(line)) for line in range(len(shown))] if decisions.margins else [],
        "facts": _facts(document.facts, decisions, len(lines)),
        "programs": _programs(story, decisions, keys),
        "calls": [_call(call) for call in decisions.calls[:_CALLS]],
        "more_calls": max(0, len(decisions.calls) - _CALLS),
    }
    found["chunks"] = [
        [chunk.first_line, chunk.line_count] for key in keys if key[0] == "chunk" for chunk in story.chunks(key) or ()
    ]
    if story.reject is not None and story.refined is None:
        found["reject"] = {
            "code": story.reject.code,
            "detail": _clipped(story.reject.detail or ""),
            "stage": story.reject.stage,
        }
    if document.other is not None:
        outcome, reason, removed = document.other
        found["other"] = {
            "outcome": outcome,
            "reason": reason,
            "removed": _ranges(line for line in removed if line < len(shown)),
        }
    return found


def _facts(facts: LineFacts, decisions: Decisions, line_count: int) -> _Json:
    """All of them where all lines are there; else the document stays as it is stored."""
    if line_count > MAX_LINES or facts.state == "fixed":
        return {"state": "fixed", "words": list(facts.words[:MAX_LINES])}
    return {name: value for name, value in asdict(facts).items() if name != "state"} | {"state": facts.state}


def _programs(story: Story, decisions: Decisions, keys: Sequence[Key]) -> list[_Json]:
    used = [row for row in story.programs if row.key in keys and row.doc_hash == story.doc_hash]
    return [_program(row) for row in used[:_PROGRAMS]]


def _program(row: StoredProgram) -> _Json:
    return {
        "level": row.level,
        "chunk": row.chunk_index,
        "first": row.first_line,
        "count": row.line_count,
        "status": row.status,
        "detail": _clipped(row.detail or ""),
        "finish": row.finish_reason or "",
        "margin": _finite(row.margin),
        "tokens": [row.prompt_tokens, row.output_tokens],
        "model": row.model,
        "revision": row.key[1],
        "template": row.template,
        "run": row.run_id,
        "attempts": row.attempts,
    }


def _call(call: CallStory) -> list[object]:
    return [call.level, call.chunk, _clipped(call.source, 600), call.status, call.code or "", call.count]


def _host(url: str | None) -> str:
    try:
        return (urlsplit(url).hostname or "") if url else ""
    except ValueError:
        return ""


def _clipped(text: str, most: int = _LINE_CHARS) -> str | list[object]:
    """The text, or its beginning and how many characters more there are."""
    return text if len(text) <= most else [text[:most], len(text) - most]


def _ranges(lines: Iterable[int]) -> list[list[int]]:
    """Runs of numbers, both ends inclusive."""
    runs: list[list[int]] = []
    for line in sorted(lines):
        if runs and runs[-1][1] == line - 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return runs


def _changed_lines(text: str, edits: Sequence[Edit], most: int) -> dict[int, list[list[object]]]:
    """Lines that were changed inside, as pieces: -1 for what went, 1 for what came, 0 for what stayed."""
    changes = [edit for edit in edits if edit.kind != "remove_lines"]
    if not changes:
        return {}
    starts = [0]
    for part in text.split("\n"):
        starts.append(starts[-1] + len(part) + 1)
    pieces: dict[int, list[list[object]]] = {}
    reached: dict[int, int] = {}
    last_line = len(starts) - 2
    for edit in changes:
        line = min(_line_at(starts, edit.start), last_line)
        position = edit.start
        while True:
            stop = min(edit.stop, starts[line + 1])
            own = pieces.setdefault(line, [])
            own.append([0, text[reached.get(line, starts[line]) : position]])
            own.append([-1, text[position:stop]])
            reached[line] = stop
            if stop == edit.stop or line == last_line:
                break
            line, position = line + 1, stop
        pieces[line].append([1, edit.inserted])
    for line, own in pieces.items():
        own.append([0, text[reached[line] : max(reached[line], starts[line + 1] - 1)]])
    return {
        line: [[kind, _clipped(str(piece))] for kind, piece in own if piece]
        for line, own in pieces.items()
        if line < most
    }


def _line_at(starts: Sequence[int], offset: int) -> int:
    low, high = 0, len(starts) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if starts[middle] <= offset else (low, middle)
    return low


def _finite(margin: float | None) -> float | None:
    """JSON has no infinity; a margin that is no number is as good as a certain keep, see `Policy.min_drop_margin`."""
    if margin is None or math.isfinite(margin):
        return margin
    return -_LARGE_FLOAT if margin < 0 else _LARGE_FLOAT


def _short(margin: float | None) -> float | None:
    """The shortest decimal that is the same 32-bit float, as margins are stored."""
    if margin is None:
        return None
    if not math.isfinite(margin):
        return -_LARGE_FLOAT if margin < 0 else _LARGE_FLOAT
    for digits in (4, 5, 6, 7, 8, 9):
        short = float(f"{margin:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", margin):
            return short
    return margin
