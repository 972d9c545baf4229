"""Train the embedded refiner: batches in, checkpoints and a log of word F1 on validation hosts out.

A run that was killed goes on from its last checkpoint with the same batches, optimiser state and schedule.
The model kept is the one with the best word F1 on validation hosts, not the lowest loss. torch is imported
inside the functions.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spark_prox.training.embedded.data import TrainingData
from spark_prox.training.embedded.llama import build_optimisers, save_model
from spark_prox.training.embedded.samples import Sample
from spark_prox.training.embedded.settings import TrainConfig
from spark_prox.training.process_group import SOLO, Team

__all__ = ["LogLine", "TrainingState", "batch_loss", "learning_rate_factor", "progress_line", "train"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of the training log.

    Attributes:
        step: optimiser steps done.
        tokens: prompt tokens seen, without padding.
        seconds: training time over all resumed runs, evaluation left out.
        loss: mean loss since the line before.
        word_f1: on validation hosts, where it was measured at this step.
    """

    step: int
    tokens: int
    seconds: float
    loss: float
    word_f1: float | None = None


def progress_line(line: LogLine, steps: int, *, score: str = "word F1") -> str:
    """A line of the log for people: how far, how fast, how good, how long still."""
    f1 = "" if line.word_f1 is None else f", {score} {line.word_f1:.4f} on validation hosts"
    minutes = (steps - line.step) * line.seconds / line.step / 60
    speed = f"{line.tokens / 1e6:.2f}M tokens, {line.tokens / line.seconds:,.0f} a second"
    return f"step {line.step:,}/{steps:,}, {speed}, loss {line.loss:.4f}{f1}, {minutes:.0f} min left"


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Warm-up, a level stretch, and a linear fall to zero over the last `decay_share` of the steps."""
    decay_steps = max(1, round(config.steps * config.decay_share))
    return max(0.0, min(1.0, (step + 1) / max(1, config.warmup_steps), (config.steps - step) / decay_steps))


def batch_loss(model: Any, batch: Sequence[Sample], *, keep_id: int, precision: str, total_weight: float) -> Any:
    """Weighted cross entropy of the next token at every read position, over the whole vocabulary.

    Over the vocabulary and not over the two verdicts alone, so that verdicts are the model's likeliest next
    tokens: an engine that reports only the top log-probabilities of a prompt then has both.
    """
    import torch

    width = -(-max(len(sample.ids) for sample in batch) // 32) * 32
    ids = torch.zeros((len(batch), width), dtype=torch.long)
    for row, sample in enumerate(batch):
        ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
    places = [(row, place) for row, sample in enumerate(batch) for place in sample.read_at]
    keep = torch.tensor([value for sample in batch for value in sample.keep])
    weights = torch.tensor([value for sample in batch for value in sample.weights])
    other = torch.tensor([sample.other for sample in batch for _ in sample.read_at])
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[[row for row, _ in places], [place for _, place in places]]).float()
    normaliser = torch.logsumexp(logits, dim=-1)
    log_keep = logits[:, keep_id] - normaliser
    log_other = logits.gather(1, other[:, None])[:, 0] - normaliser
    return -(weights * (keep * log_keep + (1 - keep) * log_other)).sum() / total_weight


class TrainingState:
    """The state that a checkpoint holds.

    Args:
        model: a torch module with everything that is trained.
        optimisers: what trains it.
    """

    def __init__(self, model: Any, optimisers: Sequence[Any]) -> None:
        self.model = model
        self.optimisers = optimisers
        self.step, self.tokens, self.block, self.place = 0, 0, 0, 0
        self.seconds, self.best = 0.0, -1.0
        self.log: list[LogLine] = []

    def save(self, path: Path) -> None:
        """Write the state, in place of an older one, in one step that a kill cannot tear."""
        import torch

        state = {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "counts": (self.step, self.tokens, self.block, self.place, self.seconds, self.best),
            "log": [asdict(line) for line in self.log],
        }
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote."""
        import torch

        state = torch.load(path, weights_only=True, map_location="cpu")
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.tokens, self.block, self.place, self.seconds, self.best = state["counts"]
        self.log = [LogLine(**line) for line in state["log"]]


def _optimise(run: TrainingState, batch: Sequence[Sample], config: TrainConfig, keep_id: int, team: Team) -> float:
    import torch

    factor = learning_rate_factor(run.step, config)
    total_weight = sum(sum(sample.weights) for sample in batch)
    loss = torch.zeros(())
    if own := team.share(batch):
        loss = batch_loss(run.model, own, keep_id=keep_id, precision=config.precision, total_weight=total_weight)
        loss.backward()
    value = team.sum_gradients(run.model, loss.detach())
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    for optimiser, rate in zip(run.optimisers, (config.learning_rate, config.embedding_learning_rate), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate * factor
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return value


def train(
    model: Any,
    data: TrainingData,
    config: TrainConfig,
    *,
    keep_id: int,
    evaluate: Callable[[Path], float],
    report: Callable[[LogLine], None] = lambda _: None,
    report_every: int = 25,
    team: Team = SOLO,
) -> list[LogLine]:
    """Train to `config.steps`, resuming from `output/checkpoint.pt` where there is one.

    Args:
        model: a Llama as `build_model` makes it.
        data: blocks of batches.
        keep_id: token id of `<keep>`.
        evaluate: word F1 of the model saved in a folder, on validation hosts. The folder gets the weights
            before each call and must hold the tokenizer already; `output/model` holds the best so far.
        report: called with every new line of the log.
        team: the processes that train together; only the leading one evaluates, saves and reports.

    Returns:
        The whole log, earlier runs included; also in `output/log.jsonl`.
    """
    import torch

    output = Path(config.output)
    checkpoint = output / "checkpoint.pt"
    run = TrainingState(model, build_optimisers(model, config))
    torch.set_num_threads(config.threads)
    if checkpoint.exists():
        run.load(checkpoint)
        _log.info("resumed at step %d", run.step)
    losses: list[float] = []
    batches: list[list[Sample]] | None = None
    started = time.monotonic()
    model.train()
    while run.step < config.steps:
        if batches is None:
            batches = data.block(run.block)
        if run.place >= len(batches):
            run.block, run.place, batches = run.block + 1, 0, None
            continue
        losses.append(_optimise(run, batches[run.place], config, keep_id, team))
        run.tokens += sum(len(sample.ids) for sample in batches[run.place])
        run.place, run.step = run.place + 1, run.step + 1
        due = run.step % config.evaluate_every == 0 or run.step == config.steps
        if not due and run.step % report_every:
            continue
        run.seconds += time.monotonic() - started
        word_f1 = None
        if due and team.leads:
            model.eval()
            save_model(model, output / "latest")
            word_f1 = evaluate(output / "latest")
            torch.set_num_threads(config.threads)
            if word_f1 > run.best:
                run.best = word_f1
                save_model(model, output / "model")
            model.train()
        line = LogLine(
            step=run.step, tokens=run.tokens, seconds=run.seconds, loss=sum(losses) / len(losses), word_f1=word_f1
        )
        losses = []
        run.log.append(line)
        if team.leads:
            report(line)
        if team.leads and (due or run.step % config.checkpoint_every == 0):
            run.save(checkpoint)
            (output / "log.jsonl").write_text("".join(json.dumps(asdict(entry)) + "\n" for entry in run.log))
        started = time.monotonic()
    return run.log
