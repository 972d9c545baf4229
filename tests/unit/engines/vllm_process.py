"""What the tests of vLLM ask an engine. vLLM changes signal handlers, threads and logging of its process for good.

`python -m tests.unit.engines.vllm_process MODEL ADAPTER` asks vLLM all of it in one process of its own; the tests ask
transformers the same in theirs.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

from spark_prox.config.model import ModelSpec
from spark_prox.engines import worker
from spark_prox.engines.base import Request

MARK = "ANSWERS "


def ids(seed: int, length: int) -> tuple[int, ...]:
    """A prompt of random tokens."""
    return tuple(random.Random(seed).choices(range(3, 400), k=length))


def answers(path: str, name: str) -> dict[str, Any]:
    """Texts and margins of requests of every kind, and how many were pulled when the first was answered."""
    requests = [Request(request_id=n, prompt_token_ids=ids(n, 4 + 9 * n), max_new_tokens=12) for n in range(5)]
    requests += [
        Request(request_id=n, prompt_token_ids=ids(n, 10 + n), read_at=(9 + n,), read_tokens=(7, 9))
        for n in (10, 11, 12)
    ]
    requests += [
        Request(request_id=20, prompt_token_ids=ids(20, 600), max_new_tokens=4),
        Request(request_id=21, prompt_token_ids=(), max_new_tokens=4),
    ]
    requests += [
        Request(request_id=n, prompt_token_ids=ids(n, 30), max_new_tokens=60, program_lines=(9, 14))
        for n in (30, 31, 32)
    ]
    pulled = 0

    def stream() -> Iterator[Request]:
        nonlocal pulled
        for request in requests:
            pulled += 1
            yield request

    spec = ModelSpec(
        path=path,
        engine=name,
        device="cpu",
        dtype="float32",
        max_in_flight=3,
        max_batch_tokens=600,
        constrain="grammar",
    )
    engine = worker._load(spec)  # without the supervisor, whose thread takes completions ahead of their reader
    found, first_pulled = {}, None
    abandoned = engine.complete(requests[:5])
    next(abandoned)
    abandoned.close()
    for completion in engine.complete(stream()):
        first_pulled = first_pulled or pulled
        found[completion.request_id] = [
            completion.text, completion.finish_reason, completion.error_code, list(completion.margins)
        ]  # fmt: skip
    return {"answers": found, "first_pulled": first_pulled}


def adapted(path: str, name: str, adapter: str) -> dict[int, str]:
    """Texts of a model with an adapter; "" for none."""
    spec = ModelSpec(path=path, engine=name, device="cpu", dtype="float32", adapter=adapter)
    requests = [Request(request_id=n, prompt_token_ids=ids(n, 20), max_new_tokens=8) for n in range(4)]
    return {completion.request_id: completion.text for completion in worker.engine_for(spec).complete(requests)}


def poisoned(path: str) -> dict[str, Any]:
    """Answers of a vLLM that dies whenever it works on one certain request, under a Spark worker's supervisor."""
    loaded = []
    load = worker._load

    def deadly(spec: ModelSpec) -> Any:
        engine: Any = load(spec)
        loaded.append(engine)
        step, add, poison = engine._engine.step, engine._engine.add_request, []

        def adding(request_id: str, prompt: Any, *rest: Any, **named: Any) -> Any:
            if prompt["prompt_token_ids"][0] == 399:
                poison.append(request_id)
            return add(request_id, prompt, *rest, **named)

        def stepping() -> Any:
            if poison:
                raise RuntimeError("EngineCore encountered an issue")
            return step()

        engine._engine.add_request, engine._engine.step = adding, stepping
        return engine

    worker._load = deadly
    spec = ModelSpec(path=path, engine="vllm", device="cpu", dtype="float32", max_in_flight=4)
    requests = [
        Request(request_id=n, prompt_token_ids=(399 if n == 5 else 7, 8, 9 + n), max_new_tokens=6) for n in range(9)
    ]
    found = {
        completion.request_id: [completion.text, completion.finish_reason, completion.error_code]
        for completion in worker.engine_for(spec).complete(requests)
    }
    return {"answers": found, "loads": len(loaded)}


def main() -> None:
    """Print what vLLM says, as JSON."""
    path, adapter = sys.argv[1:]
    said = {
        "plain": answers(path, "vllm"), "adapted": adapted(path, "vllm", adapter), "poisoned": poisoned(path),
    }  # fmt: skip
    sys.stdout.write(f"{MARK}{json.dumps(said)}\n")


if __name__ == "__main__":
    main()
