"""Measure our engine on a GPU: prompt tokens a second and MFU, against upstream's way, and what each idea gives.

ProX XS with random weights, prompts of 1,500 tokens, (a) read once, (b) followed by 48 new tokens. Parts run in order
of worth; each is written to OUTPUT/results.json as soon as it is there.

Example:

    python3 dev/gpu/speed.py --seconds 150 --output results/speed
    python3 dev/gpu/speed.py --toy --device cpu --seconds 60 --output /tmp/speed
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from random_model import TOY, XS
from record import DeviceLostError, Record

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Engine, Request


@dataclass
class Bench:
    """Sizes, the model, and what the parts hand on to each other."""

    record: Record
    device: str
    toy: bool
    folder: Path
    spec: ModelSpec
    prompt: int
    new: int
    flop: float = 0.0  # a token's, 2N as ProX counts it
    peak: float = 0.0  # FLOP/s of a matrix product
    packed: Any = None
    baseline: dict[str, float] | None = None

    def sync(self) -> None:
        """Wait for the device."""
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()

    def requests(self, count: int, *, new: int = 0, mixed: bool = False, seed: int = 0) -> list[Request]:
        """Random prompts: read at 60 places, or followed by `new` tokens."""
        rng = random.Random(seed)
        vocabulary = (TOY if self.toy else XS)["vocab_size"]
        made = []
        for number in range(count):
            length = rng.randrange(self.prompt // 8, self.prompt + 1) if mixed else self.prompt
            ids = tuple(rng.choices(range(3, vocabulary), k=length))
            at = () if new else tuple(range(length // 61, length, max(1, length // 60)))
            made.append(
                Request(request_id=number, prompt_token_ids=ids, max_new_tokens=new, read_at=at, read_tokens=(7, 9))
            )
        return made

    def rate(self, engine: Engine, requests: list[Request]) -> dict[str, Any]:
        """Run requests; prompt tokens a second, MFU."""
        self.sync()
        began = time.perf_counter()
        done = list(engine.complete(requests))
        self.sync()
        seconds = time.perf_counter() - began
        errors = sorted({c.error_code for c in done if c.error_code})
        return self.figures(
            sum(c.prompt_tokens for c in done), sum(c.output_tokens for c in done), seconds, len(done), errors
        )

    def figures(
        self, prompt_tokens: int, new_tokens: int, seconds: float, requests: int, errors: Any = ()
    ) -> dict[str, Any]:
        """The same for a run that was timed elsewhere."""
        found = {
            "requests": requests, "seconds": round(seconds, 4), "prompt_tok_s": round(prompt_tokens / seconds),
            "new_tok_s": round(new_tokens / seconds),
        }  # fmt: skip
        if self.peak:
            found["mfu_2n"] = round((prompt_tokens + new_tokens) * self.flop / seconds / self.peak, 4)
        return {**found, "errors": list(errors)} if errors else found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=150.0, help="wall-clock budget of the whole run")
    parser.add_argument("--output", required=True, help="folder for results.json")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--toy", action="store_true", help="tiny sizes: whether it runs, not how fast")
    parser.add_argument("--skip", nargs="*", default=[], help="names of parts to leave out")
    parser.add_argument("--resume", action="store_true", help="run only the parts that OUTPUT lacks")
    parser.add_argument("--careful", action="store_true", help="without the attention kernels of this package")
    arguments = parser.parse_args()
    record = Record(Path(arguments.output), arguments.seconds, skip=arguments.skip, resume=arguments.resume)
    record.say("started")
    if arguments.careful:
        from spark_prox.engines.cuda import choice
        from spark_prox.engines.cuda.attention import flash_attention

        choice.prompt_candidates = lambda _: iter([("flash", flash_attention.prompts)])
    if arguments.toy:
        import torch

        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        toy, device = arguments.toy, arguments.device
        spec = ModelSpec(
            path=folder, engine="transformers", device=device, threads=0, max_in_flight=24 if toy else 384,
            max_batch_tokens=200 if toy else 32_768, max_decoding=4 if toy else 256,
            dtype="float32" if device == "cpu" else "bfloat16",
        )  # fmt: skip
        bench = Bench(record, device, toy, Path(folder), spec, prompt=40 if toy else 1500, new=6 if toy else 48)
        try:
            run(bench)
        except DeviceLostError as error:
            record.say(f"{error} broke the device; going on in a new process")
            again = ["--output", arguments.output, "--device", device, "--seconds", str(record.left() - 1)]
            again += ["--resume", "--careful", *(["--toy"] if toy else []), "--skip", *arguments.skip]
            os.execv(sys.executable, [sys.executable, __file__, *again])
    record.values["ended"] = "complete"
    record.save()
    record.say("complete")
    os._exit(0)


def run(bench: Bench) -> None:
    """All parts, the ones worth most first."""
    import parts

    part = bench.record.part
    part("peak", 5, lambda: parts.peak(bench), always=True)
    part("model", 10, lambda: parts.model(bench), always=True)
    if bench.packed is not None:
        part("read_ours", 8, lambda: parts.read_ours(bench))
        part("correct", 6, lambda: parts.correct(bench))
        part("generate_ours", 10, lambda: parts.generate_ours(bench))
    part("upstream_read", 5, lambda: parts.upstream_read(bench))
    part("upstream_generate", 8, lambda: parts.upstream_generate(bench))
    if bench.packed is not None:
        part("profile_read", 6, lambda: parts.profile_read(bench))
        part("products", 4, lambda: parts.products(bench))
        part("tokens_per_pass", 8, lambda: parts.tokens_per_pass(bench))
        part("decode_steps", 8, lambda: parts.decode_steps(bench))
    part("before", 20, lambda: parts.before(bench))
    if bench.packed is not None:
        for name in parts.WITHOUT:
            part(f"without_{name}", 6, lambda name=name: parts.without(bench, name))
        part("mixed_lengths", 6, lambda: parts.mixed_lengths(bench))
        part("attention_kinds", 10, lambda: parts.attention_kinds(bench))
        part("compiled", 30, lambda: parts.compiled(bench))


if __name__ == "__main__":
    main()
