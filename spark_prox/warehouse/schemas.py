"""Names, columns and keys of the Delta tables: the one place that says what is in them.

`documents` and `refined` also carry the user's own columns, behind those named here. Knows Spark's types, reads and
writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql.types import StructType

from spark_prox.execution import RefinedRow
from spark_prox.rows import ddl_of

__all__ = [
    "ANNOTATIONS",
    "BUCKETS",
    "DOCUMENTS",
    "PROGRAMS",
    "REFINED",
    "REJECTS",
    "RUNS",
    "TABLES",
    "TEXT_PLACE",
    "VERDICTS",
    "TableSpec",
]

BUCKETS = 1 << 16
"""`documents.bucket` and `programs.bucket` are a hash of doc_id below this. Files hold ranges of it, so that a batch of
a stage, which takes a range, reads its own files only. Documents whose texts were not copied have another one, see
`spark_prox.stages.uncopied`."""


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """One Delta table.

    Attributes:
        columns: Spark DDL of the core columns.
        key: columns that identify a row.
        version: of all this; from 2 on a property of the table. `spark_prox.warehouse.migrations` brings older
            tables to it.
        statistics: columns whose smallest and largest value Delta keeps for each file, so that a query leaves files
            out. Not `text` and `program`: nobody asks for a range of them.
        constraints: what holds for every row, by name; Delta refuses a commit that breaks it.
        order: columns that `jobs/maintain.py` sorts files by, so that a query leaves many out; () keeps the order.
        one_writer: an append that looked for known keys must not pass beside another one (see `properties`).
        observed: rows are counted while they are stored, see `spark_prox.spark.counting`.
        user_columns: whether the user's own columns follow the core ones.
        of_document: SQL that holds for the rows that stand for a row of `documents` and leave with it; "" for none.
    """

    name: str
    columns: str
    key: tuple[str, ...]
    version: int = 1
    statistics: tuple[str, ...] = ()
    constraints: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    one_writer: bool = False
    observed: bool = False
    user_columns: bool = False
    of_document: str = ""

    @property
    def schema(self) -> StructType:
        """The core columns as a Spark schema; all nullable, as Delta reads them back."""
        parsed = StructType.fromDDL(self.columns)
        assert isinstance(parsed, StructType)
        return parsed

    @property
    def properties(self) -> dict[str, str]:
        """The table's properties besides version and constraints."""
        properties = {
            # Consumers follow what a run changed, not the whole table.
            "delta.enableChangeDataFeed": "true",
        }
        if self.statistics:
            properties["delta.dataSkippingStatsColumns"] = ",".join(self.statistics)
        if self.one_writer:
            # Delta's default lets two appends pass that both looked for the same id and did not find it.
            properties["delta.isolationLevel"] = "Serializable"
        return properties


TEXT_PLACE = (
    "struct<table:string,version:bigint,id_column:string,id_type:string,text_column:string,chars:bigint,bytes:bigint>"
)
"""Where the text of a document lies that was not copied (`input.copy_text`), and how long it is."""

DOCUMENTS = TableSpec(
    name="documents",
    columns=(
        "doc_id string, doc_hash string, url string, text string, source string, crawl string, "
        "path string, position long, bucket int, ingested_by string, ingested_at timestamp, html_extract string, "
        f"text_place {TEXT_PLACE}"
    ),
    key=("doc_id",),
    version=3,
    statistics=("doc_id", "doc_hash", "bucket", "source", "crawl", "ingested_by", "ingested_at"),
    constraints={
        "prox_key": "doc_id IS NOT NULL AND doc_hash IS NOT NULL",
        "prox_text": "text IS NOT NULL OR text_place IS NOT NULL",
        "prox_bucket": f"bucket >= 0 AND bucket < {BUCKETS}",
        "prox_version_2": "html_extract IS NULL OR html_extract <> ''",
        "prox_version_3": "text_place IS NULL OR text_place.version >= 0",
    },
    order=("bucket",),
    one_writer=True,
    user_columns=True,
    of_document="true",
)

PROGRAMS = TableSpec(
    name="programs",
    columns=(
        "doc_id string, doc_hash string, stage string, chunk_index int, chunk_count int, first_line int, "
        "line_count int, program string, status string, detail string, finish_reason string, margin double, "
        "line_margins array<float>, prompt_tokens long, output_tokens long, model string, model_revision string, "
        "template string, template_hash string, generation_hash string, engine string, engine_id string, "
        "run_id string, generated_at timestamp, attempts int, bucket int"
    ),
    key=("doc_id", "doc_hash", "stage", "chunk_index", "model_revision", "template_hash", "generation_hash"),
    version=2,
    statistics=(
        *("doc_id", "doc_hash", "bucket", "stage", "chunk_index", "status", "model_revision", "template_hash"),
        *("generation_hash", "run_id", "generated_at"),
    ),
    constraints={
        "prox_key": "doc_id IS NOT NULL AND doc_hash IS NOT NULL AND chunk_index IS NOT NULL "
        "AND model_revision IS NOT NULL AND template_hash IS NOT NULL AND generation_hash IS NOT NULL",
        "prox_stage": "stage IN ('doc', 'chunk')",
        "prox_status": "status IS NOT NULL",
        "prox_attempts": "attempts IS NULL OR attempts >= 1",
        "prox_version_2": f"bucket IS NULL OR (bucket >= 0 AND bucket < {BUCKETS})",
    },
    order=("stage", "bucket"),
    observed=True,
    of_document="true",
)

REFINED = TableSpec(
    name="refined",
    columns=ddl_of(RefinedRow),
    key=("doc_id",),
    statistics=("doc_id", "doc_hash", "outcome", "reason", "source", "crawl", "settings_hash", "run_id", "refined_at"),
    constraints={
        "prox_key": "doc_id IS NOT NULL AND doc_hash IS NOT NULL",
        "prox_outcome": "outcome IN ('KEPT', 'EDITED', 'DROPPED', 'REFUSED', 'FAILED')",
        "prox_dropped": "(outcome = 'DROPPED') = (text IS NULL)",
        "prox_settings": "settings_hash IS NOT NULL AND policy_hash IS NOT NULL",
    },
    one_writer=True,
    observed=True,
    user_columns=True,
    of_document="true",
)

REJECTS = TableSpec(
    name="rejects",
    columns=(
        "reject_id string, doc_id string, url string, code string, detail string, stage string, path string, "
        "position long, source string, crawl string, attempts int, run_id string, rejected_at timestamp"
    ),
    key=("reject_id",),
    statistics=("reject_id", "doc_id", "code", "stage", "path", "source", "crawl", "run_id", "rejected_at"),
    constraints={"prox_key": "reject_id IS NOT NULL", "prox_code": "code IS NOT NULL AND stage IS NOT NULL"},
    of_document="stage <> 'ingest'",  # the others stand for a record that never became a document
)

RUNS = TableSpec(
    name="runs",
    columns=(
        "run_id string, stage string, status string, error string, started_at timestamp, finished_at timestamp, "
        "seconds double, documents long, skipped long, rejects long, programs long, prompt_tokens long, "
        "output_tokens long, flop double, settings_hash string, config string, versions map<string,string>, "
        "guard map<string,double>, planned long, kept long, failed long, tokens_before long, tokens_after long, "
        "writers array<struct<stage:string,model:string,model_revision:string,template:string,template_hash:string,"
        "generation_hash:string>>, policy string, input string"
    ),
    key=("run_id", "stage", "started_at"),  # an incremental run does a stage for each micro-batch
    version=2,
    statistics=("run_id", "stage", "status", "settings_hash", "started_at", "finished_at"),
    constraints={"prox_key": "run_id IS NOT NULL AND stage IS NOT NULL AND status IS NOT NULL"},
)

ANNOTATIONS = TableSpec(
    name="annotations",
    columns=(
        "doc_id string, doc_hash string, url string, source string, stage string, chunk_index int, chunk_count int, "
        "first_line int, line_count int, text string, program string, status string, code string, detail string, "
        "education int, format int, "
        "answers array<struct<question:string,answer:string,finish_reason:string,error:string>>, prompt_tokens long, "
        "output_tokens long, model string, model_revision string, prompt string, prompt_hash string, "
        "generation_hash string, engine string, run_id string, annotated_at timestamp"
    ),
    key=("doc_id", "doc_hash", "stage", "chunk_index", "model_revision", "prompt_hash", "generation_hash"),
    statistics=("doc_id", "doc_hash", "stage", "chunk_index", "status", "model_revision", "prompt_hash", "run_id"),
    constraints={
        "prox_key": "doc_id IS NOT NULL AND doc_hash IS NOT NULL AND chunk_index IS NOT NULL",
        "prox_label": "(status = 'OK') = (program IS NOT NULL)",
    },
    of_document="true",
)

VERDICTS = TableSpec(
    name="verdicts",
    columns=(
        "doc_id string, doc_hash string, stage string, verdict string, reason string, detail string, "
        "duplicate_of string, language string, score double, keys array<binary>, settings_hash string, "
        "run_id string, decided_at timestamp, program string, pages long"
    ),
    version=2,
    # One verdict of a filter for a document: other settings replace it, as in `refined`.
    key=("doc_id", "stage"),
    statistics=(
        *("doc_id", "doc_hash", "stage", "verdict", "reason", "duplicate_of", "language", "score"),
        *("settings_hash", "run_id", "decided_at"),
    ),
    constraints={
        "prox_key": "doc_id IS NOT NULL AND doc_hash IS NOT NULL AND stage IS NOT NULL",
        "prox_verdict": "verdict IN ('keep', 'drop')",
        "prox_reason": "(verdict = 'drop') = (reason IS NOT NULL)",
        "prox_settings": "settings_hash IS NOT NULL",
        "prox_version_2": "program IS NULL OR verdict = 'keep'",
    },
    order=("stage",),
    of_document="true",
    observed=True,
)

TABLES: dict[str, TableSpec] = {
    table.name: table for table in (DOCUMENTS, PROGRAMS, REFINED, REJECTS, RUNS, ANNOTATIONS, VERDICTS)
}
