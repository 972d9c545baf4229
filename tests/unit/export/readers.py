"""Readers of exported shards, written from the formats' descriptions and not from our writers."""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path

import numpy as np

__all__ = ["read_datatrove", "read_litgpt", "read_megatron"]


def read_datatrove(file: Path, width: int) -> list[list[int]]:
    """Documents of a `.ds`, cut at the ends in its index."""
    tokens = np.fromfile(file, {2: "<u2", 4: "<u4"}[width]).tolist()
    ends = np.fromfile(Path(f"{file}.index"), "<u8").tolist()
    assert not ends or ends[-1] == len(tokens)
    return [tokens[start:stop] for start, stop in zip([0, *ends], ends, strict=False)]


def read_megatron(prefix: Path) -> list[list[int]]:
    """Documents of `.bin` and `.idx`."""
    index = Path(f"{prefix}.idx").read_bytes()
    magic, version, code, sequences, documents = struct.unpack_from("<9sQBQQ", index)
    assert (magic, version, documents) == (b"MMIDIDX\x00\x00", 1, sequences + 1)
    kind = {4: "<i4", 8: "<u2"}[code]
    at = 34
    lengths = np.frombuffer(index, "<i4", sequences, at)
    pointers = np.frombuffer(index, "<i8", sequences, at + 4 * sequences)
    bounds = np.frombuffer(index, "<i8", documents, at + 12 * sequences)
    assert len(index) == at + 12 * sequences + 8 * documents
    assert bounds.tolist() == list(range(documents))
    data = Path(f"{prefix}.bin").read_bytes()
    return [
        np.frombuffer(data, kind, length, pointer).tolist() for length, pointer in zip(lengths, pointers, strict=True)
    ]


def read_litgpt(folder: Path) -> list[list[int]]:
    """Items of all chunks of a litdata folder."""
    index = json.loads((folder / "index.json").read_text())
    assert index["config"]["item_loader"] == "TokensLoader"
    kind = {"no_header_tensor:20": "<u2", "no_header_tensor:16": "<i4"}[index["config"]["data_format"][0]]
    items = []
    for chunk in index["chunks"]:
        data = (folder / chunk["filename"]).read_bytes()
        (count,) = struct.unpack_from("<I", data)
        offsets = np.frombuffer(data, "<u4", count + 1, 4).tolist()
        assert (len(data), count, offsets[0]) == (chunk["chunk_bytes"], chunk["chunk_size"], 4 * (count + 2))
        assert offsets[-1] == len(data)
        found = [np.frombuffer(data[start:stop], kind).tolist() for start, stop in itertools.pairwise(offsets)]
        assert sum(map(len, found)) == chunk["dim"]
        items += found
    return items
