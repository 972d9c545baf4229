"""Keys: hashes of what a program depends on. Later runs find by them what has to be done again.

Work is keyed by (document hash, model revision, template hash, generation parameters). The engine and its batching are
not part of it: they change speed, not meaning. Knows no Spark; `spark_prox.writers` makes the keys.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from spark_prox.documents import Level

__all__ = ["ProgramKey", "digest"]


@dataclass(frozen=True, kw_only=True)
class ProgramKey:
    """The settings that, beside the document, decide a level's programs: columns of `programs`, by their names."""

    stage: Level
    model: str
    model_revision: str
    template: str
    template_hash: str
    generation_hash: str

    def deciding(self) -> dict[str, str]:
        """The columns that decide, without the names that only describe."""
        return {
            "stage": self.stage,
            "model_revision": self.model_revision,
            "template_hash": self.template_hash,
            "generation_hash": self.generation_hash,
        }


def digest(value: object) -> str:
    """SHA-256 of canonical JSON, first 16 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
