"""The upstream ProX algorithm in the plainest code: the reference for `policy="compat"` and for speed.

Written from the description of the algorithm, independently of `spark_prox`: it shares no code and no shortcut with it.
"""

from __future__ import annotations

__all__ = ["reference_refine"]


def reference_refine(text: str, program: str) -> str | None:
    """The refined text, None when dropped; raises ZeroDivisionError for a text without a word, as upstream does."""
    doomed: set[int] = set()
    ranges: list[list[int]] = []
    errors = 0
    normalized = text
    for line in program.strip(" ").split("\n"):
        removes = line.startswith("remove_lines")
        if removes and "all=True" in line:
            doomed = set(range(len(text.split("\n"))))
        elif removes or line.startswith("normalize"):
            if "(" not in line:
                errors += 1
                continue
            closing = line.find(")")
            errors += closing < 0
            arguments = [part.split("=") for part in line[line.find("(") + 1 : closing].split(",")]
            try:
                if removes:
                    first, last = int(arguments[0][1]), int(arguments[1][1])
                    doomed.update(range(first, last + 1))
                    ranges.append([first, last])
                elif len(arguments) == 1:
                    normalized = normalized.replace(arguments[0][1].strip('"'), "")
                elif len(arguments) == 2:
                    source, target = (argument[1].strip('"') for argument in arguments)
                    normalized = normalized if source in ("", " ") else normalized.replace(source, target)
            except (IndexError, ValueError):
                errors += 1
    lines = normalized.split("\n")
    merged: list[list[int]] = []
    for first, last in sorted(ranges, key=lambda span: span[0]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    errors += sum(first >= len(lines) or last >= len(lines) for first, last in merged)
    result = "\n".join([line for number, line in enumerate(lines) if number not in doomed])
    before, after = len(text.split()), len(result.split())
    if after / before <= 1 - 0.95 and errors < 2:
        return None
    if after <= 10:
        return None
    return result if errors < 2 else text
