"""The stable interface on a cluster: `spark-submit --properties-file ... jobs/refine.py --config conf/refine.yaml`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cluster.conftest import ClusterSession
from tests.cluster.standalone import SPARK_HOME, StandaloneCluster, clean_environment
from tests.quick_spark import QUICK_JVM, QUICK_SESSION

GOOD, EXECUTORS = 20, 2


def test_refine_runs_on_a_gpu_cluster_from_the_shipped_configuration(
    cluster: StandaloneCluster, cluster_session: ClusterSession, tiny_model: str, repository: Path, tmp_path: Path
) -> None:
    pages, warehouse = tmp_path / "pages.jsonl", tmp_path / "warehouse"
    rows = [
        {"id": f"d{n}", "text": f"Home | About {n}\n" + "The river rises in the hills.\n" * 12} for n in range(GOOD)
    ]
    lines = [json.dumps(row) for row in [*rows, {"id": "null", "text": None}, {"id": "d3", "text": "twice"}]]
    pages.write_text("\n".join([*lines, "{broken"]) + "\n", encoding="utf-8")
    settings = {
        **QUICK_SESSION,
        "spark.pyspark.python": cluster.python,
        "spark.pyspark.driver.python": sys.executable,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "512m",
        "spark.executor.cores": 2,
        "spark.cores.max": 2 * EXECUTORS,
        "spark.driver.extraJavaOptions": QUICK_JVM,
        "spark.executor.extraJavaOptions": QUICK_JVM,
    }
    overrides = {
        "model.engine": "scripted",
        "model.script": "remove_lines(start=0, end=0)",
        "doc.model.path": tiny_model,
        "chunk.model.path": tiny_model,
    }
    done = subprocess.run(
        [str(SPARK_HOME / "bin" / "spark-submit"), "--properties-file", "conf/spark-standalone-gpu.conf"]
        + ["--master", cluster.url, *(word for name in settings for word in ("--conf", f"{name}={settings[name]}"))]
        + ["jobs/refine.py", "--config", "conf/refine.yaml", "--warehouse", str(warehouse)]
        + ["--input", str(pages), "--input-format", "jsonl", "--id-column", "id", "--text-column", "text"]
        + [word for name in overrides for word in ("--set", f"{name}={overrides[name]}")],
        cwd=repository,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "EDITED" in done.stdout

    with cluster_session({"spark.master": "local[1]"}, ship=False) as spark:
        tables = {
            name: spark.read.format("delta").load(str(warehouse / name)).collect()
            for name in ("documents", "programs", "refined", "rejects", "runs")
        }
    assert len(pages.read_text().splitlines()) == len(tables["refined"]) + len(tables["rejects"])
    assert sorted(row["code"] for row in tables["rejects"]) == ["BAD_ROW", "DUPLICATE_ID", "MISSING_TEXT"]
    assert {row["doc_id"] for row in tables["refined"]} == {f"d{n}" for n in range(GOOD)}
    assert {row["outcome"] for row in tables["refined"]} == {"EDITED"}
    assert {row["status"] for row in tables["programs"]} == {"OK"}
    assert len(tables["programs"]) == 2 * GOOD
    # Both stages, eight tasks each, and the stages on the CPU around them: one load for each GPU.
    assert len({row["engine_id"] for row in tables["programs"]}) == EXECUTORS
    assert {row["status"] for row in tables["runs"]} == {"DONE"}
