"""Measure filters beside datatrove's, on the same documents and machine, and the balance of generating tasks.

`python bench/filters.py rules --pages PAGES.jsonl.gz... --datatrove PYTHON`: the four sets of rules on one core, ours
and datatrove's: seconds, and in how many verdicts they agree.
`python bench/filters.py near --pages ... --datatrove PYTHON --documents 10000 40000 --reference 10000`: near
duplicates in Spark on this machine's cores and in datatrove's processes, of documents recombined from the pages.
`python bench/filters.py balance`: the largest task over the mean, for 100,000 documents of log-normal length.
`python bench/filters.py golden --datatrove PYTHON`: writes the golden verdicts of tests/unit/heuristics anew.

PYTHON is an interpreter that has datatrove, nltk and spacy; it runs `bench/reference_filters.py`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spark_prox.heuristics.rules.page import Page
from spark_prox.heuristics.rules.verdicts import RULE_SETS

ROOT = Path(__file__).resolve().parent.parent
CORES = os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rules", "near", "balance", "golden"))
    parser.add_argument("--pages", nargs="+", type=Path, default=[], metavar="FILE", help="JSON lines with `text`")
    parser.add_argument("--datatrove", metavar="PYTHON", default="", help="an interpreter that has datatrove")
    parser.add_argument("--documents", nargs="+", type=int, default=[10_000, 40_000], metavar="N")
    parser.add_argument("--reference", type=int, default=10_000, metavar="N", help="documents for datatrove")
    options = parser.parse_args()
    if options.what == "rules":
        rules(read_texts(options.pages), options.datatrove)
    elif options.what == "near":
        near(read_texts(options.pages), options.datatrove, options.documents, options.reference)
    elif options.what == "balance":
        balance()
    else:
        golden(options.datatrove)


def read_texts(files: Sequence[Path]) -> list[str]:
    """The texts of JSON lines, gzipped or not."""
    lines: list[str] = []
    for file in files:
        data = file.read_bytes()
        lines += (gzip.decompress(data) if file.suffix == ".gz" else data).decode().splitlines()
    return [text for line in lines if (text := json.loads(line).get("text") or "").strip()]


def reference_rules(python: str, texts: Sequence[str]) -> tuple[list[dict[str, str | None]], dict[str, float]]:
    """The reasons of datatrove's filters for each text, and the seconds of each filter."""
    done = subprocess.run(
        [python, str(ROOT / "bench" / "reference_filters.py"), "rules"],
        input="".join(json.dumps({"text": text}) + "\n" for text in texts),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], json.loads(done.stderr.splitlines()[-1])


def rules(texts: list[str], python: str) -> None:
    size = sum(map(len, texts)) / 1e6
    started = time.perf_counter()
    found = [{name: check(page) for name, check in RULE_SETS.items()} for page in map(Page, texts)]
    ours = time.perf_counter() - started
    print(f"{len(texts):,} documents, {size:.1f} M characters, all four sets of rules, one core")
    print(f"spark_prox  {ours:8.1f} s  {size / ours:6.2f} M characters/s")
    if not python:
        return
    theirs, seconds = reference_rules(python, texts)
    total = sum(seconds.values())
    print(f"datatrove   {total:8.1f} s  {size / total:6.2f} M characters/s, {total / ours:.1f} times as long")
    for name in RULE_SETS:
        same = sum((a[name] is None) == (b[name] is None) for a, b in zip(found, theirs, strict=True))
        dropped = sum(row[name] is not None for row in theirs)
        print(f"  {name:<18} agree on {same:,} of {len(texts):,}, {dropped:,} dropped")


def recombined(texts: Sequence[str], count: int, seed: int = 1) -> Iterator[str]:
    """Documents of lines of several pages; every fifth one is an earlier one with a few other words."""
    rng = random.Random(seed)
    lines = [line for text in texts for line in text.split("\n") if len(line.split()) >= 8]
    recent: list[str] = []
    for number in range(count):
        if number % 5 == 4:
            words = rng.choice(recent).split(" ")
            for _ in range(2):
                words[rng.randrange(len(words))] = f"other{rng.randrange(1000)}"
            yield " ".join(words)
            continue
        size, wanted, parts = 0, rng.lognormvariate(6.8, 0.6), []
        while size < wanted:
            parts.append(rng.choice(lines)[:400])
            size += len(parts[-1])
        recent.append("\n".join(parts))
        if len(recent) > 5_000:
            recent[rng.randrange(5_000)] = recent.pop()
        yield "\n".join(parts)


def near(texts: list[str], python: str, sizes: Sequence[int], reference: int) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            seconds, dropped = near_here(Path(folder), texts, size)
            print(f"spark_prox  {size:>8,} documents {seconds:8.1f} s  {size / seconds:7.0f}/s  {dropped:,} dropped")
    if not python:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        characters = write_input(folder, texts, reference)
        started = time.perf_counter()
        done = subprocess.run(
            [python, str(ROOT / "bench" / "reference_filters.py"), "minhash", str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, kept = time.perf_counter() - started, len(json.loads(done.stdout.splitlines()[-1]))
        print(f"datatrove   {reference:>8,} documents {seconds:8.1f} s  {reference / seconds:7.0f}/s  ", end="")
        print(f"{reference - kept:,} dropped; {characters / reference:.0f} characters a document")


def write_input(folder: Path, texts: Sequence[str], size: int) -> int:
    """A file of documents for each core; gives the characters."""
    (folder / "input").mkdir()
    files = [(folder / "input" / f"{core}.jsonl").open("w", encoding="utf-8") for core in range(CORES)]
    characters = 0
    for number, text in enumerate(recombined(texts, size)):
        characters += len(text)
        files[number % CORES].write(json.dumps({"id": f"d{number}", "text": text}) + "\n")
    for file in files:
        file.close()
    return characters


def near_here(folder: Path, texts: Sequence[str], size: int) -> tuple[float, int]:
    """Seconds of ingest and filter together, and the documents that it drops."""
    from spark_prox.config.run import load_config
    from spark_prox.pipeline import Pipeline
    from spark_prox.stages.ingest import Ingest
    from spark_prox.stages.near_duplicates import NearDuplicates
    from udfs.functions import FUNCTIONS

    write_input(folder, texts, size)
    sets = ["model.engine=scripted", "filters.near_duplicates.enabled=true", "placement.arrow_batch_rows=1024"]
    given = {"warehouse": str(folder / "w"), "input.path": str(folder / "input"), "input.format": "jsonl"}
    pipe = Pipeline(load_config(None, sets, given | {"input.id_column": "id"}), FUNCTIONS, name="bench filters")
    started = time.perf_counter()
    with pipe.phase():
        for stage in (Ingest(), NearDuplicates()):
            stage.run(pipe.run)
    seconds = time.perf_counter() - started
    return seconds, pipe.warehouse.read("verdicts").where("verdict = 'drop'").count()


def balance() -> None:
    from pyspark.sql import functions as F

    from spark_prox.spark.balancing import balanced
    from spark_prox.spark.session import build_session

    spark = build_session("bench balance", extra={"spark.ui.enabled": "false", "spark.driver.memory": "1g"})
    rng = random.Random(1)
    sizes = [(f"d{n}", int(rng.lognormvariate(8, 1.0))) for n in range(100_000)]
    rows = spark.createDataFrame(sizes, "doc_id string, size long").withColumn("text", F.expr("repeat('x', size)"))
    print("100,000 documents of log-normal length (sigma 1), largest task over mean, in bytes")
    for tasks in (8, 64, 256):
        evenly = rows.repartition(tasks)
        spread, planned = balanced(rows, "doc_id", F.octet_length("text"), tasks, tasks)
        found = []
        for frame in (evenly, spread):
            sums = frame.groupBy(F.spark_partition_id().alias("task")).agg(F.sum(F.octet_length("text")).alias("bytes"))
            loads = [row["bytes"] for row in sums.collect()]
            found.append(max(loads) * tasks / sum(loads))
        print(f"  {tasks:>4} tasks: by rows {found[0]:.3f}, by cost {found[1]:.3f} (planned {planned:.3f})")
    spark.stop()


def golden(python: str) -> None:
    from tests.unit.heuristics.rule_texts import rule_texts

    texts = rule_texts()
    found, _ = reference_rules(python, list(texts.values()))
    lines = [f" {json.dumps(name)}: {json.dumps(row)}" for name, row in zip(texts, found, strict=True)]
    file = ROOT / "tests" / "unit" / "heuristics" / "rule_verdicts.json"
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
