"""Engines side by side, one run, one machine: tokens and documents a second, and how long the engine has nothing to do.

`streaming` is this project's way: requests flow across batches of documents. `synchronous` is upstream's: one call
for each batch of documents, in the order in which they come, and the next one only when it is done. Equal settings.

    python bench/engine.py --model embedded --documents 200
    python bench/engine.py --model /models/web-chunk-refining-lm --input pages.jsonl.gz --engines transformers vllm
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from spark_prox.config import load_config
from spark_prox.documents import Document
from spark_prox.engines.base import Completion, Engine, Request
from spark_prox.engines.spec import ModelSpec
from spark_prox.engines.worker import engine_for
from spark_prox.generation import generate_programs
from spark_prox.models import matrix_parameters
from spark_prox.prompts import builder_for
from spark_prox.report.run_report import table
from spark_prox.stages.keys import prompt_spec

ROOT = Path(__file__).parent.parent


class _Timed:
    """An engine that measures how long it works, beside how long the whole takes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.waited_s = 0.0

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        return self._engine.complete(self._timed(requests))

    def _timed(self, requests: Iterable[Request]) -> Iterator[Request]:
        stream = iter(requests)
        while True:
            started = time.perf_counter()
            request = next(stream, None)
            self.waited_s += time.perf_counter() - started
            if request is None:
                return
            yield request


class _Synchronous:
    """One call to the engine for each `size` requests."""

    def __init__(self, engine: Engine, size: int) -> None:
        self._engine = engine
        self._size = size

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        batch: list[Request] = []
        for request in requests:
            batch.append(request)
            if len(batch) == self._size:
                yield from list(self._engine.complete(batch))
                batch = []
        yield from list(self._engine.complete(batch))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="model directory, or embedded")
    parser.add_argument("--stage", choices=("doc", "chunk"), default="chunk")
    parser.add_argument("--input", help="JSON lines with a column text; the example pages by default")
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--engines", nargs="+", default=["transformers"], choices=("transformers", "vllm"))
    parser.add_argument("--batch", type=int, default=16, help="documents' requests in one synchronous call")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak-tflops", type=float, default=0.0, help="of the device, for the share of it used (MFU)")
    arguments = parser.parse_args()
    documents = _documents(arguments.input, arguments.documents)
    rows = []
    for name in arguments.engines:
        spec = ModelSpec(path=arguments.model, engine=name, threads=arguments.threads)
        engine = engine_for(spec)
        _measure("warm-up", engine, documents[:4], arguments)
        streaming = _measure(f"{name} streaming", engine, documents, arguments)
        synchronous = _measure(f"{name} synchronous", _Synchronous(engine, arguments.batch), documents, arguments)
        rows += [[*streaming, f"{synchronous[1] / streaming[1]:.2f}"], [*synchronous, "1.00"]]
    head = ["engine", "s", "documents/s", "prompt tokens/s", "output tokens/s", "engine waits", "MFU", "speed-up"]
    print(table(head, rows))


def _measure(name: str, engine: Engine, documents: list[Document], arguments: argparse.Namespace) -> list[object]:
    config = load_config(None, [f"model.path={arguments.model}"])
    builder = builder_for(replace(prompt_spec(config, arguments.stage)))
    timed = _Timed(engine)
    started = time.perf_counter()
    rows = list(generate_programs(documents, timed, builder, stage=arguments.stage))
    seconds = time.perf_counter() - started
    prompt, output = sum(row.prompt_tokens for row in rows), sum(row.output_tokens for row in rows)
    parameters = matrix_parameters(arguments.model) or 0
    used = 2 * parameters * (prompt + output) / seconds / 1e12
    share = f"{used / arguments.peak_tflops:.1%}" if arguments.peak_tflops else f"{used * 1e3:.1f} GFLOP/s"
    return [
        name,
        round(seconds, 2),
        round(len(documents) / seconds, 1),
        round(prompt / seconds),
        round(output / seconds),
        f"{timed.waited_s / seconds:.1%}",
        share,
    ]


def _documents(source: str | None, count: int) -> list[Document]:
    if source is None:
        from spark_prox.sources.archive import read_archive

        with gzip.open(ROOT / "examples" / "pages.warc.wet.gz", "rb") as stream:
            texts = [row.text for row in read_archive(stream) if row.text]
    else:
        with gzip.open(source, "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line, _ in zip(lines, range(count), strict=False)]
    texts = (texts * (count // max(1, len(texts)) + 1))[:count]
    return [Document(doc_id=str(number), text=text) for number, text in enumerate(texts)]


if __name__ == "__main__":
    main()
