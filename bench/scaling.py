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
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.latency_engine import LATENCY, TASK_LOG, GenerateWithLatency
from bench.measured import write_result

BYTES_PER_TOKEN = 4.0
WARM = 16


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
        print("\n" + json.dumps(measure(**json.loads(options.one))))
        return
    rows: list[dict[str, object]] = []
    for corpus in options.corpora:
        found = {workers: _in_process(corpus, workers, options) for workers in options.workers}
        rows += scaling_rows(corpus, found)
        for row in rows[-len(found) :]:
            print(row, flush=True)
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


def _in_process(corpus: str, workers: int, options: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
        count = options.documents * workers
        lengths = document_lengths(corpus, count, options.characters, workers)
        # Each worker's engine sleeps so long, whatever the lengths: then all runs take about the same time.
        tokens = sum(lengths) / BYTES_PER_TOKEN / workers
        given = {"folder": folder, "workers": workers, "lengths": lengths}
        environment = {
            **os.environ,
            LATENCY: str(options.seconds / tokens * 1e6),
            TASK_LOG: str(Path(folder) / "tasks"),
            "PYTHONPATH": str(ROOT),
            "PYSPARK_SUBMIT_ARGS": "--driver-memory 1g pyspark-shell",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        settings = Path(folder) / "given.json"
        settings.write_text(json.dumps(given))
        words = [sys.executable, __file__, "--one", json.dumps({"file": str(settings)})]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{corpus}, {workers} workers: {done.stderr[-2000:]}")
        measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return measured


def document_lengths(corpus: str, count: int, mean: int, workers: int, seed: int = 1) -> list[int]:
    """Characters of each document: about even, or log-normal (sigma 1.5) with one of half a worker's share."""
    rng = random.Random(seed)
    if corpus == "even":
        return [int(mean * rng.uniform(0.5, 1.5)) for _ in range(count)]
    drawn = [rng.lognormvariate(0, 1.5) for _ in range(count - 1)]
    giant = 0.5 / workers
    scale = mean * count * (1 - giant) / sum(drawn)
    return [int(mean * count * giant), *(max(20, int(length * scale)) for length in drawn)]


def measure(file: str) -> dict[str, float]:
    """Ingest, start the workers on a few documents, then time the chunk level of all others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from bench.cpu_times import cpu_times
    from spark_prox.config.run import load_config
    from spark_prox.pipeline import Pipeline
    from spark_prox.stages.generate import Generate
    from spark_prox.stages.ingest import Ingest
    from udfs.functions import FUNCTIONS

    given = json.loads(Path(file).read_text())
    folder, workers, lengths = Path(given["folder"]), given["workers"], given["lengths"]
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randrange(3, 10))) for _ in range(3000)]
    pool = "\n".join(" ".join(rng.choices(words, k=12)) for _ in range(20_000))
    sets = [
        *("model.engine=scripted", "doc.enabled=false", "chunk.max_chunks=0", "placement.arrow_batch_rows=64"),
        f"spark={json.dumps({'spark.master': f'local[{workers}]', 'spark.ui.enabled': 'false'})}",
    ]
    functions = dataclasses.replace(FUNCTIONS, generate_programs=GenerateWithLatency)

    def run(name: str, sizes: Sequence[int]) -> tuple[Pipeline, float]:
        starts = [rng.randrange(max(1, len(pool) - min(size, len(pool) - 1))) for size in sizes]
        texts = [(pool[start:] + pool * (size // len(pool)))[:size] for start, size in zip(starts, sizes, strict=True)]
        table = pa.table({"id": [f"{name}{n}" for n in range(len(texts))], "text": texts})
        pq.write_table(table, folder / f"{name}.parquet")
        settings = {"warehouse": str(folder / name), "input.path": str(folder / f"{name}.parquet")}
        base = settings | {"input.format": "parquet", "input.id_column": "id", "input.text_column": "text"}
        pipe = Pipeline(load_config(None, sets, base), functions, name="scaling")
        with pipe.phase():
            Ingest().run(pipe.run)
            before = cpu_times(os.getpid()).total
            Generate("chunk").run(pipe.run)
        return pipe, cpu_times(os.getpid()).total - before

    run("warm", [100] * WARM * workers)
    log = Path(os.environ[TASK_LOG])
    log.unlink(missing_ok=True)
    pipe, cpu = run("measured", lengths)
    row = pipe.warehouse.read("runs").where("stage = 'generate-chunk'").select("seconds", "started_at").first()
    assert row is not None
    seconds, started = row["seconds"], row["started_at"].timestamp()
    tasks = [json.loads(line) for line in log.read_text().splitlines()]
    pipe.spark.stop()
    return {**figures(tasks, workers, seconds, started), "cores": cpu / seconds}


def figures(
    tasks: Sequence[Mapping[str, float]], workers: int, seconds: float, started: float = 0.0
) -> dict[str, float]:
    """What the tasks' log says of a stage."""
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
        "before": first - started,
    }


if __name__ == "__main__":
    main()
