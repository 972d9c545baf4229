"""datatrove's filters and MinHash pipeline, the reference of `bench/filters.py`: datatrove's interpreter runs it.

`python bench/reference_filters.py rules < documents.jsonl > verdicts.jsonl`: for each document, the reason of each of
the four filters on the text as it is, null where it keeps it; the seconds of each filter on standard error.

`python bench/reference_filters.py minhash FOLDER`: removes near duplicates from `FOLDER/input/*.jsonl` with the
four steps of FineWeb's pipeline, in as many processes as there are input files, and prints the documents that stay.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def rules() -> None:
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    filters = {
        "gopher_repetition": GopherRepetitionFilter(),
        "gopher_quality": GopherQualityFilter(),
        "c4": C4QualityFilter(),
        "fineweb": FineWebQualityFilter(),
    }
    texts = [json.loads(line)["text"] for line in sys.stdin]
    filters["c4"].filter(Document(text="Load the tokenizer before the clock starts.", id="x"))
    seconds = dict.fromkeys(filters, 0.0)
    for text in texts:
        found = {}
        for name, each in filters.items():
            started = time.perf_counter()
            verdict = each.filter(Document(text=text, id="x"))
            seconds[name] += time.perf_counter() - started
            found[name] = None if verdict is True else verdict[1] if isinstance(verdict, tuple) else "dropped"
        print(json.dumps(found))
    sys.stderr.write(json.dumps(seconds) + "\n")


def minhash(folder: Path) -> None:
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    config, tasks = MinhashConfig(), len(list((folder / "input").glob("*.jsonl")))
    names = ("signatures", "buckets", "clusters", "output")
    signatures, buckets, clusters, output = (str(folder / name) for name in names)

    def reader() -> JsonlReader:
        return JsonlReader(str(folder / "input"))

    steps = (
        ([reader(), MinhashDedupSignature(signatures, config)], tasks),
        ([MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets),
        ([MinhashDedupCluster(buckets, clusters, config=config)], 1),
        ([reader(), MinhashDedupFilter(clusters), JsonlWriter(output, compression=None)], tasks),
    )
    for number, (pipeline, size) in enumerate(steps):
        started = time.perf_counter()
        logs = str(folder / f"logs{number}")
        LocalPipelineExecutor(pipeline, tasks=size, workers=min(size, tasks), logging_dir=logs).run()
        sys.stderr.write(f"datatrove step {number + 1}: {time.perf_counter() - started:.1f} s\n")
    kept = [json.loads(line)["id"] for file in sorted(Path(output).glob("*.jsonl")) for line in file.open()]
    print(json.dumps(kept))


if __name__ == "__main__":
    if sys.argv[1] == "rules":
        rules()
    else:
        minhash(Path(sys.argv[2]))
