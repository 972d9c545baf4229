"""Measure the speed of the program language: reading and executing, one core, against the plain reference.

`python bench/programs.py`

Documents and programs are generated: lines of 2 to 60 words, 2 to 5 calls a program, three quarters of them
`remove_lines`, as the released chunk refiners write them (arXiv 2409.17115: 3.7 calls on web text). Every program is
different. The ratio is what counts: machines differ, and so does what else runs on them.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.measured import ratios, spread, write_result
from bench.reference_executor import reference_refine
from spark_prox.programs import parse_program, refine, refine_text
from spark_prox.programs.dialects.prox import PROX
from spark_prox.programs.express import plain_reader
from spark_prox.programs.parse import _parse_cached
from spark_prox.programs.upstream import QUICK_UPSTREAM

Case = tuple[str, str]


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    print("MB of text per second (reference = 1.0), best of rounds that alternate between all of them")
    for size, count in ((2_000, 400), (5_000, 300), (20_000, 100)):
        cases = generate(size, count)
        chars = sum(len(text) for text, _ in cases)
        lines = sum(text.count("\n") + 1 for text, _ in cases)
        print(f"\n{count} documents, mean {chars // count} characters in {lines // count} lines")
        rounds = measure(cases, WAYS, options.rounds)
        seconds = {name: min(taken) for name, taken in rounds.items()}
        for name, taken in seconds.items():
            print(f"  {name:<44} {chars / taken / 1e6:8.1f} {seconds['reference'] / taken:8.2f}")
        rows += [
            {
                "what": f"{name}, documents of {size // 1000} KB",
                "MB/s": spread([chars / 1e6 / one for one in taken]),
                "times the reference": ratios(rounds["reference"], taken),
            }
            for name, taken in rounds.items()
        ]
    write_result(options.output, "programs", {"rounds": options.rounds, "seconds of": "CPU"}, rows)


def generate(mean_chars: int, count: int, seed: int = 1) -> list[Case]:
    """Documents of log-normal length around a mean, each with a program."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.choice((1, 2, 3, 3, 4, 5, 6, 7, 8, 9)))) for _ in range(4000)]
    cases = []
    for _ in range(count):
        size, wanted = 0, max(200.0, mean_chars * rng.lognormvariate(-0.32, 0.8))
        lines: list[str] = []
        while size < wanted:
            lines.append(" ".join(rng.choices(words, k=rng.choice((2, 4, 8, 12, 20, 30, 60)))))
            size += len(lines[-1]) + 1
        cases.append(("\n".join(lines), program(rng, lines)))
    return cases


def program(rng: random.Random, lines: list[str]) -> str:
    """Two to five calls, removals in ascending order."""
    calls = rng.choice((2, 3, 4, 4, 5))
    removals = sum(rng.random() < 0.75 for _ in range(calls))
    starts = sorted(rng.randrange(len(lines)) for _ in range(removals))
    written = [
        f"remove_lines(start={start}, end={min(len(lines) - 1, start + rng.choice((0, 0, 1, 3)))})" for start in starts
    ]
    for _ in range(calls - removals):
        line = rng.choice(lines)
        written.append(f'normalize(source_str="{line[: rng.randint(12, 40)]}", target_str="")')
    return "\n".join(written)


def reference(text: str, program_text: str) -> None:
    reference_refine(text, program_text)


def remembered(text: str, program_text: str) -> None:
    refine_text(text, program_text)


def default(text: str, program_text: str) -> None:
    refine_text(text, program_text)


def compat(text: str, program_text: str) -> None:
    refine_text(text, program_text, policy="compat")


def with_records(text: str, program_text: str) -> None:
    refinement = refine_text(text, program_text)
    _ = refinement.edits, refinement.calls, refinement.error_count
    _ = refinement.words_before, refinement.words_after, refinement.lines_after


def reading(text: str, program_text: str) -> None:
    parse_program(program_text)


WAYS: dict[str, Callable[[str, str], None]] = {
    "reference": reference,
    "refine_text, default": default,
    "refine_text, compat": compat,
    "refine_text, default, program seen before": remembered,
    "refine_text, default, every record and count": with_records,
    "reading the program alone": reading,
}


def remember(cases: list[Case]) -> None:
    for text, program_text in cases:
        refine_text(text, program_text)


def forget() -> None:
    """Empty every memory of programs and of their lines."""
    _parse_cached.cache_clear()
    assert PROX.quick is not None
    refine._PLAIN["prox"] = plain_reader(PROX.quick)
    refine._PLAIN_UPSTREAM = plain_reader(QUICK_UPSTREAM)


def measure(cases: list[Case], ways: dict[str, Callable[[str, str], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU time of each round; programs of earlier rounds are forgotten, but for one way."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            if way is not remembered:
                forget()
            else:
                remember(cases)
            started = time.process_time()
            for text, program_text in cases:
                way(text, program_text)
            found[name].append(time.process_time() - started)
    return found


if __name__ == "__main__":
    main()
