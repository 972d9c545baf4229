"""Measure the memory of a whole run over many documents of very different sizes.

Writes documents as Parquet (1 B to 20 MB, most of them short, the same for the same seed), runs `jobs/refine.py` on
them with the scripted engine, a driver of 2 GiB and one executor of 2 GiB as processes of their own (master
`local-cluster[1,cores,2048]`, whose master and worker daemons are threads of the driver), and takes the resident memory
of every process each second. Prints the maxima, by process and stage, and the growth from the first to the last quarter
of the run and of its generating part; ends with 1 when a document is missing or there twice.

    python bench/flat_memory.py --documents 200000
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark

from spark_prox.report.run_report import table
from spark_prox.spark.session import build_session

ROOT = Path(__file__).parent.parent
PAGE = os.sysconf("SC_PAGE_SIZE")
LARGEST = 20_000_000  # input.max_text_chars
FILE_ROWS = 20_000
ROLES = ("driver, Java", "driver, Python", "executor, Java", "Python workers, largest", "Python workers, all")


def main() -> int:
    """Write, run, watch, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2, help="tasks at once, and so Python workers")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as in jobs/refine.py")
    parser.add_argument("--folder", type=Path, help="where documents, tables and log go; a temporary one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flat-memory-") as temporary:
        folder = options.folder or Path(temporary)
        started = time.monotonic()
        size = write_documents(folder / "in", options.documents, options.seed)
        print(f"{options.documents:,} documents, {size / 1e6:,.0f} MB of text, in {time.monotonic() - started:.0f} s")
        samples, code = watch(command(folder, options.cores, options.settings), folder / "refine.log")
        if code:
            print(f"the run ended with {code}:\n{(folder / 'refine.log').read_text()[-3000:]}")
            return 1
        report(samples)
        return check(folder / "warehouse", options.documents)


def write_documents(folder: Path, count: int, seed: int) -> int:
    """Files of documents; gives the number of characters, which are bytes here."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randrange(2, 11))) for _ in range(5000)]
    pool = "\n".join(" ".join(rng.choices(words, k=rng.randrange(1, 30))) for _ in range(60_000))
    folder.mkdir(parents=True)
    total = 0
    for first in range(0, count, FILE_ROWS):
        numbers = range(first, min(count, first + FILE_ROWS))
        schema = pa.schema([("id", pa.string()), ("text", pa.string())])
        with pq.ParquetWriter(folder / f"part-{first:08d}.parquet", schema) as writer:
            batch: list[tuple[str, str]] = []
            for number in numbers:
                batch.append((f"d{number}", _text(rng, pool, number)))
                if len(batch[-1][1]) > 1 << 20 or len(batch) == 1000:
                    total += _write(writer, schema, batch)
                    batch = []
            total += _write(writer, schema, batch)
    return total


def _text(rng: random.Random, pool: str, number: int) -> str:
    if number % FILE_ROWS == 0:
        size = LARGEST
    elif number % 2_000 == 1:
        size = rng.randrange(200_000, 2_000_000)
    elif number % 500 == 2:
        size = 1
    else:
        size = int(min(100_000, rng.lognormvariate(5.7, 1.2))) + 1
    start = rng.randrange(max(1, len(pool) - size))
    text = pool[start : start + size] if size <= len(pool) else (pool * (size // len(pool) + 1))[:size]
    return text.strip() or "x"


def _write(writer: pq.ParquetWriter, schema: pa.Schema, batch: list[tuple[str, str]]) -> int:
    if batch:
        writer.write_table(pa.table({"id": [row[0] for row in batch], "text": [row[1] for row in batch]}, schema))
    return sum(len(row[1]) for row in batch)


def command(folder: Path, cores: int, settings: Sequence[str]) -> list[str]:
    """A refine run as processes."""
    session = {
        "spark.master": f"local-cluster[1,{cores},2048]",
        "spark.driver.memory": "2g",
        "spark.executor.memory": "2g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",  # nothing listens outside this machine
        "spark.driver.bindAddress": "127.0.0.1",  # the same
        "spark.pyspark.python": sys.executable,
        "spark.pyspark.driver.python": sys.executable,
    }
    return [
        str(Path(pyspark.__file__).parent / "bin" / "spark-submit"),
        *(word for name, value in session.items() for word in ("--conf", f"{name}={value}")),
        *("jobs/refine.py", "--input", str(folder / "in"), "--input-format", "parquet", "--id-column", "id"),
        *("--text-column", "text", "--warehouse", str(folder / "warehouse")),
        *(word for setting in ("model.engine=scripted", *settings) for word in ("--set", setting)),
    ]


@dataclass(frozen=True)
class Sample:
    """One second of a run: its stage, and MiB by role."""

    stage: str
    mib: dict[str, float]


def watch(words: Sequence[str], log: Path) -> tuple[list[Sample], int]:
    """Run a command and take the memory of all of its processes each second; gives its exit code too."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SPARK_LOCAL_IP": "127.0.0.1"}
    samples = []
    with log.open("wb") as output:
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            time.sleep(1)
            mib: dict[str, float] = defaultdict(float)
            for role, value in _memory(process.pid):
                mib[role] = mib[role] + value if role == ROLES[4] else max(mib[role], value)
            samples.append(Sample(_stage(log), dict(mib)))
    return samples, process.returncode


def _memory(root: int) -> Iterator[tuple[str, float]]:
    """Role and resident MiB of every process under one."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children[int((entry / "stat").read_text().rpartition(")")[2].split()[1])].append(int(entry.name))
    pending = [root]
    while pending:
        pid = pending.pop()
        pending += children[pid]
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            mib = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / (1 << 20)
            if "CoarseGrainedExecutorBackend" in words:
                yield ROLES[2], mib
            elif "org.apache.spark.deploy.SparkSubmit" in words and pid == root:
                yield ROLES[0], mib
            elif "pyspark.daemon" in words:
                yield ROLES[3], mib
                yield ROLES[4], mib
            elif "jobs/refine.py" in words:
                yield ROLES[1], mib


def _stage(log: Path) -> str:
    """The last stage that the run named: ingest, generate doc, generate chunk, execute, or its start."""
    found = re.findall(
        r"^(ingest|generate doc|generate chunk|execute)\b", log.read_text(errors="replace"), re.MULTILINE
    )
    return found[-1] if found else "start"


def report(samples: Sequence[Sample]) -> None:
    """Maxima by process and stage, and growth."""
    stages = list(dict.fromkeys(sample.stage for sample in samples))
    by_stage = {stage: [sample for sample in samples if sample.stage == stage] for stage in stages}
    print(f"{len(samples)} s: " + ", ".join(f"{stage} {len(by_stage[stage])} s" for stage in stages))
    generating = [sample for sample in samples if sample.stage.startswith("generate")]
    rows = [
        [
            role,
            _most(samples, role),
            *(_most(by_stage[stage], role) for stage in stages),
            _growth(samples, role),
            _growth(generating, role),
        ]
        for role in ROLES
    ]
    print(table(["resident MiB, most", "all", *stages, "growth, run", "growth, generate"], rows))


def _most(samples: Sequence[Sample], role: str) -> int:
    return round(max(sample.mib.get(role, 0.0) for sample in samples))


def _growth(samples: Sequence[Sample], role: str) -> int | None:
    """Difference of the medians of the last and the first quarter of the seconds in which there is such a process."""
    values = [sample.mib[role] for sample in samples if role in sample.mib]
    quarter = len(values) // 4
    return round(statistics.median(values[-quarter:]) - statistics.median(values[:quarter])) if quarter else None


def check(warehouse: Path, documents: int) -> int:
    """1 unless every document is there once."""
    spark = build_session("flat memory", extra={"spark.master": "local[2]", "spark.ui.enabled": "false"})
    counts = {
        name: spark.read.format("delta")
        .load(str(warehouse / name))
        .selectExpr("count(*)", "count(distinct doc_id)")
        .first()
        for name in ("refined", "rejects")
    }
    spark.stop()
    found = {name: (row[0], row[1]) for name, row in counts.items() if row is not None}
    good = sum(rows for rows, _ in found.values()) == documents and all(rows == ids for rows, ids in found.values())
    print(f"documents in {documents:,}, rows and ids out: {found}: {'all there once' if good else 'WRONG'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
