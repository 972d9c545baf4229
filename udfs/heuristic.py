"""The generate stage with a heuristic in place of a language model: documents in, rows of `programs` out.

Rules and the line classifier run in the Python worker itself; no engine, no torch. Knows pandas; the work is in
`spark_prox.heuristics.writers`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import ClassVar

import pandas as pd

from spark_prox.documents import Document, Level
from spark_prox.heuristics.writers import heuristic_for, write_programs
from udfs.generate import PROGRAM_COLUMNS

__all__ = ["WritePrograms"]


@dataclass(frozen=True, kw_only=True)
class WritePrograms:
    """For `mapInPandas` over (doc_id, doc_hash, text); rows as in `udfs.generate.PROGRAM_COLUMNS`.

    Attributes:
        heuristic: what `model.path` names, see `heuristic_for`.
        dialect: the spelling of the programs of the chunk level.
    """

    columns: ClassVar[str] = PROGRAM_COLUMNS
    stage: Level
    heuristic: str
    dialect: str = "prox"

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """One frame for each batch."""
        for batch in batches:
            if not len(batch):
                continue
            documents = (
                Document(doc_id=doc_id, doc_hash=doc_hash, text=text)
                for doc_id, doc_hash, text in zip(batch["doc_id"], batch["doc_hash"], batch["text"], strict=True)
            )
            written = write_programs(documents, heuristic_for(self.heuristic), stage=self.stage, dialect=self.dialect)
            rows = [asdict(row) for row in written]
            frame = pd.DataFrame(rows)
            frame["status"] = [row["status"].value for row in rows]
            frame["margin"] = pd.Series([row["margin"] for row in rows], dtype="Float64")  # null, not NaN
            frame["engine_id"] = f"{os.uname().nodename}/{os.getpid()}/0"
            yield frame
