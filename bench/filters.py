"""Measure filters beside datatrove's, on the same documents and machine, and the balance of generating tasks.

`python bench/filters.py rules --pages PAGES.jsonl.gz... --datatrove PYTHON`: the four sets of rules on one core, ours
and datatrove's: seconds, and in how many verdicts they agree.
`python bench/filters.py near --pages ... --datatrove PYTHON --documents 10000 40000 --reference 10000`: near
duplicates in Spark on this machine's cores and in datatrove's processes, of documents recombined from the pages.
`python bench/filters.py lines --pages PAGES.jsonl.gz...`: lines that repeat on a host, of pages that people labelled
line by line (`url`, `text`, `keep`): how many that go are no content, and the same for CCNet's normal form of lines.
`python bench/filters.py balance`: the largest task over the mean, for 100,000 documents of log-normal length.
`python bench/filters.py golden --datatrove PYTHON`: writes the golden verdicts of tests/unit/heuristics anew.

PYTHON is an interpreter that has datatrove, nltk and spacy; it runs `bench/reference_filters.py`.
"""

from __future__ import annotations

import argparse
import ctypes
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spark_prox.heuristics.repeated_lines import normal_lines
from spark_prox.heuristics.rules.page import Page
from spark_prox.heuristics.rules.verdicts import RULE_SETS

ROOT = Path(__file__).resolve().parent.parent
CORES = os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rules", "near", "lines", "balance", "golden"))
    parser.add_argument("--pages", nargs="+", type=Path, default=[], metavar="FILE", help="JSON lines with `text`")
    parser.add_argument("--datatrove", metavar="PYTHON", default="", help="an interpreter that has datatrove")
    parser.add_argument("--documents", nargs="+", type=int, default=[10_000, 40_000], metavar="N")
    parser.add_argument("--reference", type=int, default=10_000, metavar="N", help="documents for datatrove")
    options = parser.parse_args()
    if options.what == "rules":
        rules(read_texts(options.pages), options.datatrove)
    elif options.what == "near":
        near(read_texts(options.pages), options.datatrove, options.documents, options.reference)
    elif options.what == "lines":
        lines(options.pages)
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
            seconds, cpu, dropped = near_here(Path(folder), texts, size)
            print(near_line("spark_prox", size, seconds, cpu), f"{dropped:,} dropped", flush=True)
    if not python:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        characters = write_input(folder, texts, reference)
        adopt_orphans()
        started, cpu = time.perf_counter(), cpu_of_children()
        done = subprocess.run(
            [python, str(ROOT / "bench" / "reference_filters.py"), "minhash", str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, cpu = time.perf_counter() - started, cpu_of_children() - cpu
        kept = len(json.loads(done.stdout.splitlines()[-1]))
        print(near_line("datatrove", reference, seconds, cpu), f"{reference - kept:,} dropped; ", end="")
        print(f"{characters / reference:.0f} characters a document")


def near_line(name: str, size: int, seconds: float, cpu: float) -> str:
    return f"{name:<10}  {size:>8,} documents {seconds:8.1f} s {cpu:8.1f} CPU s {size / cpu:7.0f} a CPU s "


def adopt_orphans() -> None:
    """Linux: what a child leaves behind becomes ours, so that its CPU seconds are counted (datatrove's fork server)."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def cpu_of_children() -> float:
    """CPU seconds of the children that have ended, and of theirs; waits a moment for those that are about to."""
    for _ in range(50):
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_of_tree() -> float:
    """CPU seconds of this process and all its descendants so far, also of those that have ended (Linux)."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            ticks[int(folder.name)] = sum(map(int, fields[11:15]))
    total = 0
    for process, used in ticks.items():
        at: int | None = process
        while at is not None and at != os.getpid():
            at = parents.get(at)
        total += used if at is not None else 0
    return total / os.sysconf("SC_CLK_TCK")


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


def near_here(folder: Path, texts: Sequence[str], size: int) -> tuple[float, float, int]:
    """Seconds and CPU seconds of ingest and filter together, and the documents that it drops."""
    from spark_prox.config.run import load_config
    from spark_prox.pipeline import Pipeline
    from spark_prox.stages.ingest import Ingest
    from spark_prox.stages.near_duplicates import NearDuplicates
    from udfs.functions import FUNCTIONS

    write_input(folder, texts, size)
    sets = ["model.engine=scripted", "filters.near_duplicates.enabled=true", "placement.arrow_batch_rows=1024"]
    given = {"warehouse": str(folder / "w"), "input.path": str(folder / "input"), "input.format": "jsonl"}
    pipe = Pipeline(load_config(None, sets, given | {"input.id_column": "id"}), FUNCTIONS, name="bench filters")
    started, cpu = time.perf_counter(), cpu_of_tree()
    with pipe.phase():
        for stage in (Ingest(), NearDuplicates()):
            stage.run(pipe.run)
    seconds, cpu = time.perf_counter() - started, cpu_of_tree() - cpu
    return seconds, cpu, pipe.warehouse.read("verdicts").where("verdict = 'drop'").count()


def lines(files: Sequence[Path]) -> None:
    """Pages of hosts with at least as many pages as a line needs: what goes, by our normal form and by CCNet's."""
    hosts: dict[str, list[tuple[str, list[int]]]] = {}
    for file in files:
        for row in map(json.loads, gzip.decompress(file.read_bytes()).decode().splitlines()):
            hosts.setdefault(urlsplit(row.get("url") or "").hostname or "", []).append((row["text"], row["keep"]))
    hosts.pop("", None)
    print("min_pages  form   hosts  pages  lines     go  no content  of what is none  content lost: lines  words")
    for least in (2, 3, 4, 5):
        many = [pages for pages in hosts.values() if len(pages) >= least]
        for name, form in (("ours", normal_lines), ("ccnet", ccnet_lines)):
            counts: Counter[tuple[bool, bool]] = Counter()  # (goes, is content): lines
            words: Counter[tuple[bool, bool]] = Counter()
            for pages in many:
                forms = [form(text) for text, _ in pages]
                on = Counter(line for found in forms for line in {*found} if line)
                for found, (text, keep) in zip(forms, pages, strict=True):
                    for line, raw, kept in zip(found, text.split("\n"), keep, strict=True):
                        counts[on[line] >= least, bool(kept)] += bool(line)
                        words[on[line] >= least, bool(kept)] += len(raw.split())
            gone = counts[True, False] + counts[True, True]
            print(
                f"{least:>9}  {name:<5} {len(many):>6} {sum(map(len, many)):>6} {counts.total():>6} {gone:>6} "
                f"{counts[True, False] / gone:>11.3f} {share(counts, False):>16.3f} {share(counts, True):>20.3f} "
                f"{share(words, True):>6.3f}"
            )


def share(counts: Counter[tuple[bool, bool]], content: bool) -> float:
    """Of what is content, or of what is none, the share that goes."""
    return counts[True, content] / (counts[True, content] + counts[False, content])


_CCNET_REMOVED = re.compile(r"[，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►\x00-\x1f\x7f-\x9f]")


def ccnet_lines(text: str) -> list[str]:
    """CCNet's normal form of lines (Wenzek et al., arXiv 1911.00359, and its released text normaliser)."""
    return [_CCNET_REMOVED.sub("", re.sub(r"\d", "0", line.strip().lower())) for line in text.split("\n")]


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
