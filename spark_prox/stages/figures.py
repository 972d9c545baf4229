"""The figures of a stage while it runs and when it has ended, and the one line that tells them.

Plain numbers: knows no Spark, no table and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LARGEST_TASK", "InFlight", "StageFigures", "figures_line", "samples"]

LARGEST_TASK = "largest_task_over_share"
"""The key of `StageFigures.guard`, and of `runs.guard`, for how even a generating stage's tasks were: 1 is even."""


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """The work of a stage at this moment.

    Attributes:
        what: a word or two where the stage has several steps; "" for a portion.
        portion, portions: which portion, from 1.
        documents: in this portion; 0 where that is not known.
        read: of those, the documents that reached the step's last tasks; None where Spark does not tell.
        tasks, tasks_done: Spark tasks of the step that runs.
    """

    what: str = ""
    portion: int = 1
    portions: int = 1
    documents: int = 0
    read: int | None = None
    tasks: int = 0
    tasks_done: int = 0

    @property
    def about_done(self) -> float:
        """About how many of its documents are done, never all of them: what is not stored may still be lost."""
        share = self.read / self.documents if self.read is not None and self.documents else self.tasks_share
        return self.documents * min(share, 0.99)

    @property
    def tasks_share(self) -> float:
        """Share of its tasks that are done."""
        return self.tasks_done / self.tasks if self.tasks else 0.0


@dataclass(kw_only=True)
class StageFigures:
    """All that a stage did so far; filled in while it runs.

    Attributes:
        stage: its name.
        documents: documents that it worked on.
        planned: documents that it found to do.
        skipped: documents that were done already.
        programs: programs that were stored.
        judged: documents of which it is known whether they are kept.
        kept: those that are; None for a stage that does not decide it.
        failed: programs without an answer, or documents whose programs failed or were not trusted.
        tokens_before, tokens_after: of the texts that were executed; None for other stages, or where none are counted.
        flop: 2 x parameters x tokens, prompt and output; None where the model's size is unknown.
        guard: what the guard rails counted, for later runs to compare with.
        input: what was read, as JSON of `spark_prox.sources.snapshot`; None for stages that read tables.
        in_flight: what it works on now; None between two portions.
        counted_seconds: how long it had worked on documents when the last portion was stored.
    """

    stage: str = ""
    documents: int = 0
    planned: int = 0
    skipped: int = 0
    rejects: int = 0
    programs: int = 0
    judged: int = 0
    kept: int | None = None
    failed: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    tokens_before: int | None = None
    tokens_after: int | None = None
    flop: float | None = None
    seconds: float = 0.0
    guard: dict[str, float] = field(default_factory=dict)
    input: str | None = None
    in_flight: InFlight | None = None
    counted_seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens that the stage worked on: of prompts and answers, or of the texts that it executed."""
        return self.prompt_tokens + self.output_tokens or self.tokens_before or 0

    @property
    def keep_rate(self) -> float | None:
        """Share of the documents that are kept; None without any, and for a stage that does not decide it."""
        return self.kept / self.judged if self.judged and self.kept is not None else None

    @property
    def about_documents(self) -> float:
        """Documents done, with an estimate of those that are not stored yet."""
        return self.documents + (self.in_flight.about_done if self.in_flight is not None else 0.0)

    @property
    def share_done(self) -> float | None:
        """Share of the planned documents that is done; None where nothing is planned yet."""
        return min(self.about_documents / self.planned, 1.0) if self.planned else None

    def seconds_left(self, seconds: float) -> float | None:
        """About how long the stage will go on, at its speed so far; None where that is not known.

        Args:
            seconds: how long it has worked on documents.
        """
        share = self.share_done
        if not share or share >= 1:
            return None
        if self.about_documents > self.documents or not self.counted_seconds:
            return seconds * (1 - share) / share
        left = (
            self.counted_seconds * (1 - share) / share
        )  # at the speed of what is stored; nothing is known of the rest
        return max(left - (seconds - self.counted_seconds), 0.0)

    def tokens_per_second(self, seconds: float) -> float:
        """The speed of what is stored, after so many seconds of the stage."""
        return self.tokens / (self.counted_seconds or seconds or 1.0)

    def add_verdicts(self, judged: int, kept: int) -> None:
        """Add documents of which it is known whether they are kept."""
        self.judged += judged
        self.kept = (self.kept or 0) + kept

    def add_texts(self, counts: Mapping[str, int]) -> None:
        """Add executed documents, by `spark_prox.stages.guard.REFINED_COUNTS`."""
        self.documents += counts["documents"]
        self.add_verdicts(counts["documents"], counts["documents"] - counts["dropped"])
        self.failed += counts["failed"]
        if counts["tokens_before"]:
            self.tokens_before = (self.tokens_before or 0) + counts["tokens_before"]
            self.tokens_after = (self.tokens_after or 0) + counts["tokens_after"]


def figures_line(figures: StageFigures, seconds: float, *, working: float | None = None, ended: str = "") -> str:
    """One line about a stage, with what a narrow terminal must show first.

    Args:
        seconds: since the stage began.
        working: since its first portion began; None before that.
        ended: "done" or "failed"; "" while it runs.
    """
    flight = None if ended else figures.in_flight
    parts = [f"{ended} in {_time(seconds)}"] if ended else []
    if flight is not None and flight.what:
        parts.append(flight.what)
    parts += _documents(figures, ended=bool(ended))
    left = figures.seconds_left(working) if working is not None and not ended else None
    if left is not None:
        parts.append(f"{_time(left)} left")
    if figures.tokens:
        parts.append(f"{_short(figures.tokens_per_second(seconds))} tokens/s")
    if figures.keep_rate is not None:
        parts.append(f"{figures.keep_rate:.1%} kept")
    if figures.programs or figures.judged or figures.failed:
        parts.append(f"{figures.failed:,} failed")
    if figures.rejects:
        parts.append(f"{figures.rejects:,} rejects")
    if figures.tokens:
        parts.append(f"{_short(figures.tokens)} tokens")
    if flight is not None:
        parts += [f"batch {flight.portion}/{flight.portions}"] if flight.portions > 1 else []
        parts += [f"{flight.tasks_done:,}/{flight.tasks:,} tasks"] if flight.tasks and flight.read is None else []
    if not ended:
        parts.append(_time(seconds))
    return f"{figures.stage}: {', '.join(parts)}"


def samples(figures: StageFigures, seconds: float, *, working: float | None = None) -> dict[str, float]:
    """The same figures as numbers by name, for a monitoring system; what is not known is left out."""
    found: dict[str, float | None] = {
        "documents": figures.about_documents,
        "planned_documents": figures.planned,
        "skipped_documents": figures.skipped,
        "rejects": figures.rejects,
        "programs": figures.programs,
        "failed": figures.failed,
        "prompt_tokens": figures.prompt_tokens,
        "output_tokens": figures.output_tokens,
        "tokens_per_second": figures.tokens_per_second(seconds),
        "keep_rate": figures.keep_rate,
        "share_done": figures.share_done,
        "seconds": seconds,
        "seconds_left": None if working is None else figures.seconds_left(working),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _documents(figures: StageFigures, *, ended: bool) -> list[str]:
    """How many documents, and of how many: an estimate is marked as one."""
    about = round(figures.documents if ended else figures.about_documents)
    mark = "" if about == figures.documents else "~"
    if figures.planned and (not ended or about != figures.planned):
        share = (figures.documents if ended else figures.about_documents) / figures.planned
        return [f"{mark}{about:,} of {figures.planned:,} documents ({min(share, 1.0):.0%})"]
    return [f"{mark}{about:,} documents"] if about or ended else []


def _short(value: float) -> str:
    """Three digits and a letter."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            number = value / (1e3 if letter == "k" else size)
            return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f}{letter}"
    return f"{value:,.0f}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
