"""Names, columns and keys of the Delta tables: the one place that says what is in them.

`documents` and `refined` also carry the user's own columns, behind those named here. Knows Spark's types, reads and
writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql.types import StructType

__all__ = ["BUCKETS", "DOCUMENTS", "EDIT_TYPE", "PROGRAMS", "REFINED", "REJECTS", "RUNS", "TABLES", "TableSpec"]

BUCKETS = 1 << 16
"""`documents.bucket` is a hash of doc_id below this. Files hold ranges of it, so that a portion of a stage, which takes
a range, reads its own files only."""


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """One Delta table.

    Attributes:
        columns: Spark DDL of the core columns.
        key: columns that identify a row.
        user_columns: whether the user's own columns follow the core ones.
    """

    name: str
    columns: str
    key: tuple[str, ...]
    user_columns: bool = False

    @property
    def schema(self) -> StructType:
        """The core columns as a Spark schema; all nullable, as Delta reads them back."""
        parsed = StructType.fromDDL(self.columns)
        assert isinstance(parsed, StructType)
        return parsed


EDIT_TYPE = "array<struct<kind:string,line:int,start:long,stop:long,removed:string,inserted:string,chunk:int,call:int>>"
"""`refined.edits`: see `spark_prox.programs.Edit`."""

DOCUMENTS = TableSpec(
    name="documents",
    columns=(
        "doc_id string, doc_hash string, url string, text string, source string, crawl string, "
        "path string, position long, bucket int, ingested_by string, ingested_at timestamp"
    ),
    key=("doc_id",),
    user_columns=True,
)

PROGRAMS = TableSpec(
    name="programs",
    columns=(
        "doc_id string, doc_hash string, stage string, chunk_index int, chunk_count int, first_line int, "
        "line_count int, program string, status string, detail string, finish_reason string, margin double, "
        "line_margins array<float>, prompt_tokens long, output_tokens long, model string, model_revision string, "
        "template string, template_hash string, generation_hash string, engine string, engine_id string, "
        "run_id string, generated_at timestamp"
    ),
    key=("doc_id", "doc_hash", "stage", "chunk_index", "model_revision", "template_hash", "generation_hash"),
)

REFINED = TableSpec(
    name="refined",
    columns=(
        "doc_id string, doc_hash string, url string, text string, outcome string, reason string, "
        f"doc_reason string, doc_margin double, edits {EDIT_TYPE}, calls int, program_errors int, chunks int, "
        "failed_chunks int, refused_chunks int, "
        "lines_before long, lines_after long, words_before long, words_after long, chars_before long, "
        "chars_after long, tokens_before long, tokens_after long, source string, crawl string, "
        "policy string, policy_hash string, settings_hash string, run_id string, refined_at timestamp"
    ),
    key=("doc_id",),
    user_columns=True,
)

REJECTS = TableSpec(
    name="rejects",
    columns=(
        "reject_id string, doc_id string, url string, code string, detail string, stage string, path string, "
        "position long, source string, crawl string, attempts int, run_id string, rejected_at timestamp"
    ),
    key=("reject_id",),
)

RUNS = TableSpec(
    name="runs",
    columns=(
        "run_id string, stage string, status string, error string, started_at timestamp, finished_at timestamp, "
        "seconds double, documents long, skipped long, rejects long, programs long, prompt_tokens long, "
        "output_tokens long, flop double, settings_hash string, config string, versions map<string,string>"
    ),
    key=("run_id", "stage"),
)

TABLES: dict[str, TableSpec] = {table.name: table for table in (DOCUMENTS, PROGRAMS, REFINED, REJECTS, RUNS)}
