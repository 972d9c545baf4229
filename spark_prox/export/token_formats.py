"""Shards of tokens, as training frameworks read them: datatrove's and nanotron's, Megatron's, litgpt's.

Each document is its tokens and then the token that ends it. Little-endian throughout. A shard takes memory for the
lengths of its documents only. Knows no tokenizer and no Spark.
"""

from __future__ import annotations

import shutil
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any

from spark_prox.errors import ConfigError
from spark_prox.export.destination import PendingFiles
from spark_prox.export.shards import ShardName

__all__ = ["DatatroveShard", "LitgptShard", "MegatronShard", "litgpt_index", "token_dtype"]

_MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
_MEGATRON_CODES = {"uint16": 8, "int32": 4}  # of megatron.core.datasets.indexed_dataset.DType
_MEGATRON_NARROW = 65_500  # Megatron takes two bytes below this many token ids
_LITDATA_CODES = {"uint16": 20, "int32": 16}  # of litdata.constants._TORCH_DTYPES_MAPPING
_LITDATA_LIMIT = (1 << 32) - 1
_ARRAY_CODES = {"uint16": "H", "uint32": "I", "int32": "i"}
_COPY_BYTES = 1 << 20


def token_dtype(format_name: str, vocabulary: int) -> str:
    """The type of a token: two bytes where the vocabulary fits, else four, as each format's own writer chooses."""
    if format_name == "megatron":
        return "uint16" if vocabulary < _MEGATRON_NARROW else "int32"
    narrow = vocabulary <= 1 << 16
    return "uint16" if narrow else ("int32" if format_name == "litgpt" else "uint32")


class DatatroveShard:
    """`.ds` with the tokens, `.ds.index` with the ends of documents as uint64, `.ds.metadata` as datatrove writes it.

    datatrove's `DatatroveFolderDataset` and nanotron's Nanoset read it.

    Args:
        tokenizer: the name in the metadata.
    """

    def __init__(self, files: PendingFiles, name: ShardName, dtype: str, tokenizer: str) -> None:
        self._tokens = files.open(name.path(".ds"))
        self._index = files.open(name.path(".ds.index"))
        self._metadata = files.open(name.path(".ds.metadata"))
        self._code = _ARRAY_CODES[dtype]
        self._tokenizer = tokenizer.replace("|", "_").replace("\n", " ")
        self._ends = array("Q")
        self._total = 0

    def add(self, ids: Sequence[int]) -> None:
        """Add a document."""
        tokens = _little(array(self._code, ids))
        self._tokens.write(tokens)
        self._total += len(ids)
        self._ends.append(self._total)

    def finish(self) -> dict[str, int]:
        """End the files; no facts."""
        self._index.write(_little(self._ends))
        width = array(self._code).itemsize
        lines = (f"{self._tokenizer}|{width}", str(self._total), _short(self._total))
        self._metadata.write("\n".join(lines).encode("utf-8", "replace"))
        return {}


class MegatronShard:
    """`.bin` and `.idx` as `megatron.core.datasets.indexed_dataset` reads them: one sequence for each document.

    `--data-path` takes the path without its suffix.
    """

    def __init__(self, files: PendingFiles, name: ShardName, dtype: str, tokenizer: str) -> None:
        self._tokens = files.open(name.path(".bin"))
        self._index = files.open(name.path(".idx"))
        self._dtype = dtype
        self._lengths = array("i")

    def add(self, ids: Sequence[int]) -> None:
        """Add a document."""
        self._tokens.write(_little(array(_ARRAY_CODES[self._dtype], ids)))
        self._lengths.append(len(ids))

    def finish(self) -> dict[str, int]:
        """End the files; no facts."""
        width, count = array(_ARRAY_CODES[self._dtype]).itemsize, len(self._lengths)
        head = struct.pack("<QBQQ", 1, _MEGATRON_CODES[self._dtype], count, count + 1)
        starts, start = array("q"), 0
        for length in self._lengths:
            starts.append(start)
            start += length * width
        self._index.write(_MEGATRON_MAGIC + head)
        for column in (self._lengths, starts, array("q", range(count + 1))):
            self._index.write(_little(column))
        return {}


class LitgptShard:
    """A chunk of litdata's for its `TokensLoader`, which litgpt's data module `LitData` reads.

    litgpt's older PackedDataset is gone from litgpt. `litgpt_index` makes the index of a split.
    """

    def __init__(self, files: PendingFiles, name: ShardName, dtype: str, tokenizer: str) -> None:
        self._file = files.open(name.path(".bin"))
        self._dtype = dtype
        self._lengths = array("I")
        self._spool = files.spool()  # the header comes first, and needs the lengths

    def add(self, ids: Sequence[int]) -> None:
        """Add a document."""
        self._spool.write(_little(array(_ARRAY_CODES[self._dtype], ids)))
        self._lengths.append(len(ids))

    def finish(self) -> dict[str, int]:
        """End the file; the facts are what `litgpt_index` needs.

        Raises:
            ConfigError: EXPORT_SHARD_TOO_LARGE.
        """
        width, count = array(_ARRAY_CODES[self._dtype]).itemsize, len(self._lengths)
        head = 4 * (count + 2)
        total = sum(self._lengths)
        if head + width * total > _LITDATA_LIMIT:
            raise ConfigError(
                "EXPORT_SHARD_TOO_LARGE",
                "A shard for litgpt is over 4 GiB, which its offsets cannot say.",
                "Export more shards into another folder: --set export.shard_bytes=... or --shards N.",
            )
        offsets = array("I", [head])
        for length in self._lengths:
            offsets.append(offsets[-1] + length * width)
        self._file.write(struct.pack("<I", count) + _little(offsets))
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, self._file, _COPY_BYTES)
        return {"chunk_bytes": head + width * total, "chunk_size": count, "dim": total}


def litgpt_index(dtype: str, chunks: Sequence[tuple[str, dict[str, int]]]) -> dict[str, object]:
    """The `index.json` of a split: file names of chunks with their facts."""
    return {
        "chunks": [{**facts, "filename": name} for name, facts in chunks],
        "config": {
            "chunk_bytes": max((facts["chunk_bytes"] for _, facts in chunks), default=0),
            "chunk_size": None,
            "compression": None,
            "data_format": [f"no_header_tensor:{_LITDATA_CODES[dtype]}"],
            "data_spec": '[1, {"type": null, "context": null, "children_spec": []}]',
            "encryption": None,
            "item_loader": "TokensLoader",
        },
    }


def _little(values: Any) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return bytes(values.tobytes())


def _short(number: int) -> str:
    """A number as datatrove's metadata shows it to people: 1.2 MT."""
    size, units = float(number), ["T", "KT", "MT", "GT", "TT"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g} {units[0]}"
