"""Read archives with datatrove's reader and extractor, for `bench/ingest.py`: runs in an environment of its own.

DATATROVE/bin/python bench/ingest_datatrove.py trafilatura FILE...
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any


def main() -> None:
    """Read every file, through FineWeb's extractor unless it is a WET, and print what it took as JSON."""
    what, *files = sys.argv[1:]
    reader: Any = import_module("datatrove.pipeline.readers").WarcReader
    extractor: Any = import_module("datatrove.pipeline.extractors").Trafilatura
    documents = characters = 0
    begun, cpu = time.perf_counter(), _cpu_s()
    for file in files:
        # A second for a page is datatrove's own limit; on a busy machine it would lose pages.
        rows = reader(str(Path(file).parent), glob_pattern=Path(file).name, compression="infer").run()
        for document in rows if what == "wet" else extractor(favour_precision=True, timeout=30).run(rows):
            documents += 1
            characters += len(document.text)
    wall_s, cpu_s = time.perf_counter() - begun, _cpu_s() - cpu
    print(json.dumps({"documents": documents, "characters": characters, "wall_s": wall_s, "cpu_s": cpu_s}))


def _cpu_s() -> float:
    return sum(used.ru_utime + used.ru_stime for used in (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)))


if __name__ == "__main__":
    main()
