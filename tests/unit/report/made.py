"""Reports made by hand, of documents that nobody would want: the input of the page's tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime, timezone

from spark_prox.documents import Level, document_hash
from spark_prox.programs import Policy
from spark_prox.report.decisions import decide_story
from spark_prox.report.facts import facts_of
from spark_prox.report.page.model import (
    CallCount,
    EditKind,
    Flow,
    GroupRow,
    Histogram,
    OutcomeRow,
    RejectRow,
    RemovedLine,
    Report,
    RunRow,
    ShownDocument,
    TableRow,
)
from spark_prox.report.story import Key, StoredProgram, Story

DOC: Key = ("doc", "m1", "t1", "g1")
CHUNK: Key = ("chunk", "m1", "t2", "g1")
KEYS: dict[Level, Key] = {"doc": DOC, "chunk": CHUNK}
POLICY = Policy(name="default", min_remove_margin=1.0, min_remove_margin_short=0.5, min_drop_margin=2.0)
SCRIPT = "<script>document.title='owned'</script>"
IMAGE = "<img src=x onerror=\"document.title='owned'\">"
END = "</script><script>document.title='owned'</script><!--"
HOSTILE = (
    SCRIPT,
    IMAGE,
    END,
    "{{ 7 * 7 }} {% raw %} ${document.title='owned'}",
    "javascript:document.title='owned'",
    "\u202egnp.exe\u202c right to left \u05d0\u05d1\u05d2 \u0627\u0644",
    "bell \x07 escape \x1b[31m null \x00 delete \x7f next \x85 separator \u2028\u2029 mark \ufeff",
    "lone \ud800 surrogate and \udfff",
    "x" * 1_000_000,
    "&lt;b&gt; & < > \" ' `",
)


def program(key: Key, text: str | None, doc_hash: str, **values: object) -> StoredProgram:
    """A stored program; what is not given is usual."""
    usual: dict[str, object] = {
        "chunk_index": -1 if key is DOC else 0,
        "chunk_count": 1,
        "first_line": 0,
        "line_count": 0,
        "status": "OK",
        "detail": None,
        "finish_reason": "stop",
        "margin": None,
        "line_margins": None,
        "prompt_tokens": 10,
        "output_tokens": 4,
        "model": "m",
        "template": "t@1",
        "engine": "scripted",
        "run_id": "r1",
        "generated_at": None,
        "attempts": 1,
    }
    return StoredProgram(key=key, program=text, doc_hash=doc_hash, **{**usual, **values})  # type: ignore[arg-type]


def as_stored(margins: Sequence[float]) -> tuple[float, ...]:
    """The table's 32-bit floats."""
    return struct.unpack(f"{len(margins)}f", struct.pack(f"{len(margins)}f", *margins))


def story(
    doc_id: str,
    lines: Sequence[str],
    chunks: Sequence[tuple[str | None, int, int, Sequence[float] | None]],
    *,
    level: str | None = "keep_doc()",
    margin: float | None = 3.0,
    url: str | None = None,
) -> Story:
    """A document with chunk programs (program, first line, lines, margins)."""
    text = "\n".join(lines)
    doc_hash = document_hash(text)
    programs = [program(DOC, level, doc_hash, margin=margin)] if level is not None else []
    for index, (written, first, count, margins) in enumerate(chunks):
        programs.append(
            program(
                CHUNK,
                written,
                doc_hash,
                chunk_index=index,
                chunk_count=len(chunks),
                first_line=first,
                line_count=count,
                status="OK" if written is not None else "ENGINE_FAILED",
                line_margins=as_stored(margins) if margins is not None else None,
            )
        )
    return Story(
        doc_id=doc_id,
        doc_hash=doc_hash,
        url=url or f"https://h{len(lines) % 3}.example/{doc_id}",
        source="made",
        crawl=None,
        text=text,
        own={"language": "eng"},
        programs=tuple(programs),
    )


def hostile_story() -> Story:
    """One document of hostile lines, of which every other one is removed."""
    margins = [-2.0 if number % 2 else 1.5 for number in range(len(HOSTILE))]
    calls = "\n".join(f"remove_lines(start={n}, end={n})" for n in range(1, len(HOSTILE), 2))
    return story(END, HOSTILE, [(calls + f"\n{SCRIPT}", 0, len(HOSTILE), margins)], url=f"javascript:alert(1)//{IMAGE}")


def pages(count: int) -> list[Story]:
    """Pages with a menu, text and a footer, with margins that grow from line to line."""
    made = []
    for number in range(count):
        body = [f"A sentence of page {number} with enough words to count as long, number {line}." for line in range(12)]
        lines = ["Home | About", *body, "Ad", "Copyright", "Share this page with all of your friends and their friends"]
        named = [0, 3, 13, 14, 15]
        margins = [5.0 - 0.1 * line for line in range(len(lines))]
        for place, line in enumerate(named):
            margins[line] = -(0.2 + 0.45 * place + 0.013 * number)
        calls = "\n".join(f"remove_lines(start={line}, end={line})" for line in named)
        made.append(story(f"p{number}", lines, [(calls, 0, len(lines), margins)]))
    return made


def shown(one: Story, policy: Policy = POLICY) -> ShownDocument:
    """What the page gets of a story that is stored as the policy decides."""
    decisions = decide_story(one, KEYS, policy=policy, dialect="prox")
    return ShownDocument(
        story=one, decisions=decisions, facts=facts_of(one, KEYS, policy=policy, dialect="prox"), other=None
    )


def report(documents: Sequence[ShownDocument], policy: Policy = POLICY, text: str = SCRIPT) -> Report:
    """A report on made figures in which every text is a hostile one."""
    started = datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc)
    runs = [
        RunRow(
            run_id=f"r{number}",
            stage="execute",
            status="DONE",
            error="",
            started_at=started,
            seconds=2.0,
            documents=100,
            prompt_tokens=0,
            output_tokens=0,
            flop=None,
            settings="s1" if number else "s0",
            guard={"kept": 90.0, "judged": 100.0, "chars_before": 1000.0, "chars_after": 700.0 + number},
        )
        for number in range(3)
    ]
    return Report(
        title=f"Report {text}",
        made_at=started,
        warehouse=f"/warehouse/{text}",
        run_id="r2",
        settings="s1",
        other_settings=3,
        seed=7,
        policy=policy,
        policy_is_known=True,
        keys_are_known=True,
        config='{"warehouse": "' + text.replace('"', "'") + '"}',
        versions={"spark_prox": "1"},
        flow=Flow(name="here", outcomes=OUTCOMES, quarantined=2, quarantined_chars=500),
        rejects=[RejectRow(stage="ingest", code="EMPTY_TEXT", records=2)],
        removed_share=Histogram(edges=[0, 0.5, 1], documents=[8, 2]),
        lengths=Histogram(edges=[0, 1, 3], documents=[1, 9], after=[4, 6]),
        edits=[EditKind(kind="remove_lines", edits=5, documents=4, chars_removed=300, chars_inserted=0)],
        calls=[CallCount(name="remove_lines", status="out of range", code="OUT_OF_RANGE", calls=4)],
        calls_of=10,
        removed_lines=[RemovedLine(text=line[:300], times=9, documents=3) for line in HOSTILE],
        removed_lines_of=1.0,
        groups={
            "host": [
                GroupRow(value=text, documents=5, dropped=1, words_before=90, words_after=50, kept_words_before=80)
            ]
        },
        runs=runs,
        tables=[
            TableRow(name="refined", where=text, version=3, changed_at=started, rows=10, files=2, size_bytes=12345)
        ],
        what_if=None,
        documents=documents,
    )


def outcome(name: str, reason: str, documents: int, before: int, after: int, level: bool = False) -> OutcomeRow:
    """One row of outcomes; words are tokens are characters."""
    return OutcomeRow(
        outcome=name,
        reason=reason,
        at_document_level=level,
        documents=documents,
        lines_before=before,
        lines_after=after,
        words_before=before,
        words_after=after,
        chars_before=before,
        chars_after=after,
        tokens_before=before,
        tokens_after=after,
    )


OUTCOMES = [
    outcome("EDITED", "EDITS", 60, 6000, 4000),
    outcome("KEPT", "NO_CALL", 20, 2000, 2000),
    outcome("REFUSED", "UNSURE", 5, 500, 500),
    outcome("DROPPED", "DROP_CALL", 10, 1000, 0, level=True),
    outcome("DROPPED", "FEW_WORDS", 1, 100, 0),
]

USED: dict[str, Key] = {str(level): key for level, key in KEYS.items()}


def hard_cases() -> list[Story]:
    """Documents that end in every way that a margin can or cannot change."""
    lines = [f"line {number} with some words of its own to weigh" for number in range(8)]
    few = ["a b", "c d e f g h i j k l", "m"]
    sure = [-4.0, -0.4, -1.0, 2.0, -0.5, -9.0, float("inf"), float("nan")]
    everything = "remove_lines(start=0, end=7)"
    return [
        story("wiped", lines, [(everything, 0, 8, [-5.0] * 8)]),
        story("partly", lines, [(everything, 0, 8, sure)]),
        story("no-margins", lines, [("remove_lines(start=1, end=2)", 0, 8, None)]),
        story("no-call", lines, [("nothing to say", 0, 8, sure)]),
        story("keep-call", lines, [("untouched_lines()", 0, 8, sure), ("keep_all()", 0, 8, sure)][:1]),
        story("no-program", lines, [(None, 0, 8, None)]),
        story("half-failed", lines, [(None, 0, 4, None), ("remove_lines(start=4, end=5)", 4, 4, sure[4:])]),
        story(
            "half-refused",
            lines,
            [
                ("remove_lines(start=50, end=51)\n" * 3, 0, 4, sure[:4]),
                ("remove_lines(start=4, end=5)", 4, 4, sure[4:]),
            ],
        ),
        story("refused", lines, [("remove_lines(start=50, end=51)\n" * 3, 0, 8, sure)]),
        story("loop", lines, [("remove_lines(start=1, end=1)\n" * 12, 0, 8, sure)]),
        story("overlap", lines, [("remove_lines(start=0, end=3)\nremove_lines(start=2, end=5)", 0, 8, sure)]),
        story("clamped", lines, [("remove_lines(start=5, end=70)", 0, 8, sure)]),
        story("dropped", lines, [(everything, 0, 8, sure)], level="drop_doc()", margin=-2.5),
        story("dropped-unsure", lines, [(everything, 0, 8, sure)], level="drop_doc()", margin=-0.5),
        story("dropped-no-chunks", lines, [], level="drop_doc()", margin=-2.5),
        story("no-level", lines, [(everything, 0, 8, sure)], level=None),
        story("short", few, [("remove_lines(start=0, end=2)", 0, 3, [-0.7, -0.7, -0.7])]),
        story("blank", [" ", ""], [("remove_lines(start=0, end=0)", 0, 2, [-3.0, -3.0])]),
        story("last-empty", [*lines, ""], [("remove_lines(start=7, end=8)", 0, 9, [*sure[:7], -3.0, -3.0])]),
    ]
