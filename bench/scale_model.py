"""A model on paper of a run over a crawl: hours, shuffles, requests, files, logs, memory, cost; of measured constants.

    python bench/scale_model.py                                        # a Common Crawl dump, 64 and 1,000 GPUs
    python bench/scale_model.py --gpus 8 --pages 1e8 --batch-documents 500000
    python bench/scale_model.py --scaling build/bench/scaling.json     # holds the model against measured scaling

`docs/scale.md` explains the formulas. Change a constant here when another is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.measured import write_result

ROOT = Path(__file__).resolve().parent.parent
TB = 1e12


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Constants, each with where it comes from. Times are seconds, sizes bytes.

    Attributes:
        read_tokens_s, write_tokens_s: prompt tokens a second of a GPU, read alone and with 48 new tokens (dev/LOG.md,
            one H100, ProX XS).
        cpu_ingest_s, cpu_generate_s, cpu_execute_s: CPU seconds a document around the model (bench/overhead.py).
        portion_s: of a portion that no engine works in, assumed: planning, the job that finds costs, the commit.
        task_s: of a task that its engine waits for, assumed: start, and draining at its end.
        idle_share: of the slots' time, lost at the end of a portion (tests/unit/spark/test_balancing.py).
        text_bytes, token_bytes: of a page's text; of a token of it.
        packed: size of text in Parquet over its own.
        doc_tokens: mean prompt of the document level; long pages are cut.
        kept_share: of documents, after the document level (ProX on RedPajama-V2).
        chunk_growth: chunk prompts over the tokens of a text: line numbers and template.
        removed_share: of the kept text, by the chunk level.
        doc_program_bytes, chunk_program_bytes: of a row of `programs` in Parquet; keys and ids are most of it.
        work_row_bytes: of a row of the work list, which executors keep.
        action_bytes: of a file in a Delta log; `state_bytes`: the same in the driver's memory.
        range_requests: of reading one file of a table: its size, its footer, its columns.
    """

    read_tokens_s: float = 724_500
    write_tokens_s: float = 552_800
    cpu_ingest_s: float = 0.0006
    cpu_generate_s: float = 0.0052
    cpu_execute_s: float = 0.0022
    portion_s: float = 6.0
    task_s: float = 0.3
    idle_share: float = 0.02
    text_bytes: float = 6_000
    token_bytes: float = 4.0
    packed: float = 0.5
    doc_tokens: float = 1_100
    kept_share: float = 0.30
    chunk_growth: float = 1.15
    removed_share: float = 0.16
    doc_program_bytes: float = 150
    chunk_program_bytes: float = 250
    work_row_bytes: float = 140
    action_bytes: float = 1_000
    state_bytes: float = 1_500
    range_requests: float = 4


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The machines of a run, and the settings that matter.

    Attributes:
        batch_documents: `placement.batch_documents`.
        file_bytes: of a file of `documents`.
        gpu_hour: price; CPU cores and memory of the GPU machines included.
    """

    gpus: int
    cores_per_gpu: int = 14
    batch_documents: float = 50_000
    tasks_per_slot: int = 5
    file_bytes: float = 128e6
    gpu_hour: float = 2.5


def plan(pages: float, cluster: Cluster, measured: Measured) -> dict[str, float]:
    """The figures of a whole run."""
    m, c = measured, cluster
    kept = pages * m.kept_share
    chunk_tokens = m.text_bytes / m.token_bytes * m.chunk_growth
    doc_gpu_s = pages * m.doc_tokens / m.read_tokens_s
    chunk_gpu_s = kept * chunk_tokens / m.write_tokens_s
    portions = {"doc": max(1.0, pages / c.batch_documents), "chunk": max(1.0, kept / c.batch_documents)}
    level_s = {
        "doc": level_seconds(doc_gpu_s, portions["doc"], c.gpus, c.tasks_per_slot, m),
        "chunk": level_seconds(chunk_gpu_s, portions["chunk"], c.gpus, c.tasks_per_slot, m),
    }
    cores = c.gpus * c.cores_per_gpu
    ingest_s = pages * m.cpu_ingest_s / cores
    execute_s = pages * m.cpu_execute_s / cores + portions["doc"] * m.portion_s
    seconds = ingest_s + sum(level_s.values()) + execute_s
    return {
        "hours, all": seconds / 3600,
        "hours, ingest": ingest_s / 3600,
        "hours, document level": level_s["doc"] / 3600,
        "hours, chunk level": level_s["chunk"] / 3600,
        "hours, execute": execute_s / 3600,
        "hours of GPU work alone": (doc_gpu_s + chunk_gpu_s) / c.gpus / 3600,
        "GPUs busy while generating": (doc_gpu_s + chunk_gpu_s) / c.gpus / sum(level_s.values()),
        "cores busy while generating": (pages * m.cpu_generate_s) / cores / sum(level_s.values()),
        "GPU hours paid": seconds * c.gpus / 3600,
        "cost": seconds * c.gpus / 3600 * c.gpu_hour,
        **storage(pages, kept, portions, c, m),
    }


def level_seconds(gpu_s: float, portions: float, gpus: int, tasks_per_slot: int, measured: Measured) -> float:
    """Seconds of one level: its GPU work over the GPUs, what is idle at ends, and the fixed cost of portions."""
    fixed = portions * (measured.portion_s + tasks_per_slot * measured.task_s)
    return gpu_s / gpus / (1 - measured.idle_share) + fixed


def storage(
    pages: float, kept: float, portions: Mapping[str, float], cluster: Cluster, measured: Measured
) -> dict[str, float]:
    """Tables, shuffles, files, requests and memory."""
    m, c = measured, cluster
    text = pages * m.text_bytes
    kept_text = text * kept / pages
    doc_programs, chunk_programs = pages * m.doc_program_bytes, kept * m.chunk_program_bytes
    programs = doc_programs + chunk_programs
    documents_files = text * m.packed / c.file_bytes
    per_portion = min(c.tasks_per_slot * c.gpus, c.batch_documents)  # a file for each task
    program_files = {level: count * per_portion for level, count in portions.items()}
    files_written = documents_files * 2 + sum(program_files.values())
    # A portion of execute reads the files of its buckets. Those of the document level are cut alike; the chunk level
    # has fewer portions, each over the buckets of several of execute's.
    overlap = 1 + portions["doc"] / portions["chunk"]
    # `documents` is read by: the costs and the texts of both levels, and execute.
    scans = 5 * documents_files
    return {
        "text in the source, TB": text / TB,
        "`documents`, TB": text * m.packed / TB,
        "`refined`, TB": kept_text * (1 - m.removed_share) * m.packed / TB,
        "`edits`, TB": kept_text * m.removed_share * m.packed / TB,
        "`programs`, TB": programs / TB,
        "shuffled, TB": (text * 2 + kept_text) / TB,  # ingest by bucket, texts of both levels, texts to execute (kept)
        "`programs` read by execute, TB": (doc_programs + chunk_programs * min(overlap, portions["doc"])) / TB,
        "work lists on executors, GB": pages * m.work_row_bytes / 1e9,
        "portions (commits)": sum(portions.values()),
        "files of `documents`": documents_files,
        "files of `programs` before OPTIMIZE": sum(program_files.values()),
        # Both levels look for what is there; the chunk level decides by the programs of the document level.
        "GET requests, millions": (scans + 3 * program_files["doc"] + (1 + overlap) * program_files["chunk"])
        * m.range_requests
        / 1e6,
        "PUT requests, millions": files_written / 1e6,
        "logs, GB": files_written * m.action_bytes / 1e9,
        "driver memory for table states, GB": files_written * m.state_bytes / 1e9,
    }


def check_rows(scaling: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Predict each number of workers from the run with the fewest, and give the error.

    One worker says how long a token takes with all that its task costs, and how long a stage is outside its tasks.
    """
    rows = []
    for corpus in dict.fromkeys(str(row["what"]) for row in scaling):
        runs = sorted((row for row in scaling if row["what"] == corpus), key=lambda row: float(str(row["workers"])))
        few = {name: float(str(runs[0][name])) for name in ("workers", "tokens", "stage, s", "outside, s")}
        token_s = (few["stage, s"] - few["outside, s"]) * few["workers"] / few["tokens"]
        for run in runs:
            tokens, workers, seconds = (float(str(run[name])) for name in ("tokens", "workers", "stage, s"))
            predicted = few["outside, s"] + tokens * token_s / workers
            rows.append(
                {
                    "what": corpus,
                    "workers": run["workers"],
                    "measured, s": seconds,
                    "predicted, s": round(predicted, 1),
                    "error": f"{predicted / seconds - 1:+.0%}",
                }
            )
    return rows


def plan_rows(pages: float, clusters: Sequence[Cluster], measured: Measured) -> list[dict[str, object]]:
    """A column for each cluster."""
    plans = [plan(pages, cluster, measured) for cluster in clusters]
    heads = [f"{one.gpus:,} GPUs, {one.batch_documents:,.0f} documents a portion" for one in clusters]
    return [{"what": name, **{head: plan[name] for head, plan in zip(heads, plans, strict=True)}} for name in plans[0]]


def main() -> None:
    """Print and store the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=float, default=3e9)
    parser.add_argument("--gpus", type=int, nargs="+", default=[64, 1000])
    parser.add_argument("--batch-documents", type=float, nargs="+", default=[50_000, 5e6])
    parser.add_argument("--scaling", type=Path, help="scaling.json beside --output, else in build/bench")
    parser.add_argument(
        "--set", dest="constants", action="append", default=[], metavar="NAME=VALUE", help="of Measured"
    )
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    given = {name: float(value) for name, _, value in (pair.partition("=") for pair in options.constants)}
    measured = Measured(**given)
    clusters = [Cluster(gpus=gpus, batch_documents=size) for gpus in options.gpus for size in options.batch_documents]
    rows = plan_rows(options.pages, clusters, measured)
    folder = options.output.parent if options.output else ROOT / "build" / "bench"
    scaling = options.scaling or folder / "scaling.json"
    if scaling.exists():
        rows += check_rows(json.loads(scaling.read_text(encoding="utf-8")).get("rows", []))
    for row in rows:
        print("  ".join(f"{value:,.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    write_result(options.output, "scale_model", {"pages": options.pages, **vars(measured)}, rows)


if __name__ == "__main__":
    main()
