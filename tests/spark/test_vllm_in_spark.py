"""Real vLLM, its CPU build, inside a Spark Python worker: the generate stage's own path."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.prompts.builder import PromptSpec
from spark_prox.prompts.templates import TEMPLATES
from udfs.generate import PROGRAM_COLUMNS, GeneratePrograms

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: python dev/setup_vllm.py"),
]


def programs(spark: SparkSession, model: Path, engine: Literal["vllm", "transformers"]) -> list[Row]:
    generate = GeneratePrograms(
        stage="chunk",
        model=ModelSpec(path=str(model), engine=engine, device="cpu", dtype="float32", max_in_flight=8),
        prompt=PromptSpec(
            template=TEMPLATES["prox-chunk"],
            model_path=str(model),
            max_prompt_tokens=400,
            max_chunk_tokens=150,
            max_new_tokens=8,
        ),
    )
    documents = spark.range(24, numPartitions=3).selectExpr(
        "cast(id as string) AS doc_id",
        "sha2(cast(id as string), 256) AS doc_hash",
        "concat_ws('\\n', transform(sequence(1, 12 + id), n -> concat('The river rises ', n * id))) AS text",
    )
    rows = documents.coalesce(1).mapInPandas(generate, PROGRAM_COLUMNS).collect()
    return sorted(rows, key=lambda row: (row["doc_id"], row["chunk_index"]))


def test_vllm_in_a_worker_writes_what_transformers_writes(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HOME": str(tmp_path)}.items():
        # A worker of its own: vLLM changes threads and logging of its process for good.
        monkeypatch.setitem(spark.sparkContext.environment, name, value)
    expected, got = programs(spark, tiny_llama, "transformers"), programs(spark, tiny_llama, "vllm")
    assert {row["status"] for row in got} == {"OK"}
    assert len(got) > 24
    columns = ("doc_id", "chunk_index", "program", "finish_reason", "prompt_tokens", "output_tokens")
    assert [[row[c] for c in columns] for row in got] == [[row[c] for c in columns] for row in expected]
    assert len({row["engine_id"] for row in got}) == 1
