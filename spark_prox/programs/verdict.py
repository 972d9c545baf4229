"""Document level: does a program say keep or drop? Where that is unsure, keep, and say why. Knows no text."""

from __future__ import annotations

from typing import Literal, NamedTuple

from spark_prox.programs.dialects import dialect_for
from spark_prox.programs.errors import Code
from spark_prox.programs.ops import DropAll, KeepAll
from spark_prox.programs.parse import ParsedProgram, parse_program
from spark_prox.programs.policy import Policy, policy_for

__all__ = ["Decision", "decide_document"]


class Decision(NamedTuple):
    """A verdict and why: KEEP_CALL and DROP_CALL where the program says it."""

    verdict: Literal["keep", "drop"]
    reason: Code


_PROX = "prox"


def decide_document(
    program: str, *, dialect: str = "prox", policy: str | Policy = "default", margin: float | None = None
) -> Decision:
    """Keep or drop a document by its document-level program.

    ProX's words count in every dialect: templates of the document level answer in them.

    Args:
        program: what the model wrote.
        dialect: how it is spelt.
        policy: policy `compat` drops wherever the program contains "drop", as upstream does.
        margin: log p(keep) - log p(drop), where known, for `Policy.min_drop_margin`.

    Raises:
        ConfigError: an unknown dialect or policy.
    """
    rules = policy_for(policy)
    if rules.reader == "upstream":
        return Decision("drop", Code.DROP_CALL) if "drop" in program else Decision("keep", Code.KEEP_CALL)
    keeps, drops, parsed = _verdicts(program, dialect)
    if not keeps and not drops and dialect != _PROX:
        keeps, drops, _ = _verdicts(program, _PROX)
    if keeps and drops:
        return Decision("keep", Code.CONFLICT)
    if keeps:
        return Decision("keep", Code.KEEP_CALL)
    if not drops:
        return Decision("keep", _why_no_verdict(parsed))
    if rules.min_drop_margin is not None and margin is not None and not -margin >= rules.min_drop_margin:
        return Decision("keep", Code.UNSURE)
    return Decision("drop", Code.DROP_CALL)


def _verdicts(program: str, dialect: str) -> tuple[bool, bool, ParsedProgram]:
    """True where the program says keep, and drop."""
    parsed = parse_program(program, dialect)
    signatures = dialect_for(dialect).calls
    ops = [call.op for call in parsed.calls if call.op is not None and signatures[call.name].stage != "chunk"]
    return any(isinstance(op, KeepAll) for op in ops), any(isinstance(op, DropAll) for op in ops), parsed


def _why_no_verdict(parsed: ParsedProgram) -> Code:
    if parsed.blank:
        return Code.EMPTY_PROGRAM
    if any(call.op is not None for call in parsed.calls):
        return Code.WRONG_STAGE
    if parsed.calls and parsed.calls[-1].code is Code.TRUNCATED:
        return Code.TRUNCATED
    return Code.NO_CALL
