"""Pictures of a training run and of a choice of threshold, as PNG. matplotlib is imported inside the functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spark_prox.evaluation.thresholds import MarginPoint
from spark_prox.training.embedded.loop import LogLine

__all__ = ["draw_recall_curves", "draw_training_curve"]


def _figure(**options: Any) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # no pyplot: no window, no global state
    return figure, figure.subplots(**options)


def draw_training_curve(
    log: Sequence[LogLine],
    path: str | Path,
    *,
    title: str = "Training of the embedded refiner",
    score: str = "word F1",
) -> None:
    """Loss and the score on validation hosts over the tokens seen."""
    figure, axes = _figure()
    millions = [line.tokens / 1e6 for line in log]
    axes.plot(millions, [line.loss for line in log], color="tab:gray", label="training loss")
    axes.set_xlabel("million prompt tokens seen")
    axes.set_ylabel("training loss (nats)")
    losses = sorted(line.loss for line in log[min(len(log) - 1, 3) :]) or [1.0]
    axes.set_ylim(0.9 * losses[0], 1.05 * losses[-1])
    measured = [line for line in log if line.word_f1 is not None]
    right = axes.twinx()
    right.plot([m.tokens / 1e6 for m in measured], [m.word_f1 for m in measured], "o-", color="tab:blue")
    right.set_ylabel(f"{score} on validation hosts (blue)")
    axes.set_title(title)
    figure.savefig(path)


def draw_recall_curves(
    curves: Mapping[str, Sequence[MarginPoint]], points: Mapping[str, MarginPoint], path: str | Path
) -> None:
    """Word recall against words removed: a line for each author with a threshold, a mark for each without."""
    figure, axes = _figure()
    for author, curve in curves.items():
        axes.plot([p.share_removed for p in curve], [p.word_recall for p in curve], ".-", label=author)
    for author, point in points.items():
        axes.plot([point.share_removed], [point.word_recall], "D", label=author)
    axes.set_xlabel("share of words removed (mean over pages)")
    axes.set_ylabel("word recall of gold content (mean over pages)")
    axes.set_title("What removing more costs, as the threshold moves")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
