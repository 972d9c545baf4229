"""RefineX (arXiv 2507.03253): remove_lines, remove_str, keep_all. Deletions only; lines count from 0.

`remove_str` runs only where its string occurs exactly once in its line.
"""

from __future__ import annotations

from spark_prox.programs.dialects.base import Bound, Dialect, Parameter, Signature, by_name, quote
from spark_prox.programs.ops import KeepAll, Op, RemoveLines, ReplaceInLine

__all__ = ["REFINEX"]


def _remove_lines(arguments: Bound) -> Op:
    return RemoveLines(arguments.number("start"), arguments.number("end"))


def _remove_str(arguments: Bound) -> Op:
    source = arguments.text("del_str")
    verbatim = (source.verbatim, "") if source.verbatim != source.value else None
    return ReplaceInLine(arguments.number("line"), source.value, "", verbatim)


def _write(op: Op) -> str | None:
    match op:
        case KeepAll():
            return "keep_all()"
        case RemoveLines(first, last):
            return f"remove_lines({first}, {last})"
        case ReplaceInLine(line, source, ""):
            return f"remove_str({line}, {quote(source)})"
    return None


REFINEX = Dialect(
    name="refinex",
    calls=by_name(
        (
            Signature(
                names=("remove_lines",),
                parameters=(
                    Parameter(names=("start", "line_start", "start_line"), kind="line"),
                    Parameter(names=("end", "line_end", "end_line"), kind="line"),
                ),
                build=_remove_lines,
            ),
            Signature(
                names=("remove_str",),
                parameters=(
                    Parameter(names=("line", "line_number"), kind="line"),
                    Parameter(names=("del_str",), kind="text"),
                ),
                build=_remove_str,
            ),
            Signature(names=("keep_all",), stage="both", build=lambda _: KeepAll()),
        )
    ),
    write=_write,
    keep="keep_all()",
)
