"""When a run that goes wrong has to stop: counts in, verdict out.

Judged are windows of documents: too few are no evidence, and a window forgets what was before it, so that a run that
turns bad after a week stops as soon as one that is bad from its start. Knows no tables and no Spark.
"""

from __future__ import annotations

from dataclasses import dataclass

from spark_prox.config.limits import check_least, check_shares
from spark_prox.errors import GuardError

__all__ = ["BatchCounts", "GuardConfig", "verdict"]


@dataclass(frozen=True, kw_only=True)
class GuardConfig:
    """When a run that goes wrong stops.

    Attributes:
        enabled: watch at all.
        min_keep_rate: smallest share of documents that are not dropped.
        max_removed_share: largest share of characters removed from documents that are not dropped.
        max_failure_ratio: largest share of programs without an answer, or of documents whose programs were not trusted.
        min_documents: documents that are judged together; fewer are no evidence.
        history: compare with earlier runs under the same model and policy as well.
        history_tolerance: how much worse than those a figure may be, as a difference of shares.
    """

    enabled: bool = True
    min_keep_rate: float = 0.05
    max_removed_share: float = 0.8
    max_failure_ratio: float = 0.2
    min_documents: int = 1_000
    history: bool = True
    history_tolerance: float = 0.25

    def __post_init__(self) -> None:
        check_shares(self, "min_keep_rate", "max_removed_share", "max_failure_ratio", "history_tolerance")
        check_least(self, 1, "min_documents")

    @property
    def evidence(self) -> int:
        """Documents that a first batch should have; 0 when nothing is watched."""
        return self.min_documents if self.enabled else 0


@dataclass(frozen=True, kw_only=True)
class BatchCounts:
    """Counts of what a stage did to some documents.

    Attributes:
        judged: documents of which it is known whether they are kept; 0 where a stage does not decide it.
        tried, failed: programs or documents, and those of them that failed.
        chars_before, chars_after: of the documents that are kept.
    """

    documents: int = 0
    judged: int = 0
    kept: int = 0
    tried: int = 0
    failed: int = 0
    chars_before: int = 0
    chars_after: int = 0

    def __add__(self, other: BatchCounts) -> BatchCounts:
        return BatchCounts(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def figures(self) -> dict[str, float]:
        """The counts by name, for the table `runs`."""
        return {name: float(value) for name, value in vars(self).items()}

    @classmethod
    def of(cls, figures: dict[str, float]) -> BatchCounts:
        """Back from `figures`; names of other versions are left out."""
        return cls(**{name: int(value) for name, value in figures.items() if name in cls.__dataclass_fields__})

    @property
    def keep_rate(self) -> float | None:
        """Share of documents not dropped; None without any."""
        return self.kept / self.judged if self.judged else None

    @property
    def removed_share(self) -> float | None:
        """Share of characters removed from what is kept; None without any."""
        return 1 - self.chars_after / self.chars_before if self.chars_before else None

    @property
    def failure_ratio(self) -> float | None:
        """Share that failed; None without any."""
        return self.failed / self.tried if self.tried else None


def verdict(
    stage: str, run_id: str, window: BatchCounts, history: BatchCounts, limits: GuardConfig
) -> GuardError | None:
    """Judge a window of documents.

    Args:
        stage, run_id: for the message.
        window: what the run did since the last verdict.
        history: what earlier runs did under the same settings, all together.

    Returns:
        What to raise: GUARD_FAILURE_RATIO, GUARD_KEEP_RATE or GUARD_REMOVED_SHARE; None where all is well, and where
        there is too little evidence.
    """
    if not limits.enabled or window.documents < limits.min_documents:
        return None
    earlier = history if limits.history and history.documents >= limits.min_documents else BatchCounts()
    what = f"{stage} of run {run_id}, the last {window.documents:,} documents"
    for name, label, sign, limit_name in (
        ("failure_ratio", "failed", 1, "max_failure_ratio"),
        ("keep_rate", "kept", -1, "min_keep_rate"),
        ("removed_share", "removed of what was kept", 1, "max_removed_share"),
    ):
        figure: float | None = getattr(window, name)
        if figure is None:
            continue
        code, limit = f"GUARD_{name.upper()}", getattr(limits, limit_name)
        if sign * (figure - limit) > 0:
            return GuardError(
                code,
                f"{figure:.1%} {label}, the limit is {limit:.1%} ({what}).",
                f"Look at the model, its template and the input; if this is right, --set guard.{limit_name}=... "
                "and run again: what is stored is kept.",
            )
        before: float | None = getattr(earlier, name)
        if before is not None and sign * (figure - before) > limits.history_tolerance:
            return GuardError(
                code,
                f"{figure:.1%} {label}, in earlier runs {before:.1%}, {limits.history_tolerance:.0%} more or less are "
                f"allowed ({what}).",
                "Look at what changed in the input; if this is right, --set guard.history=false or "
                "guard.history_tolerance=... and run again: what is stored is kept.",
            )
    return None
