"""The training loop of the line encoder: on a CPU for hours or on a GPU for minutes, by steps or by the clock.

Piece embeddings stay as the pretrained model has them. The layers learn at a lower rate than the head, lower layers at
a lower one still. An average of the weights over the last steps is what is kept. A teacher's probabilities may be
mixed into the labels. Knows arrays of pages, no text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_prox.engines.line_encoder import EncoderConfig, WindowBatch, encode_windows, head_margins, pool_lines
from spark_prox.training.encoder.batches import BatchMaker
from spark_prox.training.encoder.checkpoint import resume_from, store_state

if TYPE_CHECKING:
    import torch

    Weights = dict[str, torch.Tensor]

_SAY_EVERY = 50

__all__ = ["LoopSettings", "Teacher", "fit", "margins_of", "to_windows"]


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How the encoder is trained.

    Attributes:
        steps: batches; 0 trains for `seconds` and takes the rate from the clock.
        frozen_steps: first batches in which the head alone learns.
        checkpoint_every: steps between checkpoints, where a file for them is given.
        seconds: see `steps`.
        rate: learning rate of the top layer; a layer below has `layer_decay` times that of the one above it.
        head_rate: of the head and of shape and quality embeddings.
        warmup: share of the training in which the rate rises.
        smoothing: a label of 1 is taken for 1 - smoothing / 2.
        teacher_share: share of the target that is the teacher's, where there is one.
        document_weight: of the document level against the lines.
        average: of the weights, per step.
        workers: processes that make batches; 0 makes them here.
        half: compute in bfloat16.
    """

    steps: int = 0
    frozen_steps: int = 0
    checkpoint_every: int = 100
    seconds: float = 0.0
    rate: float = 2e-4
    head_rate: float = 1.5e-3
    layer_decay: float = 0.9
    warmup: float = 0.06
    weight_decay: float = 0.02
    smoothing: float = 0.02
    teacher_share: float = 0.5
    document_weight: float = 0.5
    encoder_dropout: float = 0.1
    head_dropout: float = 0.15
    average: float = 0.998
    workers: int = 0
    half: bool = True


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A trained encoder whose probabilities are targets for another one with the same tokens."""

    config: EncoderConfig
    weights: Weights


def to_windows(batch: Mapping[str, Any], device: str) -> tuple[WindowBatch, dict[str, torch.Tensor]]:
    """A batch of `BatchMaker` on a device: what the model sees, and the labels."""
    import torch

    plain = {"full", "most_lines"}  # they say how large other tensors are: the host has to know them
    moved = {
        name: (value if isinstance(value, torch.Tensor) else torch.from_numpy(value)).to(device, non_blocking=True)
        for name, value in batch.items()
        if name not in plain
    }
    names = [entry.name for entry in fields(WindowBatch) if entry.name not in plain]
    seen = {name: moved.pop(name) for name in names}
    return WindowBatch(**seen, full=int(batch["full"]), most_lines=int(batch["most_lines"])), moved


def _forward(
    weights: Weights,
    config: EncoderConfig,
    batch: WindowBatch,
    *,
    encoder_dropout: float = 0.0,
    head_dropout: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    hidden = encode_windows(weights, config, batch, encoder_dropout)
    return head_margins(weights, config, pool_lines(hidden, batch), batch, head_dropout)


def _cast(weights: Weights, half: bool) -> Weights:
    """The weights that one pass computes with; gradients go through to those given."""
    import torch

    return {name: value.to(torch.bfloat16) for name, value in weights.items()} if half else weights


def margins_of(
    weights: Weights, config: EncoderConfig, maker: BatchMaker, pages: list[int], device: str, *, half: bool = True
) -> Iterator[tuple[int, Any, float]]:
    """(page number, margins of its lines, margin of the page) for whole pages, some at a time."""
    import torch

    order = sorted(pages, key=lambda number: len(maker.page(number).lines))
    at = 0
    weights = _cast(weights, half)
    with torch.inference_mode():
        while at < len(order):
            some = order[at : at + max(1, min(32, 6000 // (1 + len(maker.page(order[at]).lines))))]
            at += len(some)
            batch, _ = to_windows(maker.assemble([maker.page(number) for number in some]), device)
            lines, documents = _forward(weights, config, batch)
            parts = torch.split(lines.cpu(), batch.page_lines.tolist())
            yield from zip(some, (part.numpy() for part in parts), documents.cpu().tolist(), strict=True)


def _loss(
    lines: torch.Tensor,
    documents: torch.Tensor,
    labels: Mapping[str, torch.Tensor],
    settings: LoopSettings,
    taught: tuple[torch.Tensor, torch.Tensor] | None,
) -> torch.Tensor:
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    line_target = labels["keep"] * (1 - settings.smoothing) + settings.smoothing / 2
    document_target = labels["document"]
    known_page = labels["labelled"].float()
    known_document = (document_target >= 0).float()
    if taught is not None:
        line_soft, document_soft = taught[0].sigmoid(), taught[1].sigmoid()
        share = settings.teacher_share * labels["labelled"].float() + labels["unlabelled"].float()
        share = share[labels["line_page"]]
        line_target = line_target * (1 - share) + line_soft * share
        document_target = document_target.clamp(min=0)
        document_target = (
            known_document * (0.5 * document_target + 0.5 * document_soft) + (1 - known_document) * document_soft
        )
        known_page = (labels["labelled"] | labels["unlabelled"]).float()
        known_document = known_document.new_ones(known_document.shape)
    line_cost = cross_entropy(lines, line_target, reduction="none") * labels["weight"]
    line_cost = (line_cost * known_page[labels["line_page"]]).sum() / known_page.sum().clamp(min=1)
    document_cost = cross_entropy(documents, document_target.clamp(min=0), reduction="none") * known_document
    return line_cost + settings.document_weight * document_cost.sum() / known_document.sum().clamp(min=1)


def _groups(weights: Weights, config: EncoderConfig, settings: LoopSettings) -> list[dict[str, Any]]:
    groups: dict[tuple[float, float, bool], list[torch.Tensor]] = {}
    for name, value in weights.items():
        if name == "word":
            continue
        rate, pretrained = settings.head_rate, name.startswith(("layer", "place", "embedding"))
        if name.startswith("layer"):
            number = int(name.partition(".")[0].removeprefix("layer"))
            rate = settings.rate * settings.layer_decay ** (config.layers - 1 - number)
        elif name.startswith(("place", "embedding")):
            rate = settings.rate * settings.layer_decay**config.layers
        decay = settings.weight_decay if value.ndim > 1 else 0.0
        groups.setdefault((rate, decay, pretrained), []).append(value.requires_grad_(True))
    return [
        {"params": own, "lr": rate, "peak": rate, "weight_decay": decay, "pretrained": pretrained}
        for (rate, decay, pretrained), own in groups.items()
    ]


def _batches(maker: BatchMaker, settings: LoopSettings, start: int) -> Iterator[Any]:
    import torch

    last = settings.steps or 10_000_000

    class Numbered(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return last - start

        def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
            return {name: torch.from_numpy(value) for name, value in maker.batch(start + number).items()}

    if not settings.workers:
        yield from map(Numbered().__getitem__, range(last - start))
        return
    yield from torch.utils.data.DataLoader(
        Numbered(),
        batch_size=None,
        num_workers=settings.workers,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4,
        multiprocessing_context="fork",
    )


def fit(
    weights: Weights,
    config: EncoderConfig,
    maker: BatchMaker,
    settings: LoopSettings,
    *,
    device: str,
    teacher: Teacher | None = None,
    say: Callable[[str], None] = print,
    checkpoint: Path | None = None,
) -> Weights:
    """Train; gives the averaged weights. `weights` are changed.

    Args:
        checkpoint: file of the run's state; a run that was killed goes on from it.

    Raises:
        ValueError: neither steps nor seconds are set.
    """
    import torch

    if not settings.steps and not settings.seconds:
        raise ValueError("set steps or seconds")
    optimizer = torch.optim.AdamW(
        _groups(weights, config, settings), betas=(0.9, 0.98), eps=1e-6, fused=device != "cpu"
    )
    learned = {name: value for name, value in weights.items() if name != "word"}
    word = _cast({"word": weights["word"]}, settings.half)["word"]
    if teacher is not None:
        teacher = Teacher(config=teacher.config, weights=_cast(teacher.weights, settings.half))
    mean = {name: value.detach().clone() for name, value in learned.items()}
    first_step = resume_from(checkpoint, learned, mean, optimizer, say)
    started = time.monotonic()
    total, tokens, shown = torch.zeros((), device=device), 0, time.monotonic()
    for step, batch in enumerate(_batches(maker, settings, first_step), start=first_step):
        done = step / settings.steps if settings.steps else (time.monotonic() - started) / settings.seconds
        if done >= 1:
            break
        rise = min(1.0, done / settings.warmup)
        factor = rise * max(0.0, 1 - max(0.0, done - settings.warmup) / (1 - settings.warmup))
        for group in optimizer.param_groups:
            is_frozen = group["pretrained"] and step < settings.frozen_steps
            group["lr"] = 0.0 if is_frozen else group["peak"] * factor
        windows, labels = to_windows(batch, device)
        taught = None
        if teacher is not None:
            with torch.no_grad():
                taught = _forward(teacher.weights, teacher.config, windows)
        lines, documents = _forward(
            {**_cast(learned, settings.half), "word": word},
            config,
            windows,
            encoder_dropout=settings.encoder_dropout,
            head_dropout=settings.head_dropout,
        )
        loss = _loss(lines, documents, labels, settings, taught)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learned.values(), 1.0)
        optimizer.step()
        with torch.no_grad():
            keep = min(settings.average, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(mean.values()), [value.detach() for value in learned.values()], 1 - keep)
        if checkpoint is not None and (step + 1) % settings.checkpoint_every == 0:
            store_state(checkpoint, step + 1, learned, mean, optimizer)
        tokens += batch["ids"].numel()
        total += loss.detach()
        if (step + 1) % _SAY_EVERY == 0:
            now = time.monotonic()
            mean_loss = float(total) / _SAY_EVERY
            say(f"step {step + 1} done {done:.0%} loss {mean_loss:.4f} tokens/s {tokens / max(1e-9, now - shown):,.0f}")
            tokens, shown = 0, now
            total.zero_()
    for value in learned.values():
        value.requires_grad_(False)
    return {**mean, "word": weights["word"]}
