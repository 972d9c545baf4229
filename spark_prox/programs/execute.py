"""Run chunk plans on a document: one pass from the original text to the refined one, with every edit on record.

All offsets refer to the original. Replacements run first, in order, inside their chunk; then the union of the removed
lines goes. Decides outcomes by the policy; knows no spelling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spark_prox.programs.assemble import Draft, assemble
from spark_prox.programs.errors import CallStatus, Code
from spark_prox.programs.ops import KeepAll
from spark_prox.programs.plan import ChunkPlan
from spark_prox.programs.policy import Policy
from spark_prox.programs.refinement import Outcome, Record, Refinement
from spark_prox.programs.words import count_words, has_more_words_than, words_to_clear

__all__ = ["execute_plans"]


def execute_plans(
    text: str,
    plans: Sequence[ChunkPlan],
    rules: Policy,
    margins: Mapping[int, float] | None = None,
    *,
    too_many_errors: bool = False,
) -> Refinement:
    """Execute the plans of all chunk programs of one document, which has at least one word.

    Args:
        too_many_errors: the document is refused as a whole, but few words still drop it (upstream's order).
    """
    draft = assemble(text, plans, rules, margins)
    if rules.max_removed_of_chunk is not None and _refuse_wiped_chunks(text, plans, draft, rules.max_removed_of_chunk):
        draft = assemble(text, plans, rules, margins)
    refined, outcome, reason = _decide(text, plans, draft, rules, too_many_errors)
    spans = draft.spans if outcome is Outcome.EDITED else ()
    record = Record(spans, [plan.trace() for plan in plans])
    return Refinement(text=refined, outcome=outcome, reason=reason, original=text, record=record)


def _decide(
    text: str, plans: Sequence[ChunkPlan], draft: Draft, rules: Policy, too_many_errors: bool
) -> tuple[str | None, Outcome, Code]:
    if plans and all(plan.drops >= 0 for plan in plans) and draft.spans:
        return None, Outcome.DROPPED, Code.DROP_CALL
    if not too_many_errors and _is_wiped(text, draft, rules.max_removed_of_document):
        if rules.when_wiped == "drop":
            return None, Outcome.DROPPED, Code.DOCUMENT_WIPED
        return _refuse_all(text, plans, Code.DOCUMENT_WIPED)
    if rules.min_words_after and not has_more_words_than(draft.text, rules.min_words_after - 1):
        return None, Outcome.DROPPED, Code.FEW_WORDS
    if too_many_errors:
        return _refuse_all(text, plans, Code.TOO_MANY_ERRORS)
    return _without_limits(text, plans, draft)


def _refuse_all(text: str, plans: Sequence[ChunkPlan], code: Code) -> tuple[str, Outcome, Code]:
    for plan in plans:
        plan.results = [
            (CallStatus.REFUSED, code, 0) if result[0] is CallStatus.APPLIED else result for result in plan.results
        ]
    return text, Outcome.REFUSED, code


def _without_limits(text: str, plans: Sequence[ChunkPlan], draft: Draft) -> tuple[str, Outcome, Code]:
    refused = next((plan.verdict for plan in plans if plan.verdict is not None and not plan.failed), None)
    failed = [plan.verdict for plan in plans if plan.failed]
    if draft.spans:
        if refused is not None:
            return draft.text, Outcome.EDITED, Code.PARTLY_REFUSED
        return draft.text, Outcome.EDITED, Code.PARTLY_FAILED if failed else Code.EDITS
    if refused is not None:
        return text, Outcome.REFUSED, refused
    if not plans:
        return text, Outcome.FAILED, Code.NO_PROGRAM
    if len(failed) == len(plans):
        return text, Outcome.FAILED, failed[0] or Code.NO_PROGRAM
    why = _why_a_call_was_refused(plans)
    if why is not None:
        return text, Outcome.REFUSED, why
    if failed:
        return text, Outcome.KEPT, Code.PARTLY_FAILED
    if not any(plan.parsed.calls for plan in plans):
        return text, Outcome.KEPT, Code.NO_CALL  # upstream keeps whatever it cannot read
    ops = [call.op for plan in plans for call in plan.parsed.calls if call.op is not None]
    only_keeps = bool(ops) and all(isinstance(op, KeepAll) for op in ops)
    return text, Outcome.KEPT, Code.KEEP_CALL if only_keeps else Code.NO_EFFECT


def _why_a_call_was_refused(plans: Sequence[ChunkPlan]) -> Code | None:
    """The code of the first call that was refused."""
    for plan in plans:
        for status, code, _ in plan.results:
            if status is CallStatus.REFUSED:
                return code
    return None


def _is_wiped(text: str, draft: Draft, limit: float | None) -> bool:
    """True if `words after / words before <= 1 - limit`, in upstream's floating point.

    Counts words only when it must: a removed piece of n characters had at most n // 2 + 1 words, so a few words of the
    result often settle it.
    """
    if limit is None or not draft.spans:
        return False
    share = 1 - limit
    most_removed = sum((span[1] - span[0]) // 2 + 1 for span in draft.spans)
    enough = words_to_clear(most_removed, share)
    if enough < 4096 and has_more_words_than(draft.text, enough):
        return False
    words = count_words(text)
    return words > 0 and count_words(draft.text) / words <= share


def _refuse_wiped_chunks(text: str, plans: Sequence[ChunkPlan], draft: Draft, limit: float) -> bool:
    refused = False
    for plan in plans:
        if plan.verdict is not None or not plan.edits_something:
            continue
        lines = draft.lines
        start, stop = (lines.start(plan.first), lines.end(plan.stop - 1)) if lines else (0, len(text))
        pieces: list[str] = []
        position = start
        for span in draft.spans:
            if span[5] == plan.index:
                pieces += (text[position : span[0]], span[2])
                position = max(position, span[1])
        pieces.append(text[position : max(stop, position)])
        before = count_words(text[start:stop])
        if before and count_words("".join(pieces)) < before * (1 - limit):
            plan.refuse(Code.CHUNK_WIPED)
            refused = True
    return refused
