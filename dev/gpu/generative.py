"""Fine-tune SmolLM2 by LoRA on programs of both levels, then let it write programs for validation pages.

    python dev/gpu/generative.py --packs FOLDER --output FOLDER --seconds 270

FOLDER has what `pack_programs.py` and `pack_model.py` made. Everything is on a clock: training takes its share of the
seconds, scoring the rest. A killed run leaves the last adapter (`OUTPUT/adapter_*`), `log.jsonl` and `results.json`,
and goes on from `--state` when it is started again. `--toy` makes a tiny model and programs and runs on those.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

import torch  # noqa: E402
from batches import Samples, batch_loss, endless_batches  # noqa: E402
from lora_llama import POINTWISE, LoraLlama, fuse  # noqa: E402
from packed_model import load_packed_model  # noqa: E402
from packs import read_programs  # noqa: E402
from scoring import judge_documents, score_pages  # noqa: E402

STARTED = time.monotonic()
START_SECONDS = 15.0  # what reading, compiling and the first passes may take before training is cut short by it


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def learning_rate(share: float, peak: float) -> float:
    """A rise over 3% of the time, then a cosine to a twentieth of the peak."""
    if share < 0.03:
        return peak * max(0.02, share / 0.03)
    low = peak / 20
    return low + (peak - low) * (1 + math.cos(math.pi * min(1.0, (share - 0.03) / 0.97))) / 2


class Run:
    """The state of a training run, and the files that it leaves."""

    def __init__(self, model: LoraLlama, options: argparse.Namespace) -> None:
        self.model, self.options = model, options
        self.optimiser = torch.optim.AdamW(model.parameters, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.results: dict[str, Any] = {
            "device": device_facts(model.device),
            "options": {k: str(v) for k, v in vars(options).items()},
        }
        self._state = options.state / "generative.pt"

    def resume(self) -> None:
        if not self._state.exists():
            return
        stored = torch.load(self._state, map_location=self.model.device, weights_only=True)
        with torch.no_grad():
            for own, value in zip(self.model.parameters, stored["parameters"], strict=True):
                own.copy_(value)
        self.optimiser.load_state_dict(stored["optimiser"])
        self.step, self.tokens, self.seconds = stored["step"], stored["tokens"], stored["seconds"]
        say(f"resumed at step {self.step}, {self.seconds:.0f} s trained")

    def save(self, *, adapter: bool = True) -> None:
        self.options.state.mkdir(parents=True, exist_ok=True)
        stored = {
            "parameters": [value.detach() for value in self.model.parameters],
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        torch.save(stored, self._state.with_suffix(".partial"))
        self._state.with_suffix(".partial").rename(self._state)
        if adapter:
            self.model.save_adapter(self.options.output)

    def note(self, **figures: Any) -> None:
        """Write what is known so far."""
        self.results.update(figures)
        self.results["training"] = {"steps": self.step, "tokens": self.tokens, "seconds": self.seconds}
        text = json.dumps(self.results, indent=1, default=str) + "\n"
        (self.options.output / "results.json").write_text(text, encoding="utf-8")


def device_facts(device: str) -> dict[str, str]:
    facts = {"python": platform.python_version(), "torch": torch.__version__, "cores": str(os.cpu_count())}
    if device == "cuda":
        facts |= {"card": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}
        driver = Path("/proc/driver/nvidia/version")
        facts["driver"] = driver.read_text().split("\n")[0] if driver.exists() else ""
    return facts


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def timed_steps(model: LoraLlama, samples: Samples, tokens: int, usual: float) -> float:
    """Seconds of a forward and backward pass, the second of two; gradients are thrown away."""
    batches = endless_batches(samples.lengths, tokens, seed=9)
    for _ in range(2):
        synchronise(model.device)
        started = time.monotonic()
        batch_loss(model, samples.batch(next(batches)), usual)[0].backward()
        synchronise(model.device)
    for value in model.parameters:
        value.grad = None
    return time.monotonic() - started


def choose_form(model: LoraLlama, samples: Samples, tokens: int, usual: float, mode: str) -> None:
    """Compile the pointwise functions where that works and helps."""
    plain = timed_steps(model, samples, tokens, usual)
    say(f"a pass takes {plain * 1e3:.0f} ms")
    if mode == "off":
        return
    before = dict(POINTWISE)
    try:
        fuse()
        compiled = timed_steps(model, samples, tokens, usual)
    except Exception as error:  # noqa: BLE001 - without a compiler it runs as it did
        compiled = math.inf
        say(f"compiling failed with {type(error).__name__}: {str(error).splitlines()[0][:200]}")
    say(f"compiled {compiled * 1e3:.0f} ms")
    if compiled > 0.97 * plain:
        POINTWISE.update(before)


def validate(model: LoraLlama, samples: Samples, options: argparse.Namespace, usual: float) -> dict[str, float]:
    """Loss and token accuracy on a fixed part of the validation samples."""
    batches = endless_batches(samples.lengths, options.batch_tokens, seed=0)
    losses, rights = [], []
    with torch.no_grad():
        for _ in range(options.valid_batches):
            loss, right = batch_loss(model, samples.batch(next(batches)), usual)
            losses.append(float(loss))
            rights.append(float(right))
    return {"valid_loss": sum(losses) / len(losses), "valid_right": sum(rights) / len(rights)}


def train(run: Run, found: dict[str, Any], seconds: float) -> None:
    """Train for so many seconds, those of earlier processes included."""
    model, options = run.model, run.options
    samples, held_out = Samples(found, "train"), Samples(found, "valid")
    tokens = options.batch_tokens
    usual, usual_held_out = samples.usual_weight(tokens), held_out.usual_weight(tokens)
    say(f"{len(samples):,} samples, {int(samples.lengths.sum()):,} tokens an epoch")
    choose_form(model, samples, tokens, usual, options.compile)
    batches = endless_batches(samples.lengths, tokens, options.seed, start=run.step)
    began, earlier = time.monotonic(), run.seconds
    left = options.seconds - options.score_seconds - (began - STARTED)
    seconds = min(seconds, earlier + left)  # a finished run that is started again trains no more
    next_save, next_valid, losses = 30.0, 15.0, []
    with (options.output / "log.jsonl").open("a", encoding="utf-8") as log:
        while run.seconds < seconds and run.step < options.max_steps:
            batch = samples.batch(next(batches))
            for group in run.optimiser.param_groups:
                group["lr"] = learning_rate(run.seconds / seconds, options.rate)
            loss, _ = batch_loss(model, batch, usual)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters, 1.0)
            run.optimiser.step()
            run.optimiser.zero_grad(set_to_none=True)
            losses.append(loss.detach())
            run.step, run.tokens = run.step + 1, run.tokens + batch[0].numel()
            if run.step % 20 == 0:
                synchronise(model.device)
            run.seconds = earlier + time.monotonic() - began
            if run.step % 50 and run.seconds < seconds and run.step < options.max_steps:
                continue
            line: dict[str, Any] = {"step": run.step, "tokens": run.tokens, "seconds": round(run.seconds, 1)}
            line["loss"] = float(torch.stack(losses).mean())
            losses = []
            if run.seconds >= min(next_valid, seconds) or run.step >= options.max_steps:
                line |= validate(model, held_out, options, usual_held_out)
                next_valid = run.seconds + 25
            if run.seconds >= next_save:
                run.save()
                next_save = run.seconds + 30
            run.seconds = earlier + time.monotonic() - began
            log.write(json.dumps(line) + "\n")
            log.flush()
            run.note(last=line, tokens_per_s=round(run.tokens / run.seconds))
            say(" ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v:,}" for k, v in line.items()))
    run.save()
    run.note()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--packs", type=Path, help="folder with programs.pack, model-a.pack, model-b.pack")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--state", type=Path, help="folder of the training state, 60 MB; default: OUTPUT.state")
    parser.add_argument("--start", type=Path, help="folder of an adapter of the same rank to begin with")
    parser.add_argument("--seconds", type=float, default=270, help="for everything")
    parser.add_argument("--score-seconds", type=float, default=60, help="of those, for scoring")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch-tokens", type=int, default=32_768)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--alpha", type=int, default=32)
    parser.add_argument(
        "--compile",
        choices=("auto", "off"),
        default="off",
        help="compile pointwise parts where faster; costs half a minute",
    )
    parser.add_argument("--valid-batches", type=int, default=6)
    parser.add_argument("--generate", type=int, default=320, help="programs generated at once")
    parser.add_argument("--max-steps", type=int, default=1 << 30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--toy", action="store_true", help="a tiny model and made programs, to try the script")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    options.state = options.state or options.output.with_name(options.output.name + ".state")
    if options.toy:
        from toy import write_toy

        options.packs = options.state / "packs"
        write_toy(options.packs)
    found, about = read_programs(options.packs)
    config, state = load_packed_model(options.packs)
    say(f"{sum(value.numel() for value in state.values()):,} weights read")
    model = LoraLlama(config, state, rank=options.rank, alpha=options.alpha, device=options.device, seed=options.seed)
    if options.start:
        model.load_adapter(options.start)
    run = Run(model, options)
    run.resume()
    train(run, found, options.seconds - options.score_seconds - START_SECONDS)
    if options.device == "cuda":
        say(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most")
        torch.cuda.empty_cache()
    documents = judge_documents(model, found, about, options.batch_tokens * 2)
    run.note(documents=documents)
    say(f"documents: {json.dumps(documents)}")
    left = max(5.0, options.seconds - (time.monotonic() - STARTED) - 5)
    pages = score_pages(
        model,
        found,
        about,
        options.output,
        seconds=left,
        batch=options.generate,
        say=say,
        note=lambda figures: run.note(pages=figures),
    )
    say(json.dumps(pages, indent=1))


if __name__ == "__main__":
    main()
