"""Measure how speed grows with workers: the generate stage in Spark, with an engine that sleeps for every token.

Each number of workers is a session of its own, `local[N]`, with as many Python workers, and so many documents for each
of them. The engine stands for a GPU, so that two cores are enough for eight; the latency of a token is chosen so that
the cores have little to do. Rows, at the end:

    efficiency   tokens a second, over N times those of one worker
    engines busy the share of the workers' seconds in which an engine slept: 1 less what Spark, Delta and waiting cost
    outside      seconds of the stage before its first task and after its last one: planning, commits
    tail         mean seconds that a worker waited for the last one to end

Even documents, then (`skewed`) log-normal lengths of sigma 1.5 with one document that is half of a worker's share.

    python bench/scaling.py --workers 1 2 4 8 --seconds 30
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.latency_engine import FOLDER, LATENCY, TASKS, GenerateWithLatency
from bench.measured import write_result

ROOT = Path(__file__).resolve().parent.parent
BYTES_PER_TOKEN = 4.0


def main() -> None:
    """Measure each number of workers, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--corpora", nargs="+", choices=("even", "skewed"), default=["even", "skewed"])
    parser.add_argument("--seconds", type=float, default=30.0, help="that the engine of each worker sleeps in all")
    parser.add_argument("--documents", type=int, default=600, help="for each worker")
    parser.add_argument("--characters", type=int, default=2_000, help="mean length of a document")
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # this process measures one number of workers
    options = parser.parse_args()
    if options.one:
        measure(**json.loads(options.one))
        return
    rows: list[dict[str, object]] = []
    found: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)
    for corpus, workers, run in _in_process(options):
        found[corpus][workers] = run
        print(corpus, workers, {name: round(value, 3) for name, value in run.items()}, flush=True)
    for corpus, runs in found.items():
        rows += scaling_rows(corpus, runs)
    keys = ("seconds", "documents", "characters")
    write_result(options.output, "scaling", {key: getattr(options, key) for key in keys}, rows)


def scaling_rows(corpus: str, found: Mapping[int, Mapping[str, float]]) -> list[dict[str, object]]:
    """One row for each number of workers; efficiency is against the smallest."""
    fewest = min(found)
    speed = {workers: run["tokens"] / run["seconds"] / workers for workers, run in found.items()}
    return [
        {
            "what": f"{corpus}, workers",
            "workers": workers,
            "tokens": round(run["tokens"]),
            "stage, s": round(run["seconds"], 1),
            "tokens/s": round(run["tokens"] / run["seconds"]),
            "efficiency": round(speed[workers] / speed[fewest], 3),
            "engines busy": round(run["busy"], 3),
            "outside, s": round(run["outside"], 1),
            "tail, s": round(run["tail"], 1),
            "largest engine, s": round(run["longest"], 1),
            "CPU cores used": round(run["cores"], 2),
        }
        for workers, run in sorted(found.items())
    ]


def _in_process(options: argparse.Namespace) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Each run as it ends. One JVM does all of them, one session after the other: it is warm from the second on."""
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
        runs = [(corpus, workers) for corpus in options.corpora for workers in options.workers]
        given = {"folder": folder, "runs": [_given(*run, options) for run in [(*runs[0],), *runs]]}
        given["runs"][0]["corpus"] = ""  # a first one that warms the JVM
        file = Path(folder) / "given.json"
        file.write_text(json.dumps(given))
        environment = {
            **os.environ,
            FOLDER: folder,
            "PYTHONPATH": str(ROOT),
            "PYSPARK_SUBMIT_ARGS": "--driver-memory 1g pyspark-shell",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        words = [sys.executable, __file__, "--one", json.dumps({"file": str(file)})]
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("MEASURED "):
                    corpus, workers, found = json.loads(line.removeprefix("MEASURED "))
                    if corpus:
                        yield corpus, workers, found
        if process.returncode:
            raise SystemExit(f"the runs ended with {process.returncode}")


def _given(corpus: str, workers: int, options: argparse.Namespace) -> dict[str, object]:
    """Each worker's engine sleeps for the same time, whatever the lengths: then all runs take about as long."""
    lengths = document_lengths(corpus, options.documents * workers, options.characters, workers)
    token_s = options.seconds * workers / (sum(lengths) / BYTES_PER_TOKEN)
    return {"corpus": corpus, "workers": workers, "lengths": lengths, "token_s": token_s}


def document_lengths(corpus: str, count: int, mean: int, workers: int, seed: int = 1) -> list[int]:
    """Characters of each document: about even, or log-normal (sigma 1.5) with one of half a worker's share."""
    rng = random.Random(seed)
    if corpus == "even":
        return [int(mean * rng.uniform(0.5, 1.5)) for _ in range(count)]
    drawn = [rng.lognormvariate(0, 1.5) for _ in range(count - 1)]
    giant = 0.5 / workers
    scale = mean * count * (1 - giant) / sum(drawn)
    return [int(mean * count * giant), *(max(20, int(length * scale)) for length in drawn)]


def measure(file: str) -> None:
    """Measure the runs of a file, one after the other, and print each."""
    given = json.loads(Path(file).read_text())
    for number, run in enumerate(given["runs"]):
        lengths = run["lengths"] if number else run["lengths"][:50]
        found = _measure(Path(given["folder"]), f"run{number}", run["workers"], lengths, run["token_s"])
        print("MEASURED " + json.dumps([run["corpus"], run["workers"], found]), flush=True)


def _measure(folder: Path, name: str, workers: int, lengths: Sequence[int], token_s: float) -> dict[str, float]:
    """Ingest, start the workers on a few documents, then time the chunk level."""
    from pyspark.sql import functions as F

    from bench.cpu_times import CpuWatch
    from spark_prox.config.run import load_config
    from spark_prox.pipeline import Pipeline
    from spark_prox.spark.placement import generation_workers
    from spark_prox.stages.generate import Generate
    from spark_prox.stages.ingest import Ingest
    from udfs.functions import FUNCTIONS

    _write_documents(folder / f"{name}.parquet", lengths)
    (folder / LATENCY).write_text(str(token_s))
    session = {
        "spark.master": f"local[{workers}]",
        "spark.ui.enabled": "false",
        # As in conf/spark-local.conf: tables of a few rows need no 50 tasks each.
        "spark.sql.shuffle.partitions": 4,
        "spark.databricks.delta.snapshotPartitions": 2,
    }
    sets = [
        *("model.engine=scripted", "doc.enabled=false", "chunk.max_chunks=0", "placement.arrow_batch_rows=64"),
        f"spark={json.dumps(session)}",
    ]
    base = {"warehouse": str(folder / name), "input.path": str(folder / f"{name}.parquet"), "input.format": "parquet"}
    base |= {"input.id_column": "id", "input.text_column": "text"}
    functions = dataclasses.replace(FUNCTIONS, generate_programs=GenerateWithLatency)
    pipe = Pipeline(load_config(None, sets, base), functions, name="scaling")
    with pipe.phase():
        Ingest().run(pipe.run)
        texts = pipe.warehouse.read("documents").select("doc_id", "doc_hash", F.substring("text", 1, 400).alias("text"))
        function = pipe.run.writers["chunk"].function(functions)
        with generation_workers(pipe.spark, pipe.run.config.placement):
            few = texts.limit(8 * workers).repartition(workers)
            few.mapInPandas(function, function.columns).write.format("noop").mode("overwrite").save()
        (folder / TASKS).unlink(missing_ok=True)
        with CpuWatch(os.getpid()) as watch:
            before, started = watch.now().total, time.time()
            Generate("chunk").run(pipe.run)
            seconds, cpu = time.time() - started, watch.now().total - before
    tasks = [json.loads(line) for line in (folder / TASKS).read_text().splitlines()]
    pipe.spark.stop()
    return {**figures(tasks, workers, seconds), "cores": cpu / seconds}


def _write_documents(file: Path, lengths: Sequence[int]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randrange(3, 10))) for _ in range(3000)]
    pool = "\n".join(" ".join(rng.choices(words, k=12)) for _ in range(20_000))
    starts = [rng.randrange(len(pool)) for _ in lengths]
    texts = [
        (pool[start:] + pool * (1 + size // len(pool)))[:size] for start, size in zip(starts, lengths, strict=True)
    ]
    pq.write_table(pa.table({"id": [f"d{number}" for number in range(len(texts))], "text": texts}), file)


def figures(tasks: Sequence[Mapping[str, float]], workers: int, seconds: float) -> dict[str, float]:
    """Figures of a stage, from the log of its tasks."""
    ended: dict[float, float] = defaultdict(float)
    slept: dict[float, float] = defaultdict(float)
    for task in tasks:
        ended[task["worker"]] = max(ended[task["worker"]], task["ended"])
        slept[task["worker"]] += task["slept"]
    first, last = min(task["begun"] for task in tasks), max(ended.values())
    return {
        "seconds": seconds,
        "tokens": sum(task["tokens"] for task in tasks),
        "busy": sum(slept.values()) / workers / seconds,
        "outside": seconds - (last - first),
        "tail": sum(last - end for end in ended.values()) / workers,
        "longest": max(slept.values()),
    }


if __name__ == "__main__":
    main()
