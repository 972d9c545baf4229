"""Run the benches one by one and write `bench/RESULTS.md` from what they leave.

Each part is a process of its own and leaves a JSON file in --folder. A part whose file is there is not run again,
unless --again names it; a part that lacks something on this machine is left out, and the page says why.

    python bench/run.py                                   # all but those that take hours
    python bench/run.py --skip filters.near engine        # as `make bench BENCH="--skip filters.near engine"`
    python bench/run.py --only programs --again programs
    python bench/run.py --page                            # write the page again, measure nothing

`name=options` gives a part other options: `--options scaling="--workers 1 2"`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.parts import PARTS, Needs, Part, chosen, environment
from bench.results import machine, page, read_results, versions

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run, write, and give 1 when a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], metavar="PART", help=", ".join(part.name for part in PARTS))
    parser.add_argument("--skip", nargs="*", default=[], metavar="PART")
    parser.add_argument("--again", nargs="*", metavar="PART", help="measure these again; all without a name")
    parser.add_argument("--options", nargs="*", default=[], metavar="PART=OPTIONS", help="more options of a part")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="where parts leave their files")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "RESULTS.md", help="the page")
    parser.add_argument("--page", action="store_true", help="write the page from the files that are there")
    parser.add_argument("--note", default="", help="a line about the run for the page")
    parser.add_argument("--datatrove", default="", metavar="PYTHON", help="an interpreter that has datatrove")
    parser.add_argument("--rules", default="", metavar="PYTHON", help="one that has datatrove, nltk and spacy")
    parser.add_argument("--pages", nargs="*", type=Path, default=[], metavar="FILE", help="JSON lines with `text`")
    parser.add_argument("--html", type=Path, metavar="FILE", help="JSON lines with `html`")
    options = parser.parse_args()
    has = Needs(datatrove=options.datatrove, rules=options.rules, pages=options.pages, html=options.html)
    try:
        parts = chosen(PARTS, options.only, options.skip)
        more = {name: shlex.split(words) for name, _, words in (given.partition("=") for given in options.options)}
    except ValueError as error:
        parser.error(str(error))
    options.folder.mkdir(parents=True, exist_ok=True)
    facts = {**machine(), **versions(ROOT)}
    failed = 0 if options.page else _run_all(parts, has, more, options)
    order = [part.name for part in PARTS]
    results = sorted(read_results(options.folder), key=lambda result: order.index(str(result["name"])))
    options.results.write_text(page(results, facts, options.note), encoding="utf-8")
    print(f"{options.results.name}: {sum('left_out' not in result for result in results)} parts")
    return 1 if failed else 0


def _run_all(
    parts: Sequence[tuple[Part, str]], has: Needs, more: dict[str, list[str]], options: argparse.Namespace
) -> int:
    failed = 0
    for number, (part, left_out) in enumerate(parts, 1):
        file = options.folder / f"{part.name}.json"
        again = options.again is not None and (not options.again or part.name in options.again)
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"left_out": ""}
        if "left_out" not in before and not (again and not left_out):
            print(f"[{number}/{len(parts)}] {part.name}: done before", flush=True)
            continue
        reason = (str(before["left_out"]) or left_out) if left_out else part.needs(has)
        if not reason:
            print(f"[{number}/{len(parts)}] {part.name} ...", flush=True)
            reason = _run(part, [*part.more(has), *more.get(part.name, [])], file)
            failed += bool(reason)
        if reason:
            print(f"[{number}/{len(parts)}] {part.name}: {reason}", flush=True)
            file.write_text(json.dumps({"name": part.name, "left_out": reason}) + "\n", encoding="utf-8")
    return failed


def _run(part: Part, more: Sequence[str], file: Path) -> str:
    """Run one part; gives why there is no result, empty where there is one. A result says how it came about."""
    words = [*part.words, *more]
    file.unlink(missing_ok=True)
    log, printed = file.with_suffix(".log"), file.with_suffix(".out")
    started = time.monotonic()
    with log.open("wb") as errors, printed.open("wb") as output:
        command = [sys.executable, *words, *(() if part.prints else ("--output", str(file.resolve())))]
        code = subprocess.run(
            command, cwd=ROOT, env=environment(), stdout=output, stderr=errors, check=False
        ).returncode
    if part.prints and not code:
        file.write_text(json.dumps({"rows": [], "settings": {}, "printed": printed.read_text(errors="replace")}))
    if code or not file.exists():
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
        return f"failed with exit code {code}; its log ends with: {' '.join(last)[:200]}"
    result = json.loads(file.read_text(encoding="utf-8"))
    shown = [word for word in words if not Path(word).is_absolute()]  # no paths of this machine
    about = {
        "command": " ".join(["python", *shown]),
        "commit": versions(ROOT)["commit"],
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - started),
    }
    file.write_text(json.dumps({**result, "name": part.name, **about}, indent=1) + "\n", encoding="utf-8")
    print(f"    {about['seconds']} s", flush=True)
    return ""


if __name__ == "__main__":
    sys.exit(main())
