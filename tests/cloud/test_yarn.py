"""`spark-submit --master yarn` with the shipped properties file, its GPU lines left out, tables and input on HDFS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.spark.shipping import build_zip
from tests.cloud.hadoop import MiniHadoop, java_home, mini_hadoop
from tests.cloud.processes import CLOUD, ROOT
from tests.cluster.standalone import SPARK_HOME, bare_interpreter, clean_environment
from tests.quick_spark import QUICK_JVM, QUICK_SESSION
from tests.spark.runs import scripted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What names GPUs, and the packed environment: the interpreter below is on every machine of a cluster of one.
LEFT_OUT = ("resource.gpu", "resourceGpu", "yarn.dist.", "CUDA", "spark.pyspark.python")
SMALL = {
    **QUICK_SESSION,
    "spark.executor.instances": "1",
    "spark.executor.cores": "2",
    "spark.executor.memory": "512m",
    "spark.executor.memoryOverhead": "1g",
    "spark.driver.memory": "700m",
    "spark.driver.extraJavaOptions": QUICK_JVM,
    "spark.executor.extraJavaOptions": QUICK_JVM,
    "spark.yarn.jars": f"local:{SPARK_HOME}/jars/*",  # they are on every machine: 400 MB less to upload
    "spark.yarn.maxAppAttempts": "1",
    "spark.yarn.submit.file.replication": "1",
}


@pytest.fixture(scope="module")
def yarn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniHadoop]:
    """HDFS and YARN."""
    if not (CLOUD / "jars" / "hadoop" / ".complete").is_file():
        pytest.skip("Hadoop's mini cluster is not there: make test-cloud fetches it")
    with mini_hadoop(tmp_path_factory.mktemp("yarn"), "yarn") as running:
        yield running


def properties(folder: Path, python: Path) -> Path:
    """The shipped file without its GPU lines, and what makes it small."""
    shipped = (ROOT / "conf" / "spark-yarn-gpu.conf").read_text(encoding="utf-8").splitlines()
    kept = [line for line in shipped if not any(word in line for word in LEFT_OUT)]
    own = {**SMALL, "spark.pyspark.python": str(python), "spark.executorEnv.JAVA_HOME": str(java_home())}
    file = folder / "yarn.conf"
    file.write_text("\n".join([*kept, *(f"{key} {value}" for key, value in own.items())]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("mode", ["client", "cluster"])
def test_refine_runs_on_yarn(
    yarn: MiniHadoop, spark: SparkSession, repository: Path, tiny_llama: Path, tmp_path: Path, mode: str
) -> None:
    source, warehouse = f"/crawl-{mode}/pages.warc.wet.gz", f"{yarn.url}/{mode}"
    path = spark._jvm.org.apache.hadoop.fs.Path
    files = path(yarn.url).getFileSystem(spark._jsc.hadoopConfiguration())
    files.copyFromLocalFile(path(f"file:{repository}/examples/pages.warc.wet.gz"), path(yarn.url + source))
    python = bare_interpreter(tmp_path / "bare")
    sets = (
        *scripted(tiny_llama),
        *("model.device=auto", "placement.gpus_per_task=0", "placement.partitions=2"),
        *(f"{level}.model.path={tiny_llama}" for level in ("doc", "chunk")),
    )
    command = [
        *(str(SPARK_HOME / "bin" / "spark-submit"), "--deploy-mode", mode),
        *("--properties-file", str(properties(tmp_path, python))),
        *("--py-files", str(build_zip(tmp_path / "spark_prox.zip"))),
        *("jobs/refine.py", "--config", str(ROOT / "conf" / "refine.yaml")),
        *("--input", f"hdfs://{source}", "--input-format", "wet", "--warehouse", f"hdfs:///{mode}"),
        *(word for setting in sets for word in ("--set", setting)),
    ]
    environment = clean_environment(
        HADOOP_CONF_DIR=str(yarn.conf), JAVA_HOME=str(java_home()), PYSPARK_DRIVER_PYTHON=str(python)
    )
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:] + yarn.container_logs()[-6000:]
    refined = spark.read.format("delta").load(f"{warehouse}/refined")
    assert (refined.count(), spark.read.format("delta").load(f"{warehouse}/rejects").count()) == (46, 0)
