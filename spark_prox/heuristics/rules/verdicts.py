"""The sets of rules by name, and the verdict of several sets on a text.

The reason of a verdict is `RULE_`, the set's name and the rule's. Knows no Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from spark_prox.heuristics.rules.c4 import c4_rules
from spark_prox.heuristics.rules.fineweb import fineweb_rules
from spark_prox.heuristics.rules.gopher_quality import gopher_quality
from spark_prox.heuristics.rules.gopher_repetition import gopher_repetition
from spark_prox.heuristics.rules.page import Broken, Page

__all__ = ["RULE_SETS", "broken_rule"]

RULE_SETS: Mapping[str, Callable[[Page], Broken | None]] = {
    "gopher_repetition": gopher_repetition,
    "gopher_quality": gopher_quality,
    "c4": c4_rules,
    "fineweb": fineweb_rules,
}
"""In the order of FineWeb's pipeline."""


def broken_rule(text: str, sets: Sequence[str], *, c4_line_ends: bool = True) -> Broken | None:
    """The first rule of the sets that a text breaks, in the order of `RULE_SETS`, and its figure; None for a good text.

    Args:
        sets: keys of `RULE_SETS`.
        c4_line_ends: see `c4_rules`.
    """
    if not text.strip():
        return "RULE_EMPTY", ""
    page = Page(text)
    for name, rules in RULE_SETS.items():
        if name not in sets:
            continue
        broken = c4_rules(page, line_ends=c4_line_ends) if name == "c4" else rules(page)
        if broken is not None:
            return f"RULE_{name.upper()}_{broken[0]}", broken[1]
    return None
