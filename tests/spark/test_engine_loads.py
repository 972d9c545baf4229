"""The model is loaded once per Python worker, however many tasks the worker runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spark_prox.config.model import ModelSpec
from spark_prox.prompts.builder import PromptSpec
from spark_prox.prompts.templates import TEMPLATES
from udfs.generate import PROGRAM_COLUMNS, GeneratePrograms

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TASKS = 12


def test_two_workers_load_the_model_twice_for_twelve_tasks(spark: SparkSession, tiny_llama: Path) -> None:
    generate = GeneratePrograms(
        stage="doc",
        model=ModelSpec(path=str(tiny_llama), engine="transformers", device="cpu"),
        prompt=PromptSpec(
            template=TEMPLATES["prox-doc"],
            model_path=str(tiny_llama),
            max_prompt_tokens=400,
            max_chunk_tokens=200,
            max_new_tokens=8,
        ),
    )
    documents = spark.range(TASKS * 6, numPartitions=TASKS).selectExpr(
        "cast(id as string) AS doc_id", "sha2(cast(id as string), 256) AS doc_hash", "concat('text ', id) AS text"
    )
    rows = documents.mapInPandas(generate, PROGRAM_COLUMNS).collect()
    assert len(rows) == TASKS * 6
    assert {row["status"] for row in rows} == {"OK"}
    processes = {row["engine_id"].split("/")[1] for row in rows}
    loads = {row["engine_id"] for row in rows}
    assert 1 <= len(processes) <= 2
    assert len(loads) == len(processes)


def test_an_empty_partition_loads_nothing(spark: SparkSession) -> None:
    generate = GeneratePrograms(
        stage="doc",
        model=ModelSpec(path="/nowhere", engine="transformers"),
        prompt=PromptSpec(
            template=TEMPLATES["prox-doc"],
            model_path="/nowhere",
            max_prompt_tokens=400,
            max_chunk_tokens=200,
            max_new_tokens=8,
        ),
    )
    empty = spark.createDataFrame([], "doc_id string, doc_hash string, text string")
    assert empty.mapInPandas(generate, PROGRAM_COLUMNS).count() == 0
