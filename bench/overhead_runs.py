"""Measure a whole run for `bench/overhead.py`, and the bare callables of its stages, each in a process of its own.

Spark's Python workers import this module by its name. Knows nothing of tables of figures.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cpu_times import CpuTimes, CpuWatch
from bench.made_documents import documents
from spark_prox.config.model import ModelSpec
from spark_prox.config.run import RunConfig, load_config
from spark_prox.engines.base import Completion, Request
from spark_prox.engines.registry import ENGINES, EngineKind
from spark_prox.writers import one_pass, policy_of, writer_of, writers_of
from udfs.functions import FUNCTIONS
from udfs.generate import GeneratePrograms

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from spark_prox.stages.base import Run, Stage

__all__ = ["in_process", "measure_bare", "measure_run"]

ROOT = Path(__file__).parent.parent
BATCH_ROWS = 256
BARE_DOCUMENTS = 2_000


def in_process(function: str, *arguments: object) -> Any:
    """Call a function of this module in a process of its own; gives its result, which is JSON."""
    code = "import json, sys; from bench import overhead_runs as runs; runs.answer(*json.loads(sys.argv[1]))"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),  # of the Python workers, too
        "PYSPARK_SUBMIT_ARGS": "--driver-memory 2g pyspark-shell",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    words = [sys.executable, "-c", code, json.dumps([function, *arguments])]
    done = subprocess.run(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{function} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(name: str, *arguments: Any) -> None:
    """Print the line that `in_process` reads."""
    functions: dict[str, Callable[..., object]] = {"measure_run": measure_run, "measure_bare": measure_bare}
    result = functions[name](*arguments)
    print("\n" + json.dumps(result))


def measure_run(settings: Sequence[str], source: str, warehouse: str) -> dict[str, dict[str, float]]:
    """CPU seconds of one `refine`, by process, of each stage and of the start."""
    from spark_prox.pipeline import STAGES, Pipeline

    found: dict[str, CpuTimes] = {}
    given = {
        "warehouse": warehouse,
        "input.path": source,
        "input.format": "parquet",
        "input.id_column": "id",
        "input.text_column": "text",
    }
    functions = dataclasses.replace(FUNCTIONS, generate_programs=GenerateWithoutModel)
    with CpuWatch(os.getpid()) as watch:
        stages = [_timed(stage, watch, found) for stage in STAGES]
        pipeline = Pipeline(load_config(None, list(settings), given), functions, name="overhead", stages=stages)
        pipeline.begin()
        found["start"] = watch.now()
        pipeline.refine()
    counts = pipeline.warehouse.read("refined").groupBy("outcome").count().collect()
    print({row["outcome"]: row["count"] for row in counts})
    pipeline.spark.stop()
    return {name: dataclasses.asdict(times) for name, times in found.items()}


def _timed(stage: Stage, watch: CpuWatch, found: dict[str, CpuTimes]) -> Stage:
    """A copy of a stage that leaves its CPU seconds in `found`."""
    timed = object.__new__(type(stage))
    timed.__dict__.update(stage.__dict__)

    def run(run: Run, only: DataFrame | None = None) -> None:
        before = watch.now()
        stage.run(run, only)
        found[stage.name] = watch.now() - before

    object.__setattr__(timed, "run", run)  # some stages are frozen
    return timed


@dataclass(frozen=True, kw_only=True)
class GenerateWithoutModel(GeneratePrograms):
    """Generating by line encoders without the encoder."""

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """See `GeneratePrograms`."""
        ENGINES["encoder"] = EngineKind(module=__name__, name="AnsweringEngine")
        return super().__call__(batches)


class AnsweringEngine:
    """An engine without a model: every third line goes, every page stays."""

    def __init__(self, spec: ModelSpec) -> None:
        pass

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`."""
        for request in requests:
            margins = [9.0 if number % 3 else -9.0 for number in range(len(request.read_at))]
            yield Completion(
                request_id=request.request_id,
                finish_reason="read",
                prompt_tokens=len(request.prompt_token_ids),
                margins=(*margins[:-1], 9.0),
            )


def measure_bare(settings: Sequence[str], seed: int) -> dict[str, float]:
    """CPU milliseconds a document of the callables of each stage, in this process."""
    import pandas as pd
    import pyarrow as pa

    rows = list(documents(BARE_DOCUMENTS, seed))
    frame = pd.DataFrame(rows, columns=["doc_id", "url", "text"]).assign(doc_hash="0" * 64)
    batches = [frame[at : at + BATCH_ROWS].reset_index(drop=True) for at in range(0, len(frame), BATCH_ROWS)]
    config = load_config(None, list(settings), {})
    found, programs = _bare_programs(config, batches)
    execute = FUNCTIONS.execute_programs(
        policy=policy_of(config), dialect=config.dialect, tokenizer=writer_of(config, "chunk").tokenizer
    )
    arrow = _with_programs(frame, programs).to_batches(max_chunksize=BATCH_ROWS)
    list(execute(arrow[:1]))
    started = time.process_time()
    assert sum(batch.num_rows for batch in execute(arrow)) == len(rows)
    found["execute"] = time.process_time() - started
    found["ingest"] = _bare_ingest(pa.Table.from_pandas(frame.drop(columns="doc_hash"), preserve_index=False))
    return {name: 1000 * seconds / len(rows) for name, seconds in found.items()}


def _bare_programs(config: RunConfig, batches: list[pd.DataFrame]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """CPU seconds by stage, and the rows of programs. The first batch loads what is loaded once."""
    found, programs = {"generate-doc": 0.0, "generate-chunk": 0.0}, []
    writers = writers_of(config)
    both = one_pass(writers)
    for level, writer in writers.items():
        if both and level == "chunk":
            continue  # nearly every document has both programs
        assert writer.prompt is not None
        function = GenerateWithoutModel(stage=level, model=writer.model, prompt=writer.prompt, one_pass=both)
        list(function(batches[:1]))
        started = time.process_time()
        made = list(function(batches))
        found[f"generate-{level}"] = time.process_time() - started
        programs += [row for some in made for row in some.assign(level=level).to_dict("records")]
    return found, programs


def _with_programs(frame: pd.DataFrame, programs: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The input of the execute stage's callable."""
    import pyarrow as pa

    doc: dict[str, Mapping[str, Any]] = {}
    chunks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    names = ("chunk_index", "chunk_count", "first_line", "line_count", "program", "status", "line_margins")
    for row in programs:
        if row["chunk_index"] < 0:
            doc[row["doc_id"]] = row
        else:
            chunks[row["doc_id"]].append({name: row[name] for name in names})
    ints = [(name, pa.int32()) for name in names[:4]]
    chunk_type = pa.struct(
        [*ints, ("program", pa.string()), ("status", pa.string()), ("line_margins", pa.list_(pa.float32()))]
    )
    ids = list(frame["doc_id"])
    texts = {name: pa.array(frame[name], pa.large_string()) for name in ("doc_id", "doc_hash", "url", "text")}
    columns = {
        **texts,
        "source": pa.array(["parquet"] * len(ids)),
        "crawl": pa.nulls(len(ids), pa.string()),
        "doc_program": pa.array([doc[name]["program"] for name in ids]),
        "doc_status": pa.array([doc[name]["status"] for name in ids]),
        "doc_margin": pa.array([doc[name]["margin"] for name in ids], pa.float64()),
        "chunks": pa.array([chunks[name] for name in ids], pa.list_(chunk_type)),
    }
    return pa.table(columns)


def _bare_ingest(table: pa.Table) -> float:
    """CPU seconds of what ingest cannot do without: Parquet read, texts hashed, Parquet written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = io.BytesIO()
    pq.write_table(table, source, compression="zstd")
    started = time.process_time()
    read = pq.read_table(pa.BufferReader(source.getvalue()), use_threads=False)
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in read["text"].to_pylist()]
    pq.write_table(read.append_column("doc_hash", pa.array(hashes)), io.BytesIO(), compression="snappy")
    return time.process_time() - started
