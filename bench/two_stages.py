"""Compare one pass over the documents for both levels with one pass for each, with the models resident.

Two passes are what the pipeline does: the document level for all documents, then the chunk level for those that it
keeps. One pass hands both levels' requests to engines in one iterator: a document's chunk prompts are built as soon as
it is kept. Where both levels are one model (the embedded refiner is), one engine runs both kinds of requests in the
same batches. JVM, Delta and model loading are left out: this is the engine's side of the question alone.

    python bench/two_stages.py --documents 200
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import engine as shared
from bench.measured import ratios, spread, write_result
from spark_prox.config.model import ModelSpec
from spark_prox.config.run import RunConfig, load_config
from spark_prox.documents import LEVELS, Document
from spark_prox.engines.base import Engine, Request
from spark_prox.engines.worker import engine_for
from spark_prox.generation import generate_programs
from spark_prox.prompts.builder import PromptBuilder, builder_for
from spark_prox.report.run_report import table
from spark_prox.writers import policy_of, writer_of


def two_passes(documents: list[Document], engines: tuple[Engine, Engine], config: RunConfig) -> tuple[int, int]:
    """As the pipeline does it. Returns (programs of the chunk level, prompt tokens of both)."""
    limit = policy_of(config).min_drop_margin
    builders = _builders(config)
    verdicts = list(generate_programs(documents, engines[0], builders[0], stage="doc"))
    dropped = {row.doc_id for row in verdicts if row.margin is not None and row.margin < -limit}
    kept = [document for document in documents if document.doc_id not in dropped]
    programs = list(generate_programs(kept, engines[1], builders[1], stage="chunk"))
    return len(programs), sum(row.prompt_tokens for row in [*verdicts, *programs])


def one_pass(documents: list[Document], engines: tuple[Engine, Engine], config: RunConfig) -> tuple[int, int]:
    """Documents in, both levels' programs out, in one iterator. Returns what `two_passes` does."""
    limit = policy_of(config).min_drop_margin
    builders = _builders(config)
    if engines[0] is engines[1]:
        return _one_engine(documents, engines[0], builders, limit)
    tokens, by_id = 0, {document.doc_id: document for document in documents}

    def kept() -> Iterator[Document]:
        nonlocal tokens
        for row in generate_programs(documents, engines[0], builders[0], stage="doc"):
            tokens += row.prompt_tokens
            if row.margin is None or row.margin >= -limit:
                yield by_id[row.doc_id]

    programs = list(generate_programs(kept(), engines[1], builders[1], stage="chunk"))
    return len(programs), tokens + sum(row.prompt_tokens for row in programs)


def _one_engine(
    documents: Iterable[Document], engine: Engine, builders: tuple[PromptBuilder, PromptBuilder], limit: float
) -> tuple[int, int]:
    judged: dict[int, Document] = {}
    follow: deque[Request] = deque()
    programs = tokens = count = 0
    fresh = iter(documents)

    class Stream:
        """Chunk requests of kept documents first, then the next document; ends when nothing is left to judge."""

        def __iter__(self) -> Stream:
            return self

        def ready(self) -> bool:
            return True

        def __next__(self) -> Request:
            nonlocal count
            while True:
                if follow:
                    return follow.popleft()
                document = next(fresh, None)
                if document is None:
                    raise StopIteration
                prompt = builders[0].document_prompt(document.text)
                judged[count] = document
                count += 1
                return Request(
                    request_id=count - 1,
                    prompt_token_ids=prompt.token_ids,
                    read_at=prompt.read_at,
                    read_tokens=prompt.read_tokens,
                )

    while True:  # a stream that has ended may get follow-ups of its last documents: one more round takes them
        for completion in engine.complete(Stream()):
            tokens += completion.prompt_tokens
            document = judged.pop(completion.request_id, None)
            if document is None:
                programs += 1
            elif completion.margins[0] >= -limit:
                for _, prompt in builders[1].chunk_prompts(document.text):
                    if prompt is not None:
                        follow.append(
                            Request(
                                request_id=count,
                                prompt_token_ids=prompt.token_ids,
                                read_at=prompt.read_at,
                                read_tokens=prompt.read_tokens,
                            )
                        )
                        count += 1
                    else:
                        programs += 1
        if not follow:
            return programs, tokens


def _builders(config: RunConfig) -> tuple[PromptBuilder, PromptBuilder]:
    doc, chunk = (writer_of(config, level).prompt for level in LEVELS)
    assert doc is not None
    assert chunk is not None
    return builder_for(doc), builder_for(chunk)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", help="JSON lines (.gz) with a column text; the example pages by default")
    parser.add_argument("--documents", type=int, default=92)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    arguments = parser.parse_args()
    documents = shared._documents(arguments.input, arguments.documents)
    config = load_config(None, [])
    one = engine_for(ModelSpec(engine="transformers", threads=arguments.threads))
    # A second engine on the same weights: what two different models of this size would cost.
    other = engine_for(ModelSpec(engine="transformers", threads=arguments.threads, revision="other"))
    ways = {
        "two passes": (two_passes, (one, one)),
        "one pass, one engine": (one_pass, (one, one)),
        "one pass, two engines": (one_pass, (one, other)),
    }
    two_passes(documents[:8], (one, other), config)  # warm
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    results = {}
    for _ in range(arguments.rounds):
        for name, (way, engines) in ways.items():
            started, cpu = time.perf_counter(), time.process_time()
            results[name] = way(documents, engines, config)
            seconds[name].append((time.perf_counter() - started, time.process_time() - cpu))
    assert len(set(results.values())) == 1, f"the ways disagree: {results}"
    programs, tokens = results["two passes"]
    base = [min(times) for times in zip(*seconds["two passes"], strict=True)]
    rows = []
    for name, measured in seconds.items():
        wall, cpu = (min(times) for times in zip(*measured, strict=True))
        rows.append(
            [
                name,
                f"{wall:.2f}",
                f"{cpu:.2f}",
                f"{tokens / wall:,.0f}",
                f"{base[0] / wall:.2f}",
                f"{base[1] / cpu:.2f}",
            ]
        )
    write_result(
        arguments.output,
        "two_stages",
        {"documents": len(documents), "programs": programs, "prompt tokens": tokens, "threads": arguments.threads},
        [
            {
                "what": name,
                "CPU s": spread([cpu for _, cpu in measured]),
                "speed against two passes": ratios(
                    [1 / wall for wall, _ in measured], [1 / wall for wall, _ in seconds["two passes"]]
                ),
                "by CPU s": ratios([1 / cpu for _, cpu in measured], [1 / cpu for _, cpu in seconds["two passes"]]),
            }
            for name, measured in seconds.items()
        ],
    )
    print(
        f"{len(documents)} documents, {programs} chunk programs, {tokens:,} prompt tokens; best of {arguments.rounds}"
    )
    print(table(["", "s", "CPU s", "prompt tokens/s", "speed", "speed by CPU"], rows))


if __name__ == "__main__":
    main()
