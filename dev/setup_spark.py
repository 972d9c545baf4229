"""Prepare the virtual environment's Spark: Delta's jars, the executors' interpreter, quiet logs. Run by `make setup`.

Ivy, which Spark brings with it, resolves the jars from Maven Central; they are copied into Spark's own jar folder, so
that a plain `spark-submit jobs/refine.py` works and no later start asks the network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyspark

from spark_prox.spark.session import DELTA_COORDINATE

_LOGGING = """\
# Written by dev/setup_spark.py: errors only, so that a job's own progress can be read. Delete it for Spark's defaults.
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""


def main() -> None:
    """Resolve, copy, write spark-env.sh and log4j2.properties."""
    home = Path(pyspark.__file__).parent
    if not any(home.glob("jars/delta-spark_*.jar")):
        for jar in _resolve(home):
            shutil.copy2(jar, home / "jars" / jar.name.split("_", 1)[1])
            print(f"   {jar.name.split('_', 1)[1]}")
    conf = home / "conf"
    conf.mkdir(exist_ok=True)
    (conf / "spark-env.sh").write_text(
        "# Written by dev/setup_spark.py: without it, Spark's Python is the first python3 of the PATH.\n"
        f'export PYSPARK_PYTHON="${{PYSPARK_PYTHON:-{sys.executable}}}"\n',
        encoding="utf-8",
    )
    (conf / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
    _let_scripts_find_spark(Path(sys.executable).parent / "find-spark-home")


def _let_scripts_find_spark(script: Path) -> None:
    """Make `.venv/bin/spark-submit` work where the environment is not activated.

    Every script of the pip package sources find-spark-home, which asks the python3 of the PATH where pyspark is.
    """
    line = f'export PYSPARK_PYTHON="${{PYSPARK_PYTHON:-{sys.executable}}}"  # added by dev/setup_spark.py\n'
    if script.is_file() and line not in (text := script.read_text(encoding="utf-8")):
        shebang, _, rest = text.partition("\n")
        script.write_text(f"{shebang}\n{line}{rest}", encoding="utf-8")


def _resolve(home: Path) -> list[Path]:
    """Delta's jars with what they need, in a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="delta-jars-"))
    script = folder / "nothing.py"
    script.write_text("", encoding="utf-8")
    command = [
        str(home / "bin" / "spark-submit"),
        "--packages",
        DELTA_COORDINATE,
        "--conf",
        f"spark.jars.ivy={folder}",
        str(script),
    ]
    # A builder of images may give its container a name that nobody resolves: then Spark has to be told an address.
    environment = {
        "SPARK_LOCAL_IP": "127.0.0.1",
        **os.environ,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(home),
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    jars = sorted((folder / "jars").glob("io.delta_*.jar")) + sorted((folder / "jars").glob("org.antlr_*.jar"))
    if done.returncode or not any("delta-spark" in jar.name for jar in jars):
        sys.exit(
            f"[SPARK_PROX.DELTA_MISSING] {DELTA_COORDINATE} could not be resolved from Maven Central; is Java 17 or 21 "
            f"on the PATH?\n{done.stderr[-2000:]}"
        )
    return jars


if __name__ == "__main__":
    main()
