"""UltraX (arXiv 2607.08646): keep_all, remove_all, remove_lines, replace_str, add_line.

Its prompts mark lines as `<lid:N>` and count them from 1, as its released code does. `replace_str` runs only where its
string occurs exactly once in its line. `add_line(base, sub_idx, content)` adds after line `base`, 0 being the top.
"""

from __future__ import annotations

from spark_prox.programs.dialects.base import Bound, Dialect, Parameter, Signature, by_name, quote
from spark_prox.programs.ops import AddLine, DropAll, KeepAll, Op, RemoveLines, ReplaceInLine

__all__ = ["ULTRAX"]


def _remove_lines(arguments: Bound) -> Op:
    return RemoveLines(arguments.number("start") - 1, arguments.number("end") - 1)


def _replace_str(arguments: Bound) -> Op:
    source, target = arguments.text("old"), arguments.text("new")
    verbatim = (source.verbatim, target.verbatim)
    values = (source.value, target.value)
    return ReplaceInLine(arguments.number("line") - 1, *values, verbatim if verbatim != values else None)


def _add_line(arguments: Bound) -> Op:
    content = arguments.text("content")
    return AddLine(
        arguments.number("base") - 1,
        arguments.number("sub_idx"),
        content.value,
        content.verbatim if content.verbatim != content.value else None,
    )


def _write(op: Op) -> str | None:
    match op:
        case KeepAll():
            return "keep_all()"
        case DropAll():
            return "remove_all()"
        case RemoveLines(first, last):
            return f"remove_lines({first + 1}, {last + 1})"
        case ReplaceInLine(line, source, target):
            return f"replace_str({line + 1}, {quote(source)}, {quote(target)})"
        case AddLine(after, order, content):
            return f"add_line({after + 1}, {order}, {quote(content)})"
    return None


ULTRAX = Dialect(
    name="ultrax",
    first_line=1,
    calls=by_name(
        (
            Signature(
                names=("remove_lines",),
                parameters=(
                    Parameter(names=("start", "start_line", "line_start"), kind="line"),
                    Parameter(names=("end", "end_line", "line_end"), kind="line"),
                ),
                build=_remove_lines,
            ),
            Signature(
                names=("replace_str",),
                parameters=(
                    Parameter(names=("line", "line_number"), kind="line"),
                    Parameter(names=("old", "old_content", "search_content", "old_str"), kind="text"),
                    Parameter(names=("new", "new_content", "replace_content", "new_str"), kind="text"),
                ),
                build=_replace_str,
            ),
            Signature(
                names=("add_line",),
                parameters=(
                    Parameter(names=("base", "base_position", "base_pos"), kind="line"),
                    Parameter(names=("sub_idx", "sub_index"), kind="line"),
                    Parameter(names=("content",), kind="text"),
                ),
                build=_add_line,
            ),
            Signature(names=("keep_all",), stage="both", build=lambda _: KeepAll()),
            Signature(names=("remove_all",), stage="both", build=lambda _: DropAll()),
        )
    ),
    write=_write,
    keep="keep_all()",
)
