"""Policies: when a program, a call or an edit is refused. Named, overridable, fingerprinted.

`default` errs towards keeping text and bounds time and memory; `compat` reproduces the upstream executor, defects
included (`spark_prox.programs.upstream`); `permissive` executes whatever can be executed. Knows numbers, not documents.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from spark_prox.errors import ConfigError

__all__ = ["POLICIES", "Policy", "policy_for"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """When to refuse. `None` switches a limit off.

    Attributes:
        name: what the table calls it.
        reader: "grammar" reads programs as docs/programs.md says; "upstream" as the released executor does.
        scope: where `normalize` acts: in its own "chunk" or in the whole "document".
        max_errors: most counted errors of one chunk program (upstream: of one document); with more it is refused.
        max_calls: most calls of one chunk program.
        max_repeats: a program that ends in more than this many repetitions of the same 1 to 4 editing calls is refused.
        max_removed_of_chunk: a chunk program that removes more than this share of its chunk's words is refused.
        max_removed_of_document: at this share of removed words or more, the document is `when_wiped`.
        when_wiped: "refuse" gives back the original text, "drop" drops the document.
        min_words_after: a document with fewer words after its program is dropped (upstream: 11).
        min_remove_margin: a line whose log p(remove) - log p(keep) is known and below this is not removed.
        min_remove_margin_short: the same for a line of fewer than `short_line_words` words, which costs less if it was
            content; None: no other than for long lines.
        short_line_words: see `min_remove_margin_short`.
        min_drop_margin: a document whose log p(drop) - log p(keep) is known and below this is not dropped.
        max_growth: a chunk may become this many times as long by replacements, plus `growth_slack_chars`.
        growth_slack_chars: see `max_growth`.
        max_text_chars: a replacement that would make a longer text is refused, whatever `max_growth` says.
        max_work_chars: characters that the replacements of one document may search through; the rest is refused.
        allow_rewrite: a program may put new text in the place of its chunk, within `max_growth`; else it is refused.
    """

    name: str = "custom"
    reader: Literal["grammar", "upstream"] = "grammar"
    scope: Literal["chunk", "document"] = "chunk"
    max_errors: int | None = 1
    max_calls: int | None = 10_000
    max_repeats: int | None = 4
    max_removed_of_chunk: float | None = None
    max_removed_of_document: float | None = 0.95
    when_wiped: Literal["refuse", "drop"] = "refuse"
    min_words_after: int = 0
    min_remove_margin: float | None = None
    min_remove_margin_short: float | None = None
    short_line_words: int = 8
    min_drop_margin: float | None = None
    max_growth: float | None = 1.25
    growth_slack_chars: int = 256
    max_text_chars: int = 1 << 25
    max_work_chars: int = 200_000_000
    allow_rewrite: bool = False

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise _bad_value(name, getattr(self, name), "one of " + ", ".join(allowed))
        for name in ("max_removed_of_chunk", "max_removed_of_document"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise _bad_value(name, value, "a share from 0 to 1")
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise _bad_value(name, value, "a number of at least 0")
        for name in _MARGINS:
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise _bad_value(name, value, "a finite number")

    def fingerprint(self) -> str:
        """SHA-256, in hex, of the policy as canonical JSON: two rows with the same one were judged alike."""
        return _fingerprint(self)


_COUNTS = (
    *("max_errors", "max_calls", "max_repeats", "min_words_after", "growth_slack_chars", "short_line_words"),
    *("max_growth", "max_text_chars", "max_work_chars"),
)
_LATER_FIELDS = ("allow_rewrite",)
_MARGINS = ("min_remove_margin", "min_remove_margin_short", "min_drop_margin")
_CHOICES = {
    "reader": ("grammar", "upstream"),
    "scope": ("chunk", "document"),
    "when_wiped": ("refuse", "drop"),
}

POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy(name="default"),
        Policy(
            name="compat",
            reader="upstream",
            scope="document",
            max_calls=None,
            max_repeats=None,
            when_wiped="drop",
            min_words_after=11,
            max_growth=None,
            max_work_chars=1_000_000_000,
        ),
        Policy(
            name="permissive",
            max_errors=None,
            max_calls=None,
            max_repeats=None,
            max_removed_of_document=None,
            max_growth=None,
            allow_rewrite=True,
        ),
    )
}


def policy_for(policy: str | Policy = "default", **overrides: object) -> Policy:
    """A named policy or a given one, with fields replaced.

    Raises:
        ConfigError: POLICY_UNKNOWN, POLICY_UNKNOWN_FIELD, POLICY_BAD_VALUE.
    """
    if isinstance(policy, str):
        found = POLICIES.get(policy)
        if found is None:
            raise ConfigError("POLICY_UNKNOWN", f"There is no policy {policy!r}.", _nearest(policy, list(POLICIES)))
        policy = found
    if not overrides:
        return policy
    fields = {field.name: field for field in dataclasses.fields(Policy)}
    for name, value in overrides.items():
        if name not in fields:
            raise ConfigError("POLICY_UNKNOWN_FIELD", f"A policy has no field {name!r}.", _nearest(name, list(fields)))
        _check_type(name, value, str(fields[name].type))
    return dataclasses.replace(policy, **overrides)  # type: ignore[arg-type]


def _check_type(name: str, value: object, wanted: str) -> None:
    if value is None:
        fits = "None" in wanted
    elif wanted == "bool":
        fits = isinstance(value, bool)
    elif "Literal" in wanted or wanted == "str":
        fits = isinstance(value, str)
    else:
        numbers = (int, float) if "float" in wanted else (int,)
        fits = isinstance(value, numbers) and not isinstance(value, bool)
    if not fits:
        raise _bad_value(name, value, wanted)


@lru_cache(maxsize=64)
def _fingerprint(policy: Policy) -> str:
    fields = dataclasses.asdict(policy)
    for name in _LATER_FIELDS:  # counts where it is used alone: rows that were refined before it came stay good
        if fields[name] == Policy.__dataclass_fields__[name].default:
            del fields[name]
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _nearest(name: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Valid: {', '.join(valid)}."


def _bad_value(name: str, value: object, expected: str) -> ConfigError:
    return ConfigError("POLICY_BAD_VALUE", f"Policy field {name} is {value!r:.80}.", f"Expected {expected}.")
