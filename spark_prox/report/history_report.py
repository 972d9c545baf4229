"""A document's history as text for a terminal: lineage, versions, programs with what became of each call, edits, why.

Takes what `spark_prox.report.history` read. Control characters of documents and programs never reach the terminal.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from pyspark.sql import Row

from spark_prox.execution import refine_stored
from spark_prox.programs import CallStatus, Code, Outcome, Refinement, RemoveLines, removed_lines
from spark_prox.report.edit_lines import edit_lines
from spark_prox.report.history import DocumentHistory, RowChange, RunRecord
from spark_prox.report.other_policy import OtherPolicy, replay_under
from spark_prox.sources.snapshot import InputSnapshot
from spark_prox.terminal import Colour, Paint, shown, shown_lines

__all__ = ["history_report"]

_WIDTH = 110
_MOST_CALLS = 40
_MOST_LINES = 400
_MOST_CHANGES = 30
_OUTCOMES: dict[str, Colour] = {"KEPT": "green", "EDITED": "blue", "DROPPED": "red", "REFUSED": "yellow"}


def history_report(history: DocumentHistory, *, paint: Paint, what_if: Sequence[OtherPolicy] = ()) -> str:
    """The whole history.

    Args:
        what_if: policies to apply to the stored programs, without storing anything.
    """
    rows = [*_head(history, paint), *_lineage(history, paint), *_changes(history.changes, paint)]
    if history.document is not None:
        replayed = _replayed(history)
        rows += _programs(history, replayed, paint)
        rows += _decision(history, paint)
        rows += _text(history, replayed, paint)
        for other in what_if:
            rows += _under(history, other, paint)
    return "\n".join(rows)


def _head(history: DocumentHistory, paint: Paint) -> Iterator[str]:
    yield paint("bold", shown(f"Document {history.doc_id}", _WIDTH))
    row = history.document
    if row is not None:
        yield shown(f"  url       {row['url'] or '-'}", _WIDTH)
        place = row["path"] or "-"
        yield shown(f"  from      {place}" + (f", at {row['position']}" if row["position"] is not None else ""), 300)
        lines = row["text"].count("\n") + 1
        yield f"  text      {lines:,} lines, {len(row['text']):,} characters, hash {shown(row['doc_hash'][:16])}"
    for reject in history.rejects:
        detail = f": {reject['detail']}" if reject["detail"] else ""
        said = f"  rejected  {reject['code']} by {reject['stage']}, {reject['attempts'] or 0} attempts{detail}"
        yield paint("red", shown(said, _WIDTH))


def _lineage(history: DocumentHistory, paint: Paint) -> Iterator[str]:
    """From the row to model, revision, template, policy, code, run and input."""
    yield paint("bold", "Lineage")
    row, run, ingest = history.document, history.run, history.ingest
    if row is not None:
        when = f"{row['ingested_at']:%Y-%m-%d %H:%M}" if row["ingested_at"] else "-"
        yield shown(f"  input     {_input(ingest)}", 300)
        yield shown(f"  ingested  {when} by run {row['ingested_by']}{_code(ingest)}", _WIDTH)
    for level in ("doc", "chunk"):
        yield from _writer(level, history.used(level), run)
    if history.refined is not None:
        refined = history.refined
        yield shown(f"  policy    {refined['policy']}, {refined['policy_hash'][:16]}, {_limits(run)}", 200)
        when = f"{refined['refined_at']:%Y-%m-%d %H:%M}"
        yield shown(f"  refined   {when} by run {refined['run_id']}{_code(run)}", _WIDTH)
    if run is None and history.refined is not None:
        yield "            this run left no row in `runs`, and no other run has its settings: it was killed early"
    elif run is not None and run.by_settings:
        yield shown(f"            its own row is lost; run {run.run_id} has the same settings", _WIDTH)


def _input(ingest: RunRecord | None) -> str:
    if ingest is None or ingest.input is None:
        return "not known: the run left no row in `runs`, or is of an earlier version"
    return InputSnapshot.of(ingest.input).described


def _code(run: RunRecord | None) -> str:
    if run is None or run.by_settings:
        return ""
    return f", spark_prox {run.versions.get('spark_prox', '?')} code {run.versions.get('code', '?')}"


def _limits(run: RunRecord | None) -> str:
    if run is None or run.policy is None:
        return "its limits are not known"
    names = ("min_drop_margin", "min_remove_margin", "min_remove_margin_short")
    return ", ".join(f"{name} {getattr(run.policy, name)}" for name in names)


def _writer(level: str, used: Sequence[Row], run: RunRecord | None) -> Iterator[str]:
    if used:
        row = used[0]
        revision = f"{row['model']} revision {row['model_revision'][:24]}"
        rest = f"template {row['template']} {row['template_hash'][:8]}, engine {row['engine']}"
        yield shown(f"  {level:<9} {revision}, {rest}", 200)
        when = f"{row['generated_at']:%Y-%m-%d %H:%M}" if row["generated_at"] else "-"
        yield shown(f"            written {when} by run {row['run_id']}", _WIDTH)
    elif run is not None and run.writers and level not in run.writers:
        yield f"  {level:<9} this level was off"
    else:
        yield f"  {level:<9} no program"


def _changes(changes: Sequence[RowChange], paint: Paint) -> Iterator[str]:
    if not changes:
        return
    yield paint("bold", "Versions")
    for change in changes[-_MOST_CHANGES:]:
        said = ", ".join(
            f"{name} {str(value)[:16] if name == 'doc_hash' else value}"
            for name, value in change.values.items()
            if name != "doc_id" and value is not None
        )
        yield shown(f"  {change.when:%Y-%m-%d %H:%M:%S}  {change.table} {change.version}: {change.kind}, {said}", 160)


def _replayed(history: DocumentHistory) -> Refinement | None:
    """The chunk programs under the policy that was applied, call by call; None where that is not known."""
    chunks, run = history.chunks(), history.run
    if not chunks or run is None or run.policy is None:
        return None
    return refine_stored(history.text, chunks, policy=run.policy, dialect=run.dialect)


def _programs(history: DocumentHistory, replayed: Refinement | None, paint: Paint) -> Iterator[str]:
    yield paint("bold", "Programs")
    used = [*history.used("doc"), *history.used("chunk")]
    for row in used:
        yield shown(f"  {_place(row)}", _WIDTH)
        if row["stage"] == "chunk" and replayed is not None and row["status"] == "OK":
            yield from _calls(replayed, row["chunk_index"], paint)
        else:
            yield from (f"    {line}" for line in shown_lines(row["program"] or "", _MOST_CALLS))
    if history.line_program:
        yield "  lines that repeat on the host (filter repeated-lines):"
        yield from (f"    {line}" for line in shown_lines(history.line_program, _MOST_CALLS))
    if len(history.programs) > len(used):
        yield f"  {len(history.programs) - len(used):,} more of other settings or of earlier versions of the text"


def _place(row: Row) -> str:
    status = row["status"] + (f" {row['detail']}" if row["detail"] else "")
    margin = "" if row["margin"] is None else f", log p(keep) - log p(drop) {row['margin']:.2f}"
    if row["stage"] == "doc":
        return f"document: {status}{margin}"
    last = row["first_line"] + row["line_count"] - 1
    return f"chunk {row['chunk_index'] + 1} of {row['chunk_count']}, lines {row['first_line']} to {last}: {status}"


def _calls(replayed: Refinement, chunk: int, paint: Paint) -> Iterator[str]:
    """Each call as it was written, and what became of it."""
    if chunk >= len(replayed.traces):
        return
    parsed = replayed.traces[chunk].parsed
    results = [result for result in replayed.calls if result.chunk == chunk]
    for call, result in itertools.islice(zip(parsed.calls, results, strict=True), _MOST_CALLS):
        source = shown(parsed.text[call.start : call.stop].strip(), 70)
        code, status = result.code, result.status.value
        why = f" {code.value}" if code is not None and code.value != status.replace(" ", "_").upper() else ""
        count = f", {result.count:,}" if result.count else ""
        colour: Colour = "green" if result.status is CallStatus.APPLIED else "yellow"
        yield f"    {source:<44}  {paint(colour, f'{status}{count}{why}')}"
    if len(results) > _MOST_CALLS:
        yield f"    ... {len(results) - _MOST_CALLS:,} calls more"


def _decision(history: DocumentHistory, paint: Paint) -> Iterator[str]:
    row = history.refined
    yield paint("bold", "Decision")
    if row is None:
        yield "  no row of refined: " + ("in quarantine, see above" if history.rejects else "not executed yet")
        return
    yield f"  {_outcome(row['outcome'], paint)}: {shown(row['reason'])} (document level: {shown(row['doc_reason'])})"
    yield (
        f"  lines {row['lines_before']:,} -> {row['lines_after']:,}, words {row['words_before']:,} -> "
        f"{row['words_after']:,}, tokens {_number(row['tokens_before'])} -> {_number(row['tokens_after'])}"
    )


def _outcome(outcome: str, paint: Paint) -> str:
    return paint(_OUTCOMES.get(outcome, "yellow"), outcome)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _text(history: DocumentHistory, replayed: Refinement | None, paint: Paint) -> Iterator[str]:
    """The edits, or the beginning of what was dropped."""
    row = history.refined
    if row is None:
        return
    if row["outcome"] == Outcome.DROPPED.value:
        yield paint("bold", "Text, all of it dropped")
        yield from (paint("red", f"- {line}") for line in shown_lines(history.text, _MOST_CALLS))
        return
    notes = _unsure(history, replayed)
    yield paint(
        "bold", "Edits" + (" (? names a line that a program would remove, of which it was not sure)" * bool(notes))
    )
    yield from _clipped(edit_lines(history.text, history.edits, paint=paint, notes=notes))


def _unsure(history: DocumentHistory, replayed: Refinement | None) -> dict[int, str]:
    """Lines that a program names and that stay because its margin is too small."""
    if replayed is None:
        return {}
    margins = {
        chunk.first_line + offset: value
        for chunk in history.chunks() or ()
        for offset, value in enumerate(chunk.line_margins or ())
    }
    asked = (result.op for result in replayed.calls if result.code is Code.UNSURE)
    ranges = sorted((op.first, op.last) for op in asked if isinstance(op, RemoveLines))
    gone, found, place = removed_lines(history.text, history.edits), dict[int, str](), 0
    for first, last in ranges:  # each line once, however often it is named
        for line in range(max(first, place), min(last, replayed.lines_before - 1) + 1):
            if line in margins and line not in gone:
                found[line] = f"margin {-margins[line]:.2f}"
        place = max(place, last + 1)
    return found


def _under(history: DocumentHistory, other: OtherPolicy, paint: Paint) -> Iterator[str]:
    """The outcome and the edits of the same programs under another policy."""
    row = replay_under(history, other.policy)
    yield paint("bold", shown(f"Under policy {other.name}", _WIDTH))
    yield f"  {_outcome(row.outcome, paint)}: {row.reason}, lines {row.lines_before:,} -> {row.lines_after:,}"
    before = history.refined
    if before is not None and before["outcome"] == row.outcome and before["text"] == row.text:
        yield "  the same text"
    elif row.text is not None:
        yield from _clipped(edit_lines(history.text, row.edits, paint=paint))


def _clipped(rows: Iterable[str]) -> Iterator[str]:
    found = list(itertools.islice(rows, _MOST_LINES + 1))
    yield from (f"  {row}" for row in found[:_MOST_LINES])
    if len(found) > _MOST_LINES:
        yield "  ... more lines that are not shown"
