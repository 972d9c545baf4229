"""Real vLLM, its CPU build, on a small model of ours: in process, as in a Spark worker."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from spark_prox.programs import parse_program
from spark_prox.programs.ops import RemoveLines
from tests.unit.engines.test_lora import write_adapter

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: python dev/setup_vllm.py"),
]

# vLLM changes signal handlers, threads and logging of its process for good: each engine gets a process of its own.
SCRIPT = """
import json, random, sys
from spark_prox.engines.base import Request
from spark_prox.config.model import ModelSpec
from spark_prox.engines.worker import _load

path, name = sys.argv[1:3]

def ids(seed, length):
    return tuple(random.Random(seed).choices(range(3, 400), k=length))

requests = [Request(request_id=n, prompt_token_ids=ids(n, 4 + 9 * n), max_new_tokens=12) for n in range(5)]
requests += [
    Request(request_id=n, prompt_token_ids=ids(n, 10 + n), read_at=(9 + n,), read_tokens=(7, 9)) for n in (10, 11, 12)
]
requests += [
    Request(request_id=20, prompt_token_ids=ids(20, 600), max_new_tokens=4),
    Request(request_id=21, prompt_token_ids=(), max_new_tokens=4),
]
pulled = 0

def stream():
    global pulled
    for request in requests:
        pulled += 1
        yield request

requests += [
    Request(request_id=n, prompt_token_ids=ids(n, 30), max_new_tokens=60, program_lines=(9, 14)) for n in (30, 31, 32)
]

spec = ModelSpec(
    path=path, engine=name, device="cpu", dtype="float32", max_in_flight=3, max_batch_tokens=600, constrain="grammar"
)
engine = _load(spec)  # without the supervisor, whose thread takes completions ahead of their reader
answers, first_pulled = {}, None
abandoned = engine.complete(requests[:5])
next(abandoned)
abandoned.close()
for completion in engine.complete(stream()):
    first_pulled = first_pulled or pulled
    answers[completion.request_id] = [
        completion.text, completion.finish_reason, completion.error_code, list(completion.margins)
    ]
print("ANSWERS " + json.dumps({"answers": answers, "first_pulled": first_pulled}))
"""


# A vLLM that dies whenever it works on one certain request, under the supervisor of a Spark worker.
POISON = """
import json, sys
from spark_prox.engines import vllm_engine, worker
from spark_prox.engines.base import Request
from spark_prox.config.model import ModelSpec

path, _ = sys.argv[1:3]
loaded = []
load = worker._load

def deadly(spec):
    engine = load(spec)
    loaded.append(engine)
    step, add, poisoned = engine._engine.step, engine._engine.add_request, []
    def adding(request_id, prompt, *rest, **named):
        if prompt["prompt_token_ids"][0] == 399:
            poisoned.append(request_id)
        return add(request_id, prompt, *rest, **named)
    def stepping():
        if poisoned:
            raise RuntimeError("EngineCore encountered an issue")
        return step()
    engine._engine.add_request, engine._engine.step = adding, stepping
    return engine

worker._load = deadly
spec = ModelSpec(path=path, engine="vllm", device="cpu", dtype="float32", max_in_flight=4)
requests = [
    Request(request_id=n, prompt_token_ids=(399 if n == 5 else 7, 8, 9 + n), max_new_tokens=6) for n in range(9)
]
answers = {
    completion.request_id: [completion.text, completion.finish_reason, completion.error_code]
    for completion in worker.engine_for(spec).complete(requests)
}
print("ANSWERS " + json.dumps({"answers": answers, "loads": len(loaded)}))
"""

ADAPTED = """
import json, random, sys
from spark_prox.engines.base import Request
from spark_prox.config.model import ModelSpec
from spark_prox.engines.worker import engine_for

path, name, adapter = sys.argv[1:4]
spec = ModelSpec(path=path, engine=name, device="cpu", dtype="float32", adapter=adapter)
requests = [
    Request(request_id=n, prompt_token_ids=tuple(random.Random(n).choices(range(3, 400), k=20)), max_new_tokens=8)
    for n in range(4)
]
answers = {completion.request_id: completion.text for completion in engine_for(spec).complete(requests)}
print("ANSWERS " + json.dumps({"answers": answers}))
"""


def run(model: Path, engine: str, script: str = SCRIPT, *more: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(model), engine, *more],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(model.parent),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")), None)
    assert line is not None, done.stderr[-3000:]
    parsed: dict[str, Any] = json.loads(line.removeprefix("ANSWERS "))
    return parsed


@pytest.fixture(scope="module")
def vllm(tiny_llama: Path) -> dict[str, Any]:
    return run(tiny_llama, "vllm")


@pytest.fixture(scope="module")
def transformers(tiny_llama: Path) -> dict[str, Any]:
    return run(tiny_llama, "transformers")


def test_it_writes_what_transformers_writes(vllm: dict[str, Any], transformers: dict[str, Any]) -> None:
    for number in range(5):
        assert vllm["answers"][str(number)] == transformers["answers"][str(number)]


def test_it_reads_the_same_margins_as_transformers(vllm: dict[str, Any], transformers: dict[str, Any]) -> None:
    for number in range(10, 13):
        theirs, ours = transformers["answers"][str(number)], vllm["answers"][str(number)]
        assert ours[1] == "read"
        assert ours[3] == pytest.approx(theirs[3], abs=1e-3)


def test_a_prompt_that_does_not_fit_is_a_row_and_the_others_are_answered(vllm: dict[str, Any]) -> None:
    assert vllm["answers"]["20"][1:3] == ["error", "PROMPT_TOO_LONG"]
    assert vllm["answers"]["21"][1:3] == ["error", "PROMPT_EMPTY"]
    assert len(vllm["answers"]) == 13


def test_constrained_programs_are_the_same_and_name_only_lines_of_their_chunk(
    vllm: dict[str, Any], transformers: dict[str, Any]
) -> None:
    for number in (30, 31, 32):
        text, reason, code, _ = vllm["answers"][str(number)]
        assert code is None
        assert text == transformers["answers"][str(number)][0]
        program = parse_program(text)
        assert not program.errors or reason == "length"
        assert all(9 <= op.first <= op.last <= 14 for op in program.program if isinstance(op, RemoveLines))


def test_requests_are_pulled_only_as_the_engine_takes_them(vllm: dict[str, Any]) -> None:
    assert vllm["first_pulled"] <= 4


def test_a_vllm_that_dies_is_loaded_again_and_the_poison_is_found(tiny_llama: Path) -> None:
    outcome = run(tiny_llama, "vllm", POISON)
    assert sorted(map(int, outcome["answers"])) == list(range(9))
    codes = {int(number): answer[2] for number, answer in outcome["answers"].items()}
    assert codes == {number: "POISON_REQUEST" if number == 5 else None for number in range(9)}
    assert all(answer[0] for number, answer in outcome["answers"].items() if number != "5")
    assert 2 <= outcome["loads"] <= 5  # of four in flight: two halvings, and one to go on with


def test_an_adapter_gives_the_same_in_vllm_and_merged_into_the_weights(tiny_llama: Path, tmp_path: Path) -> None:
    config = {"peft_type": "LORA", "target_modules": ["q_proj", "down_proj"], "bias": "none"}
    adapter, _ = write_adapter(tiny_llama, tmp_path, **config)
    adapted, merged, plain = (
        run(tiny_llama, engine, ADAPTED, path)["answers"]
        for engine, path in (("vllm", str(adapter)), ("transformers", str(adapter)), ("transformers", ""))
    )
    assert adapted == merged
    assert adapted != plain
