"""Engines that fail inside a Spark worker: rows with codes, every document once, the task alive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.prompts.builder import PromptSpec
from spark_prox.prompts.templates import TEMPLATES
from tests.tiny_models import write_tiny_llama
from udfs.generate import PROGRAM_COLUMNS, GeneratePrograms

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.model


def test_requests_that_cannot_be_completed_are_rows_and_the_others_are_answered(
    spark: SparkSession, tmp_path: Path
) -> None:
    """A chunk of thirty lines does not fit a context of 256 tokens; one of two lines does."""
    model = write_tiny_llama(tmp_path / "tiny", context=256)
    generate = GeneratePrograms(
        stage="chunk",
        model=ModelSpec(path=str(model), engine="transformers", device="cpu"),
        prompt=PromptSpec(
            template=TEMPLATES["prox-chunk-bare"],
            model_path=str(model),
            max_prompt_tokens=1000,  # more than the model's window: the engine has to say so
            max_chunk_tokens=400,
            max_new_tokens=8,
        ),
    )
    documents = spark.range(40, numPartitions=2).selectExpr(
        "cast(id as string) AS doc_id",
        "sha2(cast(id as string), 256) AS doc_hash",
        "concat_ws('\\n', array_repeat('The river rises in the hills', IF(id % 10 = 3, 30, 2))) AS text",
    )
    rows = documents.mapInPandas(generate, PROGRAM_COLUMNS).collect()
    assert sorted(int(row["doc_id"]) for row in rows) == list(range(40))
    failed = {int(row["doc_id"]): row["detail"] for row in rows if row["status"] == "ENGINE_FAILED"}
    assert sorted(failed) == [3, 13, 23, 33]
    assert all(detail.startswith("PROMPT_TOO_LONG: ") for detail in failed.values())
    assert {row["status"] for row in rows if int(row["doc_id"]) not in failed} == {"OK"}
