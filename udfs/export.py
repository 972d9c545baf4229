"""An export on the executors: documents are placed, put through rules, and written as shards.

Knows pyarrow; the work is in `spark_prox.export`. Rows pass by without a copy in memory, and a shard is written while
its documents arrive, so that a task takes memory for a row group and not for a shard.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa

from spark_prox.documents import join_lines, split_lines
from spark_prox.export.formats import ShardWriter
from spark_prox.export.functions import ExportFunctions
from spark_prox.export.placing import Placing
from spark_prox.export.shards import ExportDocument, ShardName
from spark_prox.heuristics.writers import RULE_SETS
from spark_prox.programs.also_remove import also_remove

__all__ = ["EXPORT_FUNCTIONS", "ApplyRules", "PlaceDocuments", "RemoveRepeated", "WriteShards"]

_PLACED = pa.schema([("split", pa.string()), ("shard", pa.int32()), ("place", pa.int64()), ("copy", pa.int32())])
_WRITTEN = pa.schema([("shard", pa.int32()), ("record", pa.string())])


@dataclass(frozen=True, kw_only=True)
class PlaceDocuments:
    """For `mapInArrow`; a document that is taken twice is there twice, one that is not taken is not there."""

    placing: Placing

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The columns of the input, then split, shard, place and copy."""
        for batch in batches:
            ids, urls, sources = (batch.column(name).to_pylist() for name in ("doc_id", "url", "source"))
            splits = [self.placing.split(doc_id, url) for doc_id, url in zip(ids, urls, strict=True)]
            copies = [self.placing.copies(*row) for row in zip(ids, sources, splits, strict=True)]
            for copy in range(max(copies, default=0)):
                taken = [number for number, count in enumerate(copies) if count > copy]
                places = [self.placing.place(ids[number], copy) for number in taken]
                shards = [self.placing.shard(splits[n], place) for n, place in zip(taken, places, strict=True)]
                rows = batch if len(taken) == batch.num_rows else batch.take(pa.array(taken, pa.int64()))
                added = ([splits[number] for number in taken], shards, places, [copy] * len(taken))
                arrays = [pa.array(column, field.type) for column, field in zip(added, _PLACED, strict=True)]
                yield pa.RecordBatch.from_arrays([*rows.columns, *arrays], names=[*batch.schema.names, *_PLACED.names])


@dataclass(frozen=True, kw_only=True)
class ApplyRules:
    """For `mapInArrow` over rows with text.

    Attributes:
        rules: a name of `RULE_SETS`.
    """

    rules: str

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows that the rules keep. A text on which a rule fails stays as it is."""
        for batch in batches:
            at = batch.schema.get_field_index("text")
            texts = [self._kept(text) for text in batch.column(at).to_pylist()]
            rows = batch.set_column(at, batch.schema.field(at), pa.array(texts, batch.schema.field(at).type))
            yield rows.filter(pa.array([text is not None for text in texts], pa.bool_()))

    def _kept(self, text: str) -> str | None:
        rules = RULE_SETS[self.rules]
        lines = split_lines(text)
        try:
            if rules.document_rule is not None and rules.document_rule(lines) is not None:
                return None
            kept = [line for line, keep in zip(lines, rules.line_rule(lines), strict=True) if keep]
        except Exception:  # noqa: BLE001 - hostile text must not kill the task
            return text
        return join_lines(kept) if any(map(str.strip, kept)) else None


@dataclass(frozen=True, kw_only=True)
class RemoveRepeated:
    """For `mapInArrow` over rows with text and, last, line_program: a filter's program, or null."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows without line_program, and without the lines that it removes."""
        for batch in batches:
            at = batch.schema.get_field_index("text")
            rows = zip(batch.column(at).to_pylist(), batch.column("line_program").to_pylist(), strict=True)
            texts = [text if program is None else also_remove(text, (), program)[0] for text, program in rows]
            done = batch.set_column(at, batch.schema.field(at), pa.array(texts, batch.schema.field(at).type))
            yield done.select(batch.schema.names[:-1])


@dataclass(frozen=True, kw_only=True)
class WriteShards:
    """For `mapInArrow` over documents in order of shard and place, all of a shard in one partition.

    The columns are shard, doc_id, text, url, source, crawl, tokens, copy, and then the configured ones.

    Attributes:
        shards: all of the export, by number.
    """

    writer: ShardWriter
    shards: Sequence[ShardName]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row for each shard: its number and its record as JSON."""
        for number, rows in groupby(_rows(batches), itemgetter(0)):
            documents = (ExportDocument._make((*row[1:8], row[8:])) for row in rows)
            record = json.dumps(self.writer.write(self.shards[number], documents).as_json())
            yield pa.RecordBatch.from_arrays([pa.array([number], pa.int32()), pa.array([record])], schema=_WRITTEN)


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


EXPORT_FUNCTIONS = ExportFunctions(
    place_documents=PlaceDocuments, apply_rules=ApplyRules, remove_lines=RemoveRepeated, write_shards=WriteShards
)
"""What `jobs/export.py` hands to the stage."""
