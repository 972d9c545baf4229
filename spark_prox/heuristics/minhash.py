"""MinHash signatures of texts, cut into bands: two texts with a band in common are candidates for near duplicates.

As FineWeb does it (arXiv 2406.17557, appendix E.1): 5-grams of words, 14 bands of 8 hashes. Texts that share 75% of
their 5-grams meet in a band with a probability of 77%, with 85% of 99%. Words are lower case, without punctuation and
accents, and every number is 0. Knows no document.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

__all__ = ["MinHash"]

_WORDS = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_SEED = 20240406
_AT_ONCE = 4_096
"""5-grams that are hashed together: they bound the memory, whatever the text."""
_MOST_CHARACTERS = 4_000_000


@dataclass(frozen=True, kw_only=True)
class MinHash:
    """Makes band keys.

    Attributes:
        ngram: words that are hashed together.
        bands: keys of a text.
        rows: hashes of a band.
    """

    ngram: int = 5
    bands: int = 14
    rows: int = 8

    def keys(self, text: str) -> list[bytes] | None:
        """A key of 8 bytes for each band; None for a text of fewer words than an n-gram has."""
        words = _words(text[:_MOST_CHARACTERS])
        if len(words) < self.ngram:
            return None
        factors, shifts = self._permutations
        hashed = pd.util.hash_array(np.array(words, dtype=object), categorize=False)
        grams = np.zeros(len(words) - self.ngram + 1, dtype=np.uint64)
        with np.errstate(over="ignore"):
            for offset in range(self.ngram):
                grams = grams * np.uint64(0x9E3779B97F4A7C15) + hashed[offset : offset + len(grams)]
            grams = np.unique(_mixed(grams))
            smallest = np.full(self.bands * self.rows, np.iinfo(np.uint64).max, dtype=np.uint64)
            for start in range(0, len(grams), _AT_ONCE):
                permuted = factors[:, None] * grams[None, start : start + _AT_ONCE] + shifts[:, None]
                np.minimum(smallest, permuted.min(axis=1), out=smallest)
            bands = np.zeros(self.bands, dtype=np.uint64) + np.arange(self.bands, dtype=np.uint64)
            for column in smallest.reshape(self.bands, self.rows).T:
                bands = _mixed(bands * np.uint64(0x9E3779B97F4A7C15) + column)
        data = bands.astype(">u8").tobytes()
        return [data[8 * band : 8 * band + 8] for band in range(self.bands)]

    @cached_property
    def _permutations(self) -> tuple[np.ndarray, np.ndarray]:
        """Odd factors and shifts: permutations of 64-bit numbers."""
        generator = np.random.Generator(np.random.PCG64(_SEED))
        size = self.bands * self.rows
        factors = generator.integers(0, 1 << 63, size, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        return factors, generator.integers(0, (1 << 64) - 1, size, dtype=np.uint64)


def _words(text: str) -> list[str]:
    text = text.lower()
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return ["0" if word[0].isdigit() else word for word in _WORDS.findall(text)]


def _mixed(values: np.ndarray) -> np.ndarray:
    """Every bit of a number depends on all bits of the other (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
