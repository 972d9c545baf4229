"""Hold the numbers of a configuration section against their limits. Knows no section."""

from __future__ import annotations

import math

__all__ = ["check_least", "check_shares"]


def check_least(section: object, least: float, *names: str, most: float = math.inf) -> None:
    """Raise ValueError unless every named field is None or a number from `least` to `most`."""
    for name in names:
        value = getattr(section, name)
        if value is not None and not (math.isfinite(value) and least <= value <= most):
            limit = f"at least {least:g}" if most == math.inf else f"a number from {least:g} to {most:g}"
            raise ValueError(f"{name} is {value}; expected {limit}")


def check_shares(section: object, *names: str) -> None:
    """Raise ValueError unless every named field is a share from 0 to 1."""
    for name in names:
        value = getattr(section, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value:g}; expected a share from 0 to 1")
