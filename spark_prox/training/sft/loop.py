"""Fine-tune a causal language model: samples in, checkpoints and a log of F1 on validation hosts out.

A run that was killed goes on from its last checkpoint with the same batches, optimiser state and schedule, and ends
with the same weights. The model kept is the one with the best F1. Knows samples, not documents; torch is imported
inside the functions.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spark_prox.errors import ModelError
from spark_prox.models import model_directory
from spark_prox.pretrained import load_causal_model
from spark_prox.training.embedded.loop import Progress, Run
from spark_prox.training.process_group import SOLO, Team
from spark_prox.training.sft.batches import epoch_batches, forward_passes, weighted_loss
from spark_prox.training.sft.lora import add_adapters, merged_state, save_adapters
from spark_prox.training.sft.samples import SftSample
from spark_prox.training.sft.settings import SftConfig

__all__ = ["FineTuned", "fine_tune_samples", "learning_rate", "load_model", "total_steps"]

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json")


def total_steps(samples: int, config: SftConfig) -> int:
    """Optimiser steps of the whole run."""
    steps = config.epochs * -(-samples // config.batch_examples)
    return min(steps, config.max_steps) if config.max_steps else steps


def learning_rate(step: int, steps: int, config: SftConfig) -> float:
    """A linear rise, then a cosine from `learning_rate` to `final_learning_rate` at the last step."""
    rise = round(steps * config.warmup_share)
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    share = (step - rise) / max(1, steps - 1 - rise)
    low = config.final_learning_rate
    return low + (config.learning_rate - low) * (1 + math.cos(math.pi * min(1.0, share))) / 2


class FineTuned:
    """A model that is being fine-tuned, and how it is stored.

    Attributes:
        model: the model, with its adapters if it has any.
        trained: the parameters that are trained.
    """

    def __init__(self, model: Any, trained: Sequence[Any], config: SftConfig) -> None:
        self.model, self.trained, self._config = model, list(trained), config

    def save_runnable(self, folder: Path) -> None:
        """Write a model directory that any engine loads: adapters are merged into the weights."""
        import torch

        dtype = torch.bfloat16 if self._config.precision == "bf16" else torch.float32
        state = merged_state(self.model, self._config) if self._config.lora_rank else self.model.state_dict()
        if self.model.config.tie_word_embeddings:
            state.pop("lm_head.weight")  # loading ties it again
        self.model.config.dtype = dtype
        self.model.save_pretrained(str(folder), state_dict={name: value.to(dtype) for name, value in state.items()})
        self._copy_tokenizer(folder)

    def save_result(self, folder: Path, runnable: Path) -> None:
        """Write what the run is for: the adapters, or a copy of the runnable model."""
        if self._config.lora_rank:
            save_adapters(self.model, self._config, folder)
            self._copy_tokenizer(folder)
        else:
            shutil.copytree(runnable, folder, dirs_exist_ok=True)

    def _copy_tokenizer(self, folder: Path) -> None:
        for name in _TOKENIZER_FILES:
            if (file := model_directory(self._config.model) / name).is_file():
                shutil.copyfile(file, folder / name)


def _packs(config: SftConfig, device: str) -> bool:
    if config.batching == "auto":
        return device == "cuda" and config.precision == "bf16" and find_spec("flash_attn") is not None
    return config.batching == "packed"


def load_model(config: SftConfig, device: str) -> FineTuned:
    """The model to start from: all parameters in float32, or frozen, as precise as `config` says, with new adapters.

    Raises:
        ModelError: MODEL_UNLOADABLE, LORA_NO_TARGET.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    torch.manual_seed(config.seed)
    flash = _packs(config, device) and config.batching == "auto"
    frozen_dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    try:
        model = load_causal_model(
            model_directory(config.model),
            dtype=frozen_dtype if config.lora_rank else torch.float32,
            attn_implementation="flash_attention_2" if flash else "sdpa",
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            "MODEL_UNLOADABLE", f"{config.model!r} is no causal language model: {type(error).__name__}."
        ) from error
    model = model.to(device).train()
    return FineTuned(model, add_adapters(model, config) if config.lora_rank else list(model.parameters()), config)


def _step(run: Run, tuned: FineTuned, batch: Sequence[SftSample], rate: float, config: SftConfig, team: Team) -> float:
    """One optimiser step: gradients of all forward passes of all processes added up."""
    import torch

    device = str(tuned.trained[0].device.type)
    total_weight = sum(sum(sample.weights) for sample in batch)
    total = torch.zeros((), device=device)
    packing = _packs(config, device)
    for rows in team.share(forward_passes(batch, most_tokens=config.micro_batch_tokens, packing=packing)):
        loss = weighted_loss(tuned.model, rows, total_weight=total_weight, precision=config.precision, device=device)
        loss.backward()
        total += loss.detach()
    value = team.sum_gradients(run.model, total)
    torch.nn.utils.clip_grad_norm_(tuned.trained, 1.0)
    for optimiser in run.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return value


def fine_tune_samples(
    tuned: FineTuned,
    samples: Sequence[SftSample],
    config: SftConfig,
    *,
    evaluate: Callable[[Path], float],
    report: Callable[[Progress], None] = lambda _: None,
    team: Team = SOLO,
) -> list[Progress]:
    """Train to the end, resuming from `output/checkpoint.pt` where there is one.

    Args:
        evaluate: F1 on validation hosts of the model in a folder, which is written before each call.
        report: called with every new line of the log; its `word_f1` is what `evaluate` gave.
        team: the processes that train together; only the leading one evaluates, saves and reports.

    Returns:
        The whole log, earlier runs included; also in `output/log.jsonl`. The best model is in `output/model`; where
        that holds adapters, `output/merged` is the same in one piece.
    """
    import torch

    output = Path(config.output)
    checkpoint, latest = output / "checkpoint.pt", output / "latest"
    matrices = [p for p in tuned.trained if p.ndim >= 2]
    others = [p for p in tuned.trained if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW([g for g in groups if g["params"]], lr=config.learning_rate, betas=(0.9, 0.95))
    run = Run(torch.nn.ParameterList(tuned.trained), [optimiser])
    torch.set_num_threads(config.threads)
    if checkpoint.exists():
        run.load(checkpoint)
    steps = total_steps(len(samples), config)
    every = config.evaluate_every or -(-len(samples) // config.batch_examples)
    losses: list[float] = []
    batches: list[list[SftSample]] = []
    started = time.monotonic()
    while run.step < steps:
        if not batches:
            batches = epoch_batches(samples, size=config.batch_examples, epoch=run.block, seed=config.seed)
        batch = batches[run.place]
        losses.append(_step(run, tuned, batch, learning_rate(run.step, steps, config), config, team))
        run.tokens += sum(len(sample.ids) for sample in batch)
        run.place, run.step = run.place + 1, run.step + 1
        if run.place == len(batches):
            run.block, run.place, batches = run.block + 1, 0, []
        due = run.step % every == 0 or run.step == steps
        stored = due or run.step % config.checkpoint_every == 0
        if not stored and run.step % config.report_every:
            continue
        run.seconds += time.monotonic() - started
        score = None
        if due and team.leads:
            tuned.save_runnable(latest)
            score = evaluate(latest)
            torch.set_num_threads(config.threads)
            if score > run.best:
                run.best = score
                tuned.save_result(output / "model", latest)
                if config.lora_rank:
                    shutil.copytree(latest, output / "merged", dirs_exist_ok=True)
        line = Progress(
            step=run.step, tokens=run.tokens, seconds=run.seconds, loss=sum(losses) / len(losses), word_f1=score
        )
        losses = []
        run.log.append(line)
        if team.leads:
            report(line)
        if team.leads and stored:
            run.save(checkpoint)
            (output / "log.jsonl").write_text("".join(json.dumps(asdict(entry)) + "\n" for entry in run.log))
        started = time.monotonic()
    return run.log
