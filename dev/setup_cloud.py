"""Fetch what `make test-cloud` needs: an S3 server, S3A's jars, a Hadoop mini cluster. Nothing else needs it.

Everything lies in `.venv/cloud`, so that the packages of the project stay as they are: the server in a virtual
environment of its own, and the jars of each kind in a folder, which the tests put on Spark's class path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyspark

ROOT = Path(__file__).parent.parent
CLOUD = ROOT / ".venv" / "cloud"
HADOOP = "3.4.2"  # of the client jars that pyspark 4.1.1 brings
JARS = {
    # The version of the SDK that hadoop-aws was built with; 640 MB, all of AWS.
    "s3a": (f"org.apache.hadoop:hadoop-aws:{HADOOP}", "software.amazon.awssdk:bundle:2.29.52"),
    # What YARN's servers want beside their own jar, in the version of Hadoop's build.
    "hadoop": (
        f"org.apache.hadoop:hadoop-client-minicluster:{HADOOP}",
        "org.bouncycastle:bcpkix-jdk18on:1.78.1",
        "org.glassfish.jaxb:jaxb-runtime:2.3.9",
    ),
}
# Spark has these already, and two of one kind on a class path are a riddle.
LEFT_OUT = (
    "org.apache.hadoop_hadoop-client-api",
    "org.apache.hadoop_hadoop-client-runtime",
    "org.slf4j_",
    "org.scala-lang_",
)


def main() -> None:
    """Install what is not there yet."""
    _install_server()
    for kind, coordinates in JARS.items():
        folder, wanted = CLOUD / "jars" / kind, "\n".join(coordinates)
        stamp = folder / ".complete"
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
            print(f"== resolving {', '.join(coordinates)}", flush=True)
            _resolve(coordinates, folder)
            stamp.write_text(wanted, encoding="utf-8")


def _install_server() -> None:
    """The S3 server in a virtual environment of its own; its requirements would move the project's pins."""
    requirements = ROOT / "requirements-cloud.txt"
    stamp = CLOUD / "server" / "requirements.txt"
    if stamp.is_file() and stamp.read_bytes() == requirements.read_bytes():
        return
    print("== installing the S3 server", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(CLOUD / "server")], check=True)
    pip = [str(CLOUD / "server" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--progress-bar", "off"]
    subprocess.run([*pip, "--disable-pip-version-check", "-r", str(requirements)], check=True)
    shutil.copy(requirements, stamp)


def _resolve(coordinates: tuple[str, ...], folder: Path) -> None:
    """Let Ivy, which Spark brings with it, fetch jars with what they need; those that Spark has are left out."""
    home = Path(pyspark.__file__).parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="ivy-", dir=CLOUD) as cache:
        script = Path(cache) / "nothing.py"
        script.write_text("", encoding="utf-8")
        command = [str(home / "bin" / "spark-submit"), "--packages", ",".join(coordinates)]
        command += ["--conf", f"spark.jars.ivy={cache}", str(script)]
        environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(home)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        found = sorted(Path(cache, "jars").glob("*.jar"))
        if done.returncode or len(found) < len(coordinates):
            sys.exit(f"{', '.join(coordinates)} could not be resolved from Maven Central.\n{done.stderr[-2000:]}")
        for jar in found:
            if not jar.name.startswith(LEFT_OUT):
                jar.replace(folder / jar.name)
                print(f"   {jar.name}", flush=True)


if __name__ == "__main__":
    main()
