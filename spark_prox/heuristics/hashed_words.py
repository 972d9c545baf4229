"""Lines as bags of hashed words and word pairs, for the linear half of the line classifier.

CRC-32 of the text of a word or pair, modulo the number of buckets: the same on every machine and Python. numpy is
imported inside the functions.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

__all__ = ["BUCKETS", "MAX_CHARS", "HashedLines", "hash_lines"]

MAX_CHARS = 400
"""Characters of a line that count; bounds the work for a line of 5 MB."""
BUCKETS = 1 << 18
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class HashedLines:
    """A sparse matrix of one row a line; each row has length 1, or 0 without a word.

    Attributes:
        starts: where each line's entries begin, and the end of the last; shape (lines + 1,).
        buckets: the column of each entry.
        values: how often the line has it, over the row's Euclidean length.
    """

    starts: Any
    buckets: Any
    values: Any

    def dot(self, weights: Any) -> Any:
        """The sum of each line's values times their buckets' weights; shape (lines,), float64."""
        import numpy as np

        sums = np.concatenate([[0.0], np.cumsum(self.values * weights[self.buckets], dtype=np.float64)])
        return sums[self.starts[1:]] - sums[self.starts[:-1]]

    def matrix(self) -> Any:
        """The same as a scipy CSR matrix, for training."""
        from scipy.sparse import csr_matrix

        return csr_matrix((self.values, self.buckets, self.starts), shape=(len(self.starts) - 1, BUCKETS))


def hash_lines(lines: Iterable[str]) -> HashedLines:
    """Hash the lower-case words and neighbouring word pairs of the first 400 characters of each line."""
    import numpy as np

    starts, buckets, values = array("q", [0]), array("q"), array("d")
    for line in lines:
        words = _WORD.findall(line[:MAX_CHARS].lower())
        pairs = [f"{first} {second}" for first, second in pairwise(words)]
        counts = Counter(zlib.crc32(part.encode("utf-8", "surrogatepass")) % BUCKETS for part in words + pairs)
        length = sum(count * count for count in counts.values()) ** 0.5
        buckets.extend(counts)
        values.extend(count / length for count in counts.values())
        starts.append(len(buckets))
    return HashedLines(
        np.frombuffer(starts, dtype=np.int64),
        np.frombuffer(buckets, dtype=np.int64) if buckets else np.zeros(0, dtype=np.int64),
        np.frombuffer(values, dtype=np.float64) if values else np.zeros(0),
    )
