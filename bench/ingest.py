"""Compare reading archives with datatrove: the same files, one machine, one run; records to text, without Spark.

Each measurement is a process of its own that reads every file; its CPU seconds are those of all its children. Rounds
take turns, and a ratio is the median of the rounds' ratios. datatrove and what it needs live in an environment of their
own, which the first run makes (it needs a package index); `--datatrove` names one that is there.

    python bench/ingest.py
    python bench/ingest.py --pages pages.jsonl.gz --rounds 5      # rows {"html": ...} become a WARC and a WET of each
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.measured import spread, write_result
from spark_prox.report.run_report import table
from spark_prox.sources.contained import ContainedPageText
from spark_prox.sources.page_text import page_text
from spark_prox.sources.warc.archive import read_archive

ROOT = Path(__file__).parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spark_prox-bench" / "datatrove"
PACKAGES = (
    *("datatrove==0.10.1", "trafilatura==2.3.1", "lxml_html_clean==0.4.6", "warcio==1.8.1", "faust-cchardet"),
    *("python-magic", "orjson", "tldextract"),
)
COMPARED = (
    ("WARC: ours, whole text", "ours", "all"),
    ("WARC: ours, main", "ours", "main"),
    ("WARC: ours, trafilatura", "ours", "trafilatura"),
    ("WARC: datatrove, trafilatura", "datatrove", "trafilatura"),
    ("WET: ours", "ours", "wet"),
    ("WET: datatrove", "datatrove", "wet"),
)
RATIOS = (
    ("whole text against datatrove with trafilatura", 3, 0, 5.0),
    ("the same extractor", 3, 2, 1.0),
    ("WET", 5, 4, 2.0),
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One reading of all files."""

    documents: int
    characters: int
    wall_s: float
    cpu_s: float


def main() -> None:
    """Measure all sides in turn and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warc", nargs="*", type=Path, default=[ROOT / "examples/pages.warc.gz"])
    parser.add_argument("--wet", nargs="*", type=Path, default=[ROOT / "examples/pages.warc.wet.gz"])
    parser.add_argument(
        "--pages", type=Path, help="JSON Lines, gzip, with a column html: read in place of the archives"
    )
    parser.add_argument("--repeat", type=int, default=1, help="read the files so many times in one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--datatrove", type=Path, help="an environment with datatrove")
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "WHAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(_measure_ours(arguments.side[1], arguments.warc)))
        return
    python = _environment(arguments.datatrove)
    with tempfile.TemporaryDirectory() as folder:
        warc, wet = arguments.warc, arguments.wet
        if arguments.pages:
            warc, wet = _archives_of(arguments.pages, Path(folder))
        rounds = [
            [
                _run(side, what, (wet if what == "wet" else warc) * arguments.repeat, python)
                for _, side, what in COMPARED
            ]
            for _ in range(arguments.rounds)
        ]
    _report(rounds)
    write_result(
        arguments.output, "ingest", {"rounds": arguments.rounds, "pages": rounds[0][0].documents}, _rows(rounds)
    )


def _report(rounds: list[list[Measured]]) -> None:
    rows = []
    for number, (name, _, _) in enumerate(COMPARED):
        taken = [one[number] for one in rounds]
        wall, cpu = (statistics.median(getattr(one, field) for one in taken) for field in ("wall_s", "cpu_s"))
        rows.append([name, taken[0].documents, f"{taken[0].characters:,}", f"{wall:.2f}", f"{cpu:.2f}"])
    print(table(["", "documents", "characters", "s", "CPU s"], rows))
    for name, theirs, ours, wanted in RATIOS:
        wall = statistics.median(one[theirs].wall_s / one[ours].wall_s for one in rounds)
        cpu = statistics.median(one[theirs].cpu_s / one[ours].cpu_s for one in rounds)
        print(f"{name}: {wall:.1f} times as fast ({cpu:.1f} by CPU seconds), wanted {wanted:g}")


def _rows(rounds: list[list[Measured]]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "what": name,
            "documents": rounds[0][number].documents,
            "characters": rounds[0][number].characters,
            "CPU s": spread([one[number].cpu_s for one in rounds]),
        }
        for number, (name, _, _) in enumerate(COMPARED)
    ]
    for name, theirs, ours, wanted in RATIOS:
        rows.append(
            {
                "what": f"ours against datatrove: {name}",
                "times as fast": spread([one[theirs].wall_s / one[ours].wall_s for one in rounds]),
                "by CPU s": spread([one[theirs].cpu_s / one[ours].cpu_s for one in rounds]),
                "wanted": wanted,
            }
        )
    return rows


def _run(side: str, what: str, files: list[Path], python: str) -> Measured:
    """One measurement in a process of its own."""
    names = [str(file) for file in files]
    if side == "ours":
        command = [sys.executable, __file__, "--side", side, what, "--warc", *names]
    else:
        command = [python, str(Path(__file__).parent / "ingest_datatrove.py"), what, *names]
    environment = {**os.environ, "PYTHONPATH": str(ROOT) if side == "ours" else ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} {what} failed:\n{done.stderr[-2_000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def _measure_ours(what: str, files: list[Path]) -> dict[str, float]:
    """The jobs' own reader, with the child process that guards it against hostile pages."""
    documents = characters = 0
    begun, cpu = time.perf_counter(), _cpu_s()
    with ContainedPageText(extract="all" if what == "wet" else what) as html_to_text:
        for file in files:
            html_to_text.next_file()
            with file.open("rb") as stream:
                for row in read_archive(stream, html_to_text=html_to_text):
                    documents += row.text is not None
                    characters += len(row.text or "")
    return {
        "documents": documents,
        "characters": characters,
        "wall_s": time.perf_counter() - begun,
        "cpu_s": _cpu_s() - cpu,
    }


def _cpu_s() -> float:
    return sum(used.ru_utime + used.ru_stime for used in (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)))


def _environment(given: Path | None) -> str:
    """The interpreter of an environment with datatrove."""
    folder = given or CACHE
    python = folder / "bin" / "python"
    if not python.exists():
        if given:
            sys.exit(f"{python} does not exist")
        print(f"Installing datatrove in {folder}, once", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return str(python)


def _archives_of(pages: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """A WARC of the pages as a crawler stores them, and a WET of their whole text, one gzip member for each record."""
    warc, wet = folder / "pages.warc.gz", folder / "pages.warc.wet.gz"
    with gzip.open(pages, "rt", encoding="utf-8") as rows, warc.open("wb") as out, wet.open("wb") as texts:
        for number, row in enumerate(rows):
            html = json.loads(row)["html"].encode()
            block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html
            out.write(_record("response", "application/http; msgtype=response", number, block, "text/html"))
            text = page_text(html, "utf-8").encode()
            texts.write(_record("conversion", "text/plain", number, text, "text/plain"))
    return [warc], [wet]


def _record(kind: str, mime: str, number: int, block: bytes, payload_type: str) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number:08}>\r\n"
        f"WARC-Date: 2024-01-02T03:04:05Z\r\n"
        f"WARC-Target-URI: https://h{number}.example/\r\nWARC-Identified-Payload-Type: {payload_type}\r\n"
        f"Content-Type: {mime}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n", 6, mtime=0)


if __name__ == "__main__":
    main()
