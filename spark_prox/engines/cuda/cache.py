"""The memory for keys and values of sequences that are being decoded: rows, of which each sequence holds a stretch.

A stretch is contiguous, so one number says where a sequence lies. The first rows belong to nobody: lanes without a
sequence and tokens that nobody will look back at write there.
"""

from __future__ import annotations

from typing import Any

__all__ = ["KeyValueCache"]


class KeyValueCache:
    """`tensor` has the shape (2, layers, rows, KV heads, width)."""

    def __init__(self, *, layers: int, rows: int, scratch: int, kv_heads: int, width: int, dtype: Any, device: str):
        """
        Args:
            scratch: rows at the beginning that are never given away.
        """
        import torch

        self.tensor = torch.zeros(2, layers, rows, kv_heads, width, dtype=dtype, device=device)
        self.rows = rows
        self._free: list[tuple[int, int]] = [(scratch, rows)]  # [start, stop), ascending

    def take(self, count: int) -> int | None:
        """The first row of a free stretch; None where no stretch is long enough."""
        for index, (start, stop) in enumerate(self._free):
            if stop - start >= count:
                if stop - start == count:
                    del self._free[index]
                else:
                    self._free[index] = (start + count, stop)
                return start
        return None

    def give(self, start: int, count: int) -> None:
        """Return a stretch."""
        free = sorted([*self._free, (start, start + count)])
        merged = free[:1]
        for begin, end in free[1:]:
            if begin == merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
            else:
                merged.append((begin, end))
        self._free = merged
