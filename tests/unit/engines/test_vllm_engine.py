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
from tests.unit.engines import vllm_process
from tests.unit.engines.test_lora import write_adapter

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: python dev/setup_vllm.py"),
]


@pytest.fixture(scope="module")
def adapter(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter of the model."""
    config = {"peft_type": "LORA", "target_modules": ["q_proj", "down_proj"], "bias": "none"}
    return write_adapter(tiny_llama, tmp_path_factory.mktemp("adapter"), **config)[0]


@pytest.fixture(scope="module")
def said(tiny_llama: Path, adapter: Path, repository: Path) -> dict[str, Any]:
    """All that vLLM says, in one process: its imports take longer than its answers."""
    done = subprocess.run(
        [sys.executable, "-m", vllm_process.__name__, str(tiny_llama), str(adapter)],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tiny_llama.parent),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith(vllm_process.MARK)), None)
    assert line is not None, done.stderr[-3000:]
    parsed: dict[str, Any] = json.loads(line.removeprefix(vllm_process.MARK))
    return parsed


@pytest.fixture(scope="module")
def vllm(said: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = said["plain"]
    return plain


@pytest.fixture(scope="module")
def transformers(tiny_llama: Path) -> dict[str, Any]:
    return as_json(vllm_process.answers(str(tiny_llama), "transformers"))


def as_json(found: dict[Any, Any]) -> dict[str, Any]:
    """With keys and lists as another process would give them."""
    parsed: dict[str, Any] = json.loads(json.dumps(found))
    return parsed


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


def test_a_vllm_that_dies_is_loaded_again_and_the_poison_is_found(said: dict[str, Any]) -> None:
    outcome = said["poisoned"]
    assert sorted(map(int, outcome["answers"])) == list(range(9))
    codes = {int(number): answer[2] for number, answer in outcome["answers"].items()}
    assert codes == {number: "POISON_REQUEST" if number == 5 else None for number in range(9)}
    assert all(answer[0] for number, answer in outcome["answers"].items() if number != "5")
    assert 2 <= outcome["loads"] <= 5  # of four in flight: two halvings, and one to go on with


def test_an_adapter_gives_the_same_in_vllm_and_merged_into_the_weights(
    said: dict[str, Any], tiny_llama: Path, adapter: Path
) -> None:
    merged, plain = (vllm_process.adapted(str(tiny_llama), "transformers", path) for path in (str(adapter), ""))
    assert said["adapted"] == as_json(merged)
    assert said["adapted"] != as_json(plain)
