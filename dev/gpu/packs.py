"""Files of compressed arrays that travel to a lent machine: a JSON header, then one compressed stream an entry.

Two codecs: "lzma" for what repeats (token ids, text), "huffman" for what is nearly noise (quantised weights). Needs
numpy and the standard library alone.
"""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Stream", "program_streams", "read_packs", "read_programs", "stream", "write_pack"]

_MAGIC = b"SPPACK1\n"
Stream = tuple[dict[str, Any], bytes]


def stream(value: np.ndarray | bytes, codec: str) -> Stream:
    """One compressed entry of a pack."""
    array = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else np.ascontiguousarray(value)
    raw = array.tobytes()
    if codec == "huffman":
        worker = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
        data = worker.compress(raw) + worker.flush()
    else:
        width = array.dtype.itemsize.bit_length() - 1
        filters = [
            {
                "id": lzma.FILTER_LZMA2,
                "preset": 9 | lzma.PRESET_EXTREME,
                "dict_size": 1 << 26,
                "lc": 3 - width,
                "lp": width,
                "pb": width,
            }
        ]
        data = lzma.compress(raw, lzma.FORMAT_XZ, filters=filters)
    kind = "bytes" if isinstance(value, bytes) else array.dtype.str
    return {"dtype": kind, "shape": list(array.shape), "codec": codec, "size": len(data)}, data


def write_pack(path: str | Path, streams: Mapping[str, Stream]) -> int:
    """Write a pack; returns its size in bytes."""
    header = json.dumps({name: entry for name, (entry, _) in streams.items()}).encode()
    parts = [_MAGIC, len(header).to_bytes(4, "little"), header, *(data for _, data in streams.values())]
    return Path(path).write_bytes(b"".join(parts))


def read_packs(folder: str | Path, pattern: str) -> dict[str, Any]:
    """All entries of the packs whose names match: arrays, or bytes.

    Raises:
        FileNotFoundError: no such pack.
        ValueError: another kind of file.
    """
    found: dict[str, Any] = {}
    files = sorted(Path(folder).glob(pattern))
    if not files:
        raise FileNotFoundError(f"no {pattern} in {folder}")
    for file in files:
        data = file.read_bytes()
        if not data.startswith(_MAGIC):
            raise ValueError(f"{file.name} is no pack")
        start = len(_MAGIC) + 4
        stop = start + int.from_bytes(data[start - 4 : start], "little")
        for name, entry in json.loads(data[start:stop]).items():
            start, stop = stop, stop + entry["size"]
            unpack = zlib.decompress if entry["codec"] == "huffman" else lzma.decompress
            raw = unpack(data[start:stop])
            found[name] = (
                raw if entry["dtype"] == "bytes" else np.frombuffer(raw, entry["dtype"]).reshape(entry["shape"])
            )
    return found


def program_streams(
    every: Mapping[str, np.ndarray], texts: Mapping[str, bytes], about: Mapping[str, Any]
) -> dict[str, Stream]:
    """The entries of a programs pack. All token ids are one stream: parts repeat each other's text."""
    ids = {name: value for name, value in every.items() if name.endswith("/ids")}
    about = {**about, "ids": [[name, len(value)] for name, value in ids.items()]}
    streams = {name: stream(value, "lzma") for name, value in every.items() if name not in ids}
    streams["ids"] = stream(np.concatenate(list(ids.values())), "lzma")
    for name, data in {**texts, "about": json.dumps(about).encode()}.items():
        streams[name] = stream(data, "lzma")
    return streams


def read_programs(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content that `program_streams` packed: the arrays and texts by name, and what is said about them."""
    found = read_packs(folder, "programs*.pack")
    about = json.loads(found.pop("about"))
    ids, at = found.pop("ids"), 0
    for name, size in about["ids"]:
        found[name] = ids[at : at + size]
        at += size
    return found, about
