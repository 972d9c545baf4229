"""An executor that is killed in the middle of a generating stage costs time, and no row and no second row."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from spark_prox.config.run import load_config
from spark_prox.pipeline import Pipeline
from tests.cluster.conftest import GPU_EXECUTORS, ClusterSession
from tests.cluster.observed import Observed
from tests.cluster.standalone import StandaloneCluster, wait_until
from udfs.functions import FUNCTIONS
from udfs.generate import GeneratePrograms

DOCUMENTS = 32


@pytest.mark.slow
def test_an_executor_killed_while_it_generates_loses_nothing_and_doubles_nothing(
    cluster: StandaloneCluster, cluster_session: ClusterSession, tiny_model: str, tmp_path: Path
) -> None:
    pages, seen, killed = tmp_path / "pages.jsonl", tmp_path / "seen", list[int]()
    pages.write_text("".join(json.dumps({"id": f"d{n}", "text": page(n)}) + "\n" for n in range(DOCUMENTS)))
    seen.mkdir()

    def generating(stage: str, **settings: Any) -> object:
        function = GeneratePrograms(stage=stage, **settings)  # type: ignore[arg-type]
        return Observed(generate=function, folder=str(seen), delay_s=1.5) if stage == "chunk" else function

    def kill() -> None:
        # Of eight tasks, two are done and two are running: one on each executor.
        wait_until(lambda: len(list(seen.glob("*.json"))) >= 2 and started() >= 4, "the middle of the stage")
        victim = cluster.executors()[0]
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    def started() -> int:
        return len(list(seen.glob("*.started")))

    config = load_config(
        None,
        [
            "model.engine=scripted",
            "model.script=remove_lines(start=0, end=0)",
            f"model.path={tiny_model}",
            "chunk.max_chunk_tokens=700",
            "chunk.max_prompt_tokens=2000",
            "placement.gpus_per_task=1",
            "count_tokens=false",
        ],
        {
            "warehouse": str(tmp_path / "warehouse"),
            "input.path": str(pages),
            "input.format": "jsonl",
            "input.id_column": "id",
        },
    )
    with cluster_session({**GPU_EXECUTORS, "spark.cores.max": "4"}, ship=False):
        pipeline = Pipeline(config, dataclasses.replace(FUNCTIONS, generate_programs=generating), name="killed")
        pipeline.ingest()
        pipeline.generate("doc")
        killer = threading.Thread(target=kill)
        killer.start()
        pipeline.generate("chunk")
        killer.join()
        pipeline.execute()
        programs = pipeline.warehouse.read("programs").where("stage = 'chunk'").collect()
        refined = pipeline.warehouse.read("refined").collect()

    assert killed, "the stage ended before the executor could be killed"
    attempts = Counter(name.stem.rsplit("-", 1)[1] for name in seen.glob("*.started"))
    assert attempts["1"] >= 1, "no task was lost with the executor"
    chunks = Counter((row["doc_id"], row["chunk_index"]) for row in programs)
    assert set(chunks.values()) == {1}
    counts = {row["doc_id"]: row["chunk_count"] for row in programs}
    assert len(counts) == DOCUMENTS
    assert min(counts.values()) >= 2, "every document should have several chunks"
    assert set(chunks) == {(doc_id, index) for doc_id, count in counts.items() for index in range(count)}
    assert sorted(row["doc_id"] for row in refined) == sorted(counts)
    assert {row["outcome"] for row in refined} == {"EDITED"}


def page(n: int) -> str:
    return f"Home | About {n}\n" + "\n".join(f"line {i} of page {n} " + "meadows and mills " * 12 for i in range(20))
