"""The result of one check of an installation: what was looked at, what was found, what to do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check.

    Attributes:
        ok: True, False, or None for something that is absent but not needed everywhere.
        fix: what to do when it is not ok.
    """

    what: str
    ok: bool | None
    found: str
    fix: str = ""
