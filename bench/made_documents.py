"""Documents of realistic sizes from a seed, as Parquet: log-normal lengths, lines and words of the example pages.

Some words of each line are replaced, a few by words that are made of halves of two, so that lines are different and
rare words are met as often as on the web: tokenizers remember the others.
"""

from __future__ import annotations

import gzip
import itertools
import random
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spark_prox.sources.warc.archive import read_archive

__all__ = ["documents", "write_documents"]

_PAGES = Path(__file__).parent.parent / "examples" / "pages.warc.wet.gz"
_FILE_ROWS = 20_000
_ROWS_AT_ONCE = 1_000
_POOL_CHARS = 8_000_000
_LONGEST = 400_000
_MEAN_LOG, _SPREAD = 7.98, 0.95  # exp(7.98 + 0.95 ** 2 / 2) = 4,590 characters in the mean
_REPLACED, _MADE = 0.2, 0.01  # of the words of a line


def documents(count: int, seed: int = 0) -> Iterator[tuple[str, str, str]]:
    """Id, address and text of each document."""
    rng = random.Random(seed)
    pool = _pool(seed)
    for number in range(count):
        size = int(min(_LONGEST, rng.lognormvariate(_MEAN_LOG, _SPREAD))) + 20
        start = rng.randrange(len(pool) - size)
        text = pool[start : start + size].strip() or "x"
        yield f"d{number}", f"https://host{number % 997}.example/page/{number}", text


def write_documents(folder: Path, count: int, seed: int = 0) -> int:
    """Files of documents; gives the number of characters."""
    folder.mkdir(parents=True)
    schema = pa.schema([(name, pa.string()) for name in ("id", "url", "text")])
    stream = documents(count, seed)
    chars = 0
    for first in range(0, count, _FILE_ROWS):
        with pq.ParquetWriter(folder / f"part-{first:08d}.parquet", schema, compression="zstd") as writer:
            rows = itertools.islice(stream, _FILE_ROWS)
            while some := list(itertools.islice(rows, _ROWS_AT_ONCE)):
                writer.write_table(pa.table(list(map(list, zip(*some, strict=True))), schema=schema))
                chars += sum(len(row[2]) for row in some)
    return chars


@lru_cache(maxsize=1)
def _pool(seed: int) -> str:
    """Some 8 MB of lines, of which documents are cut."""
    rng = random.Random(seed)
    with gzip.open(_PAGES, "rb") as stream:
        lines = [line for row in read_archive(stream) if row.text for line in row.text.split("\n") if line]
    words = [word for line in lines for word in line.split(" ")]
    made: list[str] = []
    size = 0
    while size < _POOL_CHARS:
        made.append(" ".join(_word(rng, word, words) for word in rng.choice(lines).split(" ")))
        size += len(made[-1]) + 1
    return "\n".join(made)


def _word(rng: random.Random, word: str, words: list[str]) -> str:
    drawn = rng.random()
    if drawn >= _REPLACED:
        return word
    if drawn >= _MADE:
        return rng.choice(words)
    left, right = rng.choice(words), rng.choice(words)
    return left[: (len(left) + 1) // 2] + right[len(right) // 2 :]
