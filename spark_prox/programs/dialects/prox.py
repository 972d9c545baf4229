"""ProX (arXiv 2409.17115): remove_lines, normalize, keep_chunk; keep_doc and drop_doc at document level.

Takes the spellings of the paper, of its prompts and of the released weights. Lines count from 0.
"""

from __future__ import annotations

import re

from spark_prox.programs.dialects.base import Bound, Dialect, Malformed, Parameter, Signature, by_name, quote
from spark_prox.programs.errors import Code
from spark_prox.programs.ops import DropAll, KeepAll, Op, RemoveAll, RemoveLines, ReplaceText

__all__ = ["PROX"]


def _remove_lines(arguments: Bound) -> Op | Malformed:
    if arguments.get("all") is True:
        return RemoveAll()
    for name in ("start", "end"):
        if name not in arguments:
            return Malformed(Code.MISSING_ARGUMENT, name)
    return RemoveLines(arguments.number("start"), arguments.number("end"))


def _normalize(arguments: Bound) -> Op:
    source, target = arguments.text("source_str"), arguments.text("target_str")
    verbatim = (source.verbatim, target.verbatim)
    values = (source.value, target.value)
    return ReplaceText(*values, verbatim if verbatim != values else None)


def _write(op: Op) -> str | None:
    match op:
        case KeepAll():
            return "keep_chunk()"
        case DropAll():
            return "drop_doc()"
        case RemoveAll():
            return "remove_lines(all=True)"
        case RemoveLines(first, last):
            return f"remove_lines(line_start={first}, line_end={last})"
        case ReplaceText(source, ""):
            return f"normalize(source_str={quote(source)})"
        case ReplaceText(source, target):
            return f"normalize(source_str={quote(source)}, target_str={quote(target)})"
    return None


_QUICK = re.compile(
    r"""([ \t]*(?:remove_lines\((?:(?:line_)?start=)?(0|[1-9][0-9]{0,8}),[ ]?(?:(?:line_)?end=)?(0|[1-9][0-9]{0,8})\)
    |normalize\((?:source_str=)?"([^"\\\n]*)"(?:,[ ]?(?:target_str=)?"([^"\\\n]*)")?\)
    |(keep_chunk|untouch_doc|skip_chunk|keep_doc)\(\))[ \t]*(?:\n|\Z))""",
    re.VERBOSE,
)
_KEEP = KeepAll()


def _read_quick(match: re.Match[str]) -> tuple[str, Op]:
    _, first, last, source, target, keep = match.groups()
    if first is not None:
        return "remove_lines", RemoveLines(int(first), int(last))
    if source is not None:
        return "normalize", ReplaceText(source, target or "")
    return keep, _KEEP


PROX = Dialect(
    name="prox",
    calls=by_name(
        (
            Signature(
                names=("remove_lines",),
                parameters=(
                    Parameter(names=("start", "line_start"), kind="line", required=False),
                    Parameter(names=("end", "line_end"), kind="line", required=False),
                    Parameter(names=("all",), kind="flag", required=False),
                ),
                build=_remove_lines,
            ),
            Signature(
                names=("normalize",),
                parameters=(
                    Parameter(names=("source_str",), kind="text"),
                    Parameter(names=("target_str",), kind="text", required=False),
                ),
                build=_normalize,
            ),
            Signature(
                names=("keep_chunk", "skip_chunk", "untouch_doc", "keep_doc"),
                stage="both",
                build=lambda _: _KEEP,
            ),
            Signature(names=("drop_doc",), stage="doc", build=lambda _: DropAll()),
        )
    ),
    write=_write,
    keep="keep_chunk()",
    quick=_QUICK,
    read_quick=_read_quick,
)
