"""Shards of text: Parquet, and JSON Lines in Zstandard.

What is written depends on the documents and their order alone, not on the batches in which they arrive, so that a shard
is the same byte for byte whenever it is written. Knows no Spark.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from spark_prox.export.destination import PendingFiles
from spark_prox.export.shards import ExportDocument, ShardName

__all__ = ["OWN_NAMES", "JsonLinesShard", "ParquetShard"]

_COLUMNS = ("id", "text", "url", "source", "crawl", "tokens")
OWN_NAMES = (*_COLUMNS, "copy")
"""What a row has, before the configured columns; `copy` only where a mixture takes documents twice."""
_GROUP_BYTES = 32 << 20
_GROUP_ROWS = 20_000
_LEVEL = 6
_CORE_TYPES = {"tokens": "int64", "copy": "int32"}


class ParquetShard:
    """One Parquet file in Zstandard; row groups of at most 32 MB of text.

    Args:
        extra: the configured columns and their Arrow types.
        copies: whether the column `copy` is wanted.
    """

    def __init__(self, files: PendingFiles, name: ShardName, extra: dict[str, Any], *, copies: bool) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = (*_COLUMNS, *(("copy",) if copies else ()))
        core = [(column, pa.type_for_alias(_CORE_TYPES.get(column, "string"))) for column in names]
        self._schema = pa.schema([*core, *extra.items()])
        self._copies = copies
        self._rows: list[tuple[object, ...]] = []
        self._bytes = 0
        self._writer = pq.ParquetWriter(files.open(name.path(".parquet")), self._schema, compression="zstd")

    def add(self, document: ExportDocument, tokens: int | None) -> None:
        """Add a document."""
        self._rows.append(_values(document, tokens, self._copies))
        self._bytes += len(document.text)
        if self._bytes >= _GROUP_BYTES or len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def finish(self) -> dict[str, int]:
        """End the file; no facts."""
        self._flush()
        self._writer.close()
        return {}

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=len(self._rows))
            self._rows, self._bytes = [], 0


class JsonLinesShard:
    """One file `.jsonl.zst`; one object a line, keys as Parquet's columns. Arguments as there."""

    def __init__(self, files: PendingFiles, name: ShardName, extra: dict[str, Any], *, copies: bool) -> None:
        self._keys = (*_COLUMNS, *(("copy",) if copies else ()), *extra)
        self._copies = copies
        self._file = files.open(name.path(".jsonl.zst"))
        self._packer = _zstd().ZstdCompressor(level=_LEVEL)

    def add(self, document: ExportDocument, tokens: int | None) -> None:
        """Add a document."""
        row = {
            key: _finite(value) for key, value in zip(self._keys, _values(document, tokens, self._copies), strict=True)
        }
        line = json.dumps(row, ensure_ascii=False, default=_plain) + "\n"
        if packed := self._packer.compress(line.encode("utf-8", "replace")):
            self._file.write(packed)

    def finish(self) -> dict[str, int]:
        """End the file; no facts."""
        self._file.write(self._packer.flush())
        return {}


def _values(document: ExportDocument, tokens: int | None, copies: bool) -> tuple[object, ...]:
    core = (document.doc_id, document.text, document.url, document.source, document.crawl, tokens)
    return (*core, *((document.copy,) if copies else ()), *document.extra)


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _plain(value: object) -> object:
    """What JSON has no type for: times and decimals as text, bytes in hex."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd
    from backports import zstd as older

    return older
