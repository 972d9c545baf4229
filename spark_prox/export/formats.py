"""The formats by name, and how a shard of one is written: documents in, files and a record out.

Knows no Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from spark_prox.export.destination import Destination
from spark_prox.export.shards import ExportDocument, ShardName, ShardRecord, ShardTally, record_path
from spark_prox.export.text_formats import JsonLinesShard, ParquetShard
from spark_prox.export.token_formats import DatatroveShard, LitgptShard, MegatronShard, token_dtype
from spark_prox.export.tokenizing import ExportTokenizer, tokenized

__all__ = ["FORMATS_OF_EXPORT", "TOKEN_FORMATS", "ShardWriter"]

TEXT_FORMATS: dict[str, type[ParquetShard] | type[JsonLinesShard]] = {"parquet": ParquetShard, "jsonl": JsonLinesShard}
TOKEN_FORMATS: dict[str, type[DatatroveShard] | type[MegatronShard] | type[LitgptShard]] = {
    "datatrove": DatatroveShard,
    "megatron": MegatronShard,
    "litgpt": LitgptShard,
}
FORMATS_OF_EXPORT = (*TEXT_FORMATS, *TOKEN_FORMATS)
"""A new format is a class with `add` and `finish`, a line above, and its name in `ExportConfig.format`."""


@dataclass(frozen=True, kw_only=True)
class ShardWriter:
    """Writes shards of one export.

    Attributes:
        format: a name of `FORMATS_OF_EXPORT`.
        tokenizer: None where nothing is tokenised.
        extra: Arrow types of the configured columns by name.
        copies: whether a document may be in the export twice.
    """

    destination: Destination
    format: str
    tokenizer: ExportTokenizer | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    copies: bool = False

    def write(self, name: ShardName, documents: Iterable[ExportDocument]) -> ShardRecord:
        """Write one shard, and last of all its record: a shard with a record is whole.

        Raises:
            TableError: DISK_FULL, EXPORT_UNWRITABLE.
        """
        tally = ShardTally()
        with self.destination.pending() as files:
            if self.format in TOKEN_FORMATS:
                assert self.tokenizer is not None
                dtype = token_dtype(self.format, self.tokenizer.vocabulary)
                shard = TOKEN_FORMATS[self.format](files, name, dtype, self.tokenizer.path)
                eos = self.tokenizer.eos
                assert eos is not None
                for document, ids in tokenized(documents, self.tokenizer):
                    shard.add([*ids, eos])
                    tally.add(document, len(ids) + 1)
                facts = shard.finish()
            else:
                text = TEXT_FORMATS[self.format](files, name, self.extra, copies=self.copies)
                for document, tokens in self._counted(documents):
                    text.add(document, tokens)
                    tally.add(document, tokens)
                facts = text.finish()
        record = ShardRecord(
            number=name.number,
            split=name.split,
            files=files.written,
            documents=dict(tally.documents),
            tokens=dict(tally.tokens),
            text_bytes=tally.text_bytes,
            uncounted=tally.uncounted,
            facts=facts,
        )
        self.destination.write_json(record_path(name.number), record.as_json())
        return record

    def _counted(self, documents: Iterable[ExportDocument]) -> Iterator[tuple[ExportDocument, int | None]]:
        if self.tokenizer is None:
            return ((document, document.tokens) for document in documents)
        return ((document, len(ids)) for document, ids in tokenized(documents, self.tokenizer))
