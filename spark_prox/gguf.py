"""Read a model file in the GGUF layout: its metadata, and tensors as they are stored or as float32.

After the description of GGUF in ggml's documentation. Knows the three kinds of tensor that a small Q4_1 file has: F32,
Q4_1 and Q8_0. Imports numpy inside the functions; knows no model and no tokenizer.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_prox.errors import ModelError

__all__ = ["GgufFile", "StoredTensor"]

F32, Q4_1, Q8_0 = 0, 3, 8
_BLOCK = 32  # weights that share a scale
_BLOCK_BYTES = {Q4_1: 20, Q8_0: 34}
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """The place of a tensor.

    Attributes:
        shape: rows first, as torch has it.
        kind: F32, Q4_1 or Q8_0.
        start: byte of the file.
    """

    shape: tuple[int, ...]
    kind: int
    start: int


class GgufFile:
    """An open file.

    Attributes:
        metadata: the file's own settings, by name.
        tensors: by name.

    Raises:
        ModelError: MODEL_NO_GGUF.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._at = 4
        try:
            with self._path.open("rb") as stream:
                self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            if self._data[:4] != b"GGUF":
                raise ValueError
            self._take("I")  # version
            tensors, settings = self._take("Q"), self._take("Q")
            self.metadata: dict[str, Any] = {self._string(): self._value(self._take("I")) for _ in range(settings)}
            found = [self._tensor() for _ in range(tensors)]
        except (ValueError, KeyError, OverflowError, MemoryError, RecursionError, struct.error) as error:
            raise ModelError("MODEL_NO_GGUF", f"{self._path.name} is no GGUF file that can be read.") from error
        step = int(self.metadata.get("general.alignment", 32))
        base = -(-self._at // step) * step
        self.tensors = {
            name: StoredTensor(shape=shape, kind=kind, start=base + offset) for name, shape, kind, offset in found
        }

    def blocks(self, name: str) -> Any:
        """A quantised tensor as stored: (blocks, bytes of a block), uint8; blocks go along the rows."""
        import numpy as np

        tensor = self.tensors[name]
        size = _BLOCK_BYTES[tensor.kind]
        count = int(np.prod(tensor.shape)) // _BLOCK
        return np.frombuffer(self._data, np.uint8, count * size, tensor.start).reshape(count, size)

    def weights(self, name: str) -> Any:
        """A tensor as float32.

        Raises:
            ModelError: MODEL_NO_GGUF for another kind of tensor.
        """
        import numpy as np

        tensor = self.tensors[name]
        if tensor.kind == F32:
            count = int(np.prod(tensor.shape))
            return np.frombuffer(self._data, np.float32, count, tensor.start).reshape(tensor.shape).copy()
        if tensor.kind not in _BLOCK_BYTES:
            raise ModelError("MODEL_NO_GGUF", f"tensor {name} is of kind {tensor.kind}.", "Known: F32, Q4_1, Q8_0.")
        values = q4_1(self.blocks(name)) if tensor.kind == Q4_1 else q8_0(self.blocks(name))
        return values.reshape(tensor.shape)

    def _take(self, kind: str) -> Any:
        (value,) = struct.unpack_from(f"<{kind}", self._data, self._at)
        self._at += struct.calcsize(f"<{kind}")
        return value

    def _string(self) -> str:
        size = self._take("Q")
        text = self._data[self._at : self._at + size].decode("utf-8")
        self._at += size
        return text

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            inner, count = self._take("I"), self._take("Q")
            return [self._value(inner) for _ in range(count)]
        return self._take(_SCALARS[kind])

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        shape = tuple(reversed([self._take("Q") for _ in range(self._take("I"))]))
        return name, shape, self._take("I"), self._take("Q")


def q4_1(blocks: Any) -> Any:
    """Weights of Q4_1 blocks (a half scale, a half minimum, 16 bytes of nibbles, low ones first); (blocks, 32)."""
    import numpy as np

    scales = np.ascontiguousarray(blocks[:, :4]).view(np.float16).astype(np.float32)
    nibbles = blocks[:, 4:]
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32)
    return values * scales[:, :1] + scales[:, 1:]


def q8_0(blocks: Any) -> Any:
    """Weights of Q8_0 blocks (a half scale, 32 signed bytes); (blocks, 32)."""
    import numpy as np

    scales = np.ascontiguousarray(blocks[:, :2]).view(np.float16).astype(np.float32)
    return np.ascontiguousarray(blocks[:, 2:]).view(np.int8).astype(np.float32) * scales
