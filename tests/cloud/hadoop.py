"""A Hadoop cluster on this machine: HDFS with one data node, YARN with one node manager, in one JVM on the loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pyspark

from tests.cloud.processes import CLOUD, ROOT, background, wait_for

__all__ = ["MiniHadoop", "java_home", "mini_hadoop"]

SPARK_JARS = Path(pyspark.__file__).parent / "jars"
# Hadoop's web servers make classes at run time, which Java 17 allows to nobody by itself.
OPENS = ("java.lang", "java.util", "java.io", "java.net", "java.util.concurrent")


@dataclass(frozen=True)
class MiniHadoop:
    """A running cluster.

    Attributes:
        conf: for HADOOP_CONF_DIR.
        url: of HDFS.
        logs: of YARN's containers.
    """

    conf: Path
    url: str
    logs: Path

    def container_logs(self) -> str:
        """What the containers wrote, the newest last."""
        files = sorted(self.logs.rglob("std*"), key=lambda file: file.stat().st_mtime)
        return "\n".join(f"== {file}\n{file.read_text(errors='replace')[-3000:]}" for file in files)


def java_home() -> Path:
    """Where the Java on the PATH is installed."""
    java = shutil.which("java")
    assert java is not None
    return Path(java).resolve().parent.parent


@contextmanager
def mini_hadoop(folder: Path, kind: str) -> Iterator[MiniHadoop]:
    """Start a cluster; it ends with the context.

    Args:
        kind: "hdfs", or "yarn" for both.
    """
    conf, data, log = folder / "conf", folder / "data", folder / "hadoop.log"
    for made in (conf, data):
        made.mkdir()
    spark = [
        str(jar) for name in ("hadoop-client-*.jar", "slf4j-api-*.jar", "log4j-*.jar") for jar in SPARK_JARS.glob(name)
    ]
    class_path = ":".join([*map(str, (CLOUD / "jars" / "hadoop").glob("*.jar")), *spark])
    command = [
        *(str(java_home() / "bin" / "java"), "-Xmx700m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *(word for package in OPENS for word in ("--add-opens", f"java.base/{package}=ALL-UNNAMED")),
        *("-cp", class_path, str(ROOT / "tests" / "cloud" / "MiniHadoop.java"), str(data), str(conf), kind),
    ]
    environment = {"JAVA_HOME": str(java_home()), "HADOOP_USER_NAME": "prox"}
    with background(command, log, environment=environment, cwd=folder):
        wait_for((conf / "READY").is_file, "Hadoop did not start", log, timeout_s=180)
        root = ElementTree.parse(conf / "core-site.xml").getroot()
        url = next(entry.findtext("value") or "" for entry in root if entry.findtext("name") == "fs.defaultFS")
        yield MiniHadoop(conf=conf, url=url, logs=folder)
