"""Compare engines in one run, on one machine, with equal settings: speed, share of the peak (MFU), waiting time.

Each row is measured in a process of its own, in turns; the best turn is shown:

    bare         the engine on prompts that are ready: what the rest is compared with
    streaming    documents in, programs out, as the generate stage does it (prompts are built ahead in a thread)
    spark        the generate stage itself: mapInPandas in local[1]; JVM start and model load are left out
    synchronous  the same engine, called for --batch requests at a time and drained before the next call
    upstream     transformers alone: one padded call for each --batch requests, in the order in which they come

`CPU s` is the process's time on all its threads: on a machine that is shared it says more than seconds. MFU is a share
of what one large matrix product reaches; on a CPU both count CPU seconds.

    python bench/engine.py --model embedded
    python bench/engine.py --model random --input pages.jsonl.gz --engines transformers vllm --new-tokens 48
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.measured import ratios, spread, write_result
from spark_prox.config.model import ModelSpec
from spark_prox.config.run import load_config
from spark_prox.documents import Document
from spark_prox.engines.base import Completion, Engine, Request, is_ready
from spark_prox.engines.packed_linear import packed_linear
from spark_prox.engines.worker import engine_for
from spark_prox.generation import generate_programs
from spark_prox.models import is_line_encoder, matrix_parameters, model_directory
from spark_prox.pretrained import load_causal_model
from spark_prox.prompts.builder import PromptSpec, builder_for
from spark_prox.report.run_report import table
from spark_prox.training.embedded.tokenizer import save_tokenizer, train_tokenizer
from spark_prox.writers import writer_of

ROOT = Path(__file__).parent.parent
_COMPARED = (
    (("transformers", "streaming"), ("transformers", "upstream")),
    (("transformers", "streaming"), ("transformers", "synchronous")),
    (("vllm", "streaming"), ("vllm", "synchronous")),
    (("transformers", "bare"), ("vllm", "bare")),
)


class _Timed:
    """An engine that measures how long it has nothing to do because no request is there."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.waited_s = 0.0

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        return self._engine.complete(_Waits(iter(requests), self))


class _Waits:
    def __init__(self, stream: Iterator[Request], timed: _Timed) -> None:
        self._stream = stream
        self._timed = timed

    def __iter__(self) -> _Waits:
        return self

    def __next__(self) -> Request:
        started = time.perf_counter()
        try:
            return next(self._stream)
        finally:
            self._timed.waited_s += time.perf_counter() - started

    def ready(self) -> bool:
        return is_ready(self._stream)


class _Synchronous:
    """One call to the engine for each `size` requests."""

    def __init__(self, engine: Engine, size: int) -> None:
        self._engine = engine
        self._size = size

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        stream = iter(requests)
        while batch := list(itertools.islice(stream, self._size)):
            yield from list(self._engine.complete(batch))


class _Upstream:
    """Padded batches in the order of arrival, as plain transformers runs them."""

    def __init__(self, spec: ModelSpec) -> None:
        import torch

        torch.set_num_threads(spec.threads)
        dtype = torch.float32 if spec.dtype == "auto" else getattr(torch, spec.dtype)
        self._model = load_causal_model(model_directory(spec.path), dtype=dtype).eval()

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        import torch

        batch = list(requests)
        if not batch:
            return
        width = max(len(request.prompt_token_ids) for request in batch)
        ids, mask = (torch.zeros(len(batch), width, dtype=torch.long) for _ in range(2))
        for row, request in enumerate(batch):
            at = slice(width - len(request.prompt_token_ids), width)  # padded on the left, to decode on the right
            ids[row, at] = torch.tensor(request.prompt_token_ids)
            mask[row, at] = 1
        new = max(request.max_new_tokens for request in batch)
        with torch.inference_mode():
            if new:
                out = self._model.generate(
                    input_ids=ids, attention_mask=mask, max_new_tokens=new, do_sample=False, pad_token_id=0
                )
            else:
                out = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for request in batch:
            yield Completion(
                request_id=request.request_id,
                finish_reason="read" if request.read_at else "length",
                prompt_tokens=len(request.prompt_token_ids),
                output_tokens=out.shape[1] - width if new else 0,
                margins=(1.0,) * len(request.read_at),
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="model directory, embedded, or random (27M parameters)")
    parser.add_argument("--stage", choices=("doc", "chunk"), default="chunk")
    parser.add_argument("--input", help="JSON lines (.gz) with a column text; the example pages by default")
    parser.add_argument("--documents", type=int, default=46)
    parser.add_argument("--engines", nargs="+", default=["transformers"], choices=("transformers", "vllm"))
    parser.add_argument("--rows", nargs="+", default=["bare", "streaming", "spark", "synchronous", "upstream"])
    parser.add_argument("--batch", type=int, default=16, help="requests in one synchronous call")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--new-tokens", type=int, default=32, help="most tokens of a program")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peak-tflops", type=float, default=0.0, help="for MFU; 0 measures a large matrix product")
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # this process measures one row
    arguments = parser.parse_args()
    if arguments.one:
        print("MEASURED " + json.dumps(_measure(*arguments.one, arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = _random_model(Path(folder)) if arguments.model == "random" else arguments.model
        peak = arguments.peak_tflops or _peak_tflops(arguments)
        names = [
            (engine, row)
            for engine in arguments.engines
            for row in arguments.rows
            if row != "upstream" or (engine == "transformers" and not is_line_encoder(model))
        ]
        best: dict[tuple[str, str], dict[str, float]] = {}
        rounds: dict[tuple[str, str], list[dict[str, float]]] = {name: [] for name in names}
        for _, name in itertools.product(range(arguments.rounds), names):
            got = _in_a_process(name, model)
            rounds[name].append(got)
            if name not in best or got["seconds"] < best[name]["seconds"]:
                best[name] = got
        _print(best, matrix_parameters(model) or 0, peak)
    settings = ("stage", "documents", "batch", "threads", "dtype", "device", "new_tokens", "rounds")
    shown = {name: getattr(arguments, name) for name in settings}
    kind = "random" if arguments.model == "random" else "a folder"
    write_result(arguments.output, "engine", {"model": kind, **shown}, _rows(rounds))


def _rows(rounds: dict[tuple[str, str], list[dict[str, float]]]) -> list[dict[str, object]]:
    """A row for each way of running, and one for each comparison that can be made."""
    rows: list[dict[str, object]] = [
        {
            "what": f"{engine} {row}",
            "prompt tokens/s": spread([got["prompt"] / got["seconds"] for got in turns]),
            "CPU s": spread([got["cpu"] for got in turns]) if turns[0]["cpu"] else None,
            "speed against bare": ratios(
                [1 / got["seconds"] for got in turns],
                [1 / got["seconds"] for got in rounds.get((engine, "bare"), turns)],
            ),
        }
        for (engine, row), turns in rounds.items()
    ]
    for faster, slower in _COMPARED:
        if faster in rounds and slower in rounds:
            pairs = list(zip(rounds[slower], rounds[faster], strict=True))
            rows.append(
                {
                    "what": f"{' '.join(faster)} against {' '.join(slower)}",
                    "times as fast": spread([slow["seconds"] / fast["seconds"] for slow, fast in pairs]),
                    "by CPU s": spread([slow["cpu"] / fast["cpu"] for slow, fast in pairs]),
                }
            )
    return rows


def _print(best: dict[tuple[str, str], dict[str, float]], parameters: int, peak: float) -> None:
    rows = []
    for (engine, row), got in best.items():
        bare = best.get((engine, "bare"), got)
        flop = 2 * parameters * (got["prompt"] + got["output"])
        rows.append(
            [
                f"{engine} {row}",
                f"{got['seconds']:.2f}",
                f"{got['cpu']:.2f}" if got["cpu"] else "-",
                f"{got['documents'] / got['seconds']:.1f}",
                f"{got['prompt'] / got['seconds']:,.0f}",
                f"{got['output'] / got['seconds']:,.0f}",
                f"{got['waited'] / got['seconds']:.1%}" if got["waited"] >= 0 else "-",
                f"{flop / (got['cpu'] or got['seconds']) / 1e12 / peak:.1%}",
                f"{bare['seconds'] / got['seconds']:.2f}",
            ]
        )
    head = ["", "s", "CPU s", "documents/s", "prompt tokens/s", "output tokens/s", "waits", "MFU", "speed against bare"]
    for faster, slower in _COMPARED:
        if faster in best and slower in best:
            ratio, cpu = (best[slower][unit] / (best[faster][unit] or float("inf")) for unit in ("seconds", "cpu"))
            print(f"{' '.join(faster)} against {' '.join(slower)}: {ratio:.2f} times as fast, {cpu:.2f} by CPU seconds")
    print(f"peak {peak:.3f} TFLOP/s, {parameters / 1e6:.1f}M parameters in a token's way")
    print(table(head, rows))


def _in_a_process(name: tuple[str, str], model: str) -> dict[str, float]:
    threads = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # OMP_NUM_THREADS decides, as it does for the others
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYSPARK_PYTHON": sys.executable,
    }
    command = [sys.executable, __file__, *sys.argv[1:], "--model", model, "--one", *name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("MEASURED ")), None)
    if line is None:
        raise SystemExit(f"{' '.join(name)}: {done.stderr[-2000:]}")
    measured: dict[str, float] = json.loads(line.removeprefix("MEASURED "))
    return measured


def _measure(engine: str, row: str, arguments: argparse.Namespace) -> dict[str, float]:
    overrides = [f"model.path={arguments.model}", f"{arguments.stage}.max_new_tokens={arguments.new_tokens}"]
    prompt = writer_of(load_config(None, overrides), arguments.stage).prompt
    assert prompt is not None
    spec = ModelSpec(
        path=arguments.model,
        engine=engine,
        threads=arguments.threads,
        dtype=arguments.dtype,
        device=arguments.device,
    )
    documents = _documents(arguments.input, arguments.documents)
    if row == "spark":
        return _spark(spec, prompt, arguments.stage, documents)
    builder = builder_for(prompt)
    runner: Engine = _Upstream(spec) if row == "upstream" else engine_for(spec)
    if row in ("synchronous", "upstream"):
        runner = _Synchronous(runner, arguments.batch)
    # Warm on other texts: a cache of prefixes must not know what is measured.
    other = [dataclasses.replace(document, text=document.text[::-1]) for document in documents[:4]]
    list(generate_programs(other, runner, builder, stage=arguments.stage))
    timed = _Timed(runner)
    requests = _requests(documents, builder, arguments.stage) if row != "streaming" else []
    started, cpu = time.perf_counter(), time.process_time()
    results: list[Any]
    if requests:
        results = list(timed.complete(requests))
    else:
        results = list(generate_programs(documents, timed, builder, stage=arguments.stage))
    figures = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu, "waited": timed.waited_s}
    return {**figures, **_totals(results, documents)}


def _requests(documents: list[Document], builder: Any, stage: Any) -> list[Request]:
    """The very requests of the generate stage."""

    class Collector:
        def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
            collected.extend(requests)
            return iter(())

    collected: list[Request] = []
    list(generate_programs(documents, Collector(), builder, stage=stage))
    return collected


def _spark(spec: ModelSpec, prompt: PromptSpec, stage: Any, documents: list[Document]) -> dict[str, float]:
    from pyspark.sql import functions as F

    from spark_prox.spark.session import build_session
    from udfs.generate import PROGRAM_COLUMNS, GeneratePrograms

    with tempfile.TemporaryDirectory() as folder:
        extra = {"spark.master": "local[1]", "spark.ui.enabled": "false", "spark.sql.warehouse.dir": folder}
        session = build_session("bench", arrow_batch_rows=256, extra=extra)
        frame = session.createDataFrame(
            [(document.doc_id, document.doc_hash, document.text) for document in documents],
            "doc_id string, doc_hash string, text string",
        ).coalesce(1)
        frame.write.parquet(f"{folder}/documents")
        stored = session.read.parquet(f"{folder}/documents").coalesce(1)
        generate = GeneratePrograms(stage=stage, model=spec, prompt=prompt)
        other = stored.limit(4).withColumn("text", F.reverse("text"))
        other.mapInPandas(generate, PROGRAM_COLUMNS).collect()  # loads the model
        started = time.perf_counter()
        stored.mapInPandas(generate, PROGRAM_COLUMNS).write.parquet(f"{folder}/programs")
        seconds = time.perf_counter() - started
        rows = session.read.parquet(f"{folder}/programs").collect()
        totals = _totals(rows, documents)
        assert len({row["engine_id"] for row in rows}) == 1
        session.stop()
    return {"seconds": seconds, "cpu": 0.0, "waited": -1.0, **totals}


def _totals(results: list[Any], documents: list[Document]) -> dict[str, float]:
    return {
        "documents": len(documents),
        "prompt": sum(result.prompt_tokens for result in results),
        "output": sum(result.output_tokens for result in results),
    }


def _peak_tflops(arguments: argparse.Namespace) -> float:
    import torch

    torch.set_num_threads(arguments.threads)
    on_cpu = arguments.device == "cpu"
    size, dtype = 2048 if on_cpu else 8192, getattr(torch, arguments.dtype)
    rows = torch.randn(size, size, dtype=dtype, device=arguments.device)
    layer = torch.nn.Linear(size, size, bias=False, dtype=dtype, device=arguments.device)
    packed = packed_linear(layer)  # the faster product on many a CPU
    best = float("inf")
    for product in [layer, *([packed] if packed else [])] * 6:
        started = time.process_time() if on_cpu else time.perf_counter()
        with torch.inference_mode():
            float(product(rows)[0, 0])  # waits for the device
        best = min(best, (time.process_time() if on_cpu else time.perf_counter()) - started)
    return 2 * size**3 / best / 1e12


def _random_model(folder: Path) -> str:
    """Llama with one KV head and random weights, a tokenizer of the example pages: only its speed means something."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8192, hidden_size=512, intermediate_size=1536, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=1, max_position_embeddings=2048, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    lines = [line for document in _documents(None, 46) for line in document.text.split("\n")]
    save_tokenizer(train_tokenizer(lines, vocabulary=8192), folder, max_tokens=2048)
    return str(folder)


def _documents(source: str | None, count: int) -> list[Document]:
    if source is None:
        from spark_prox.sources.warc.archive import read_archive

        with gzip.open(ROOT / "examples" / "pages.warc.wet.gz", "rb") as stream:
            texts = [row.text for row in read_archive(stream) if row.text]
    else:
        with gzip.open(source, "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line, _ in zip(lines, range(count), strict=False)]
    texts = (texts * (count // max(1, len(texts)) + 1))[:count]
    return [Document(doc_id=str(number), text=text) for number, text in enumerate(texts)]


if __name__ == "__main__":
    main()
