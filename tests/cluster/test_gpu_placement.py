"""Generating tasks and their engines sit where the placement says: on GPUs, one engine each, and nothing else there.

Four executors with two cores and one fake GPU each, on two workers: see `tests.cluster.standalone`.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.config.placement import PlacementConfig
from spark_prox.errors import SetupError
from spark_prox.prompts.builder import PromptSpec
from spark_prox.prompts.templates import TEMPLATES
from spark_prox.spark.placement import generation_partitions, generation_profile, generation_workers
from tests.cluster.conftest import GPU_EXECUTORS, ClusterSession
from tests.cluster.observed import Count, Observed
from tests.cluster.standalone import StandaloneCluster
from udfs.generate import PROGRAM_COLUMNS, GeneratePrograms

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TASKS = 24
ROWS_PER_TASK = 3

Record = dict[str, Any]


@pytest.fixture(scope="module")
def spark(cluster_session: ClusterSession) -> Iterator[SparkSession]:
    with cluster_session(GPU_EXECUTORS) as session:
        yield session


def generating(model: str, **settings: Any) -> GeneratePrograms:
    return GeneratePrograms(
        stage="doc",
        model=ModelSpec(path=model, **{"engine": "scripted", **settings}),
        prompt=PromptSpec(
            template=TEMPLATES["prox-doc"],
            model_path=model,
            max_prompt_tokens=400,
            max_chunk_tokens=200,
            max_new_tokens=8,
        ),
    )


def run(
    spark: SparkSession,
    function: GeneratePrograms,
    folder: Path,
    *,
    gpus_per_task: float,
    tasks: int = TASKS,
    delay_s: float = 0.2,
) -> list[Record]:
    """Generate for a few documents in many tasks, as `stages.generate` does; what each task saw."""
    folder.mkdir()
    placement = PlacementConfig(gpus_per_task=gpus_per_task)
    documents = spark.range(tasks * ROWS_PER_TASK, numPartitions=tasks).selectExpr(
        "cast(id as string) AS doc_id", "sha2(cast(id as string), 256) AS doc_hash", "concat('text ', id) AS text"
    )
    observed = Observed(generate=function, folder=str(folder), delay_s=delay_s)
    with generation_workers(spark, placement):
        rows = documents.mapInPandas(observed, PROGRAM_COLUMNS, profile=generation_profile(spark, placement))
    statuses = Counter(row["status"] for row in rows.collect())
    assert statuses == {"OK": tasks * ROWS_PER_TASK}
    records = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    assert len(records) == tasks
    return records


def engines_by_gpu(records: list[Record]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        found[record["visible"]].update(record["engines"])
    return dict(found)


def most_at_once(records: list[Record], key: str) -> int:
    """Most tasks that ran at the same time among those with the same `record[key]`."""
    events = []
    for record in records:
        for place in record[key] if isinstance(record[key], list) else [record[key]]:
            events += [(place, record["started"], 1), (place, record["finished"], -1)]
    highest = 0
    for _, of_place in itertools.groupby(sorted(events), key=lambda event: event[0]):
        highest = max(highest, *itertools.accumulate(change for _, _, change in of_place))
    return highest


def test_every_engine_sees_one_gpu_of_its_own_and_each_gpu_loads_one_engine_for_many_tasks(
    spark: SparkSession, cluster: StandaloneCluster, tiny_model: str, tmp_path: Path
) -> None:
    records = run(spark, generating(tiny_model), tmp_path / "seen", gpus_per_task=1)
    assert all(record["assigned"] == [record["visible"]] for record in records)
    engines = engines_by_gpu(records)
    assert sorted(engines) == cluster.gpus
    assert [len(loaded) for loaded in engines.values()] == [1] * len(cluster.gpus)
    assert len(set.union(*engines.values())) == len(cluster.gpus)
    assert most_at_once(records, "assigned") == 1
    assert {record["device_order"] for record in records} == {"PCI_BUS_ID"}
    assert all(".zip" in record["code"] for record in records)


def test_a_stage_without_gpus_before_it_does_not_multiply_the_engines(
    spark: SparkSession, cluster: StandaloneCluster, tiny_model: str, tmp_path: Path
) -> None:
    # Leaves an idle Python worker on every core: twice as many as GPUs.
    numbers = spark.range(cluster.cores * 4, numPartitions=cluster.cores)
    assert len(numbers.mapInPandas(Count(delay_s=0.5), "rows long").collect()) == cluster.cores
    records = run(spark, generating(tiny_model, script="one"), tmp_path / "first", gpus_per_task=1)
    assert len(numbers.mapInPandas(Count(delay_s=0.5), "rows long").collect()) == cluster.cores
    records += run(spark, generating(tiny_model, script="one"), tmp_path / "second", gpus_per_task=1)
    engines = engines_by_gpu(records)
    assert sorted(engines) == cluster.gpus
    assert {len(loaded) for loaded in engines.values()} == {1}


def test_half_a_gpu_for_a_task_puts_two_engines_on_each(
    spark: SparkSession, cluster: StandaloneCluster, tiny_model: str, tmp_path: Path
) -> None:
    # A task lasts long enough for its neighbour's worker to start, on a busy machine too.
    records = run(spark, generating(tiny_model, script="half"), tmp_path / "seen", gpus_per_task=0.5, delay_s=1.0)
    assert all(record["assigned"] == [record["visible"]] for record in records)
    engines = engines_by_gpu(records)
    assert sorted(engines) == cluster.gpus
    # An idle Python worker gets the next task: there are two only because two tasks ran at once.
    assert [len(loaded) for loaded in engines.values()] == [2] * len(cluster.gpus)
    assert most_at_once(records, "assigned") <= 2


def test_a_stage_without_a_profile_runs_on_more_cores_than_gpus_and_sees_none(
    spark: SparkSession, cluster: StandaloneCluster, tiny_model: str, tmp_path: Path
) -> None:
    records = run(spark, generating(tiny_model, script="cpu"), tmp_path / "seen", gpus_per_task=0, delay_s=0.5)
    assert {(tuple(record["assigned"]), record["visible"]) for record in records} == {((), "(unset)")}
    at_once = max(itertools.accumulate(change for _, change in sorted(
        [(record["started"], 1) for record in records] + [(record["finished"], -1) for record in records]
    )))  # fmt: skip
    assert at_once > len(cluster.gpus)
    # One load for each Python worker, over three times as many tasks as cores.
    engines = {engine for record in records for engine in record["engines"]}
    assert len(engines) == len({record["worker"] for record in records}) <= cluster.cores < TASKS


def test_the_gpu_is_chosen_before_torch_is_imported(
    spark: SparkSession, cluster: StandaloneCluster, tiny_model: str, tmp_path: Path
) -> None:
    function = generating(tiny_model, engine="transformers", device="cpu")
    records = run(spark, function, tmp_path / "seen", gpus_per_task=1, tasks=2)
    assert {record["visible"] for record in records} <= set(cluster.gpus)
    assert all(record["visible_at_torch_import"] == record["visible"] for record in records)


def test_generating_is_cut_into_five_tasks_for_each_gpu_slot(spark: SparkSession, cluster: StandaloneCluster) -> None:
    def tasks(documents: int = 10**6, **placement: Any) -> int:
        return generation_partitions(spark, PlacementConfig(**placement), documents)

    assert tasks() == 5 * cluster.cores
    assert tasks(gpus_per_task=1) == 5 * len(cluster.gpus)
    assert tasks(gpus_per_task=0.5) == 10 * len(cluster.gpus)
    assert tasks(gpus_per_task=0.5, cpus_per_task=2) == 5 * len(cluster.gpus)  # two cores: one task at a time
    assert tasks(gpus_per_task=1, partitions=7) == 7
    assert tasks(gpus_per_task=1, documents=5) == 5


@pytest.mark.parametrize("gpus_per_task", [0.3, 0.75, 2])
def test_a_share_that_no_executor_can_give_is_refused(spark: SparkSession, gpus_per_task: float) -> None:
    with pytest.raises(SetupError, match=r"GPU_FRACTION|GPU_NOT_CONFIGURED"):
        generation_profile(spark, PlacementConfig(gpus_per_task=gpus_per_task))
