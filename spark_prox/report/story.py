"""A document's whole story: its text, every program that was stored for it, its row of `refined` or of `rejects`.

Loads a bounded number of documents to the driver; the caller bounds their size. `spark_prox.report.decisions` executes
a story again under any policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_prox.documents import Level
from spark_prox.execution import RefinedRow, StoredChunk
from spark_prox.programs import Edit
from spark_prox.programs.also_remove import also_removed
from spark_prox.stages.quarantine import QUARANTINED
from spark_prox.warehouse.schemas import DOCUMENTS
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import with_texts

__all__ = ["KEY_COLUMNS", "Key", "StoredProgram", "StoredReject", "Story", "load_stories"]

KEY_COLUMNS = ("stage", "model_revision", "template_hash", "generation_hash")
"""What decides which stored programs count for a row of `refined`; see `spark_prox.keys.ProgramKey.deciding`."""

Key = tuple[str, str, str, str]
"""Values of `KEY_COLUMNS`."""

_FEW = 200
_OWN_CHARS = 2_000


@dataclass(frozen=True, kw_only=True)
class StoredProgram:
    """One row of `programs`, as stored; `key` are its `KEY_COLUMNS`."""

    key: Key
    doc_hash: str
    chunk_index: int
    chunk_count: int
    first_line: int
    line_count: int
    program: str | None = field(repr=False)
    status: str
    detail: str | None
    finish_reason: str | None
    margin: float | None
    line_margins: tuple[float, ...] | None = field(repr=False)
    prompt_tokens: int
    output_tokens: int
    model: str
    template: str
    engine: str | None
    run_id: str
    generated_at: datetime | None
    attempts: int

    @property
    def level(self) -> Level:
        """Its level."""
        return "doc" if self.key[0] == "doc" else "chunk"


@dataclass(frozen=True, kw_only=True)
class StoredReject:
    """Why a document is in quarantine."""

    code: str
    detail: str | None
    stage: str
    attempts: int
    run_id: str


@dataclass(frozen=True, kw_only=True)
class Story:
    """One document.

    Attributes:
        own: the user's own columns as text, cut after 2,000 characters; null ones are left out.
        programs: of every model, template and version of the text: by level, key and chunk.
        refined: its row of `refined`; None in quarantine, and before it was executed.
    """

    doc_id: str
    doc_hash: str
    url: str | None
    source: str | None
    crawl: str | None
    text: str = field(repr=False)
    own: Mapping[str, str] = field(repr=False, default_factory=dict)
    programs: tuple[StoredProgram, ...] = ()
    refined: RefinedRow | None = field(repr=False, default=None)
    reject: StoredReject | None = None

    @property
    def line_program(self) -> str | None:
        """A filter's program for its lines, as far as `refined` has it on record; see `also_removed`."""
        return None if self.refined is None else also_removed(self.text, self.refined.edits)

    def under(self, key: Key | None) -> tuple[StoredProgram, ...]:
        """The programs of one key for the text as it is, by chunk; () for None."""
        return tuple(row for row in self.programs if row.key == key and row.doc_hash == self.doc_hash)

    def chunks(self, key: Key | None) -> list[StoredChunk] | None:
        """The chunk programs as execution takes them; [] for None (the level is off), None where there are none."""
        if key is None:
            return []
        rows = {row.chunk_index: row for row in self.under(key)}
        return [
            StoredChunk(
                chunk_index=row.chunk_index,
                chunk_count=row.chunk_count,
                first_line=row.first_line,
                line_count=row.line_count,
                program=row.program,
                status=row.status,
                line_margins=row.line_margins,
            )
            for _, row in sorted(rows.items())
        ] or None


def load_stories(spark: SparkSession, warehouse: Warehouse, doc_ids: Sequence[str]) -> list[Story]:
    """The stories of these documents, in their order; ids that `documents` does not have are left out, and those
    whose text is gone.

    Raises:
        TableError: TABLE_MISSING: there are no documents yet.
    """
    if not doc_ids:
        return []
    rows = with_texts(warehouse, _of(spark, warehouse.read("documents"), doc_ids)).where("text IS NOT NULL").collect()
    documents = {row["doc_id"]: row for row in rows}
    programs: dict[str, list[StoredProgram]] = {}
    refined: dict[str, RefinedRow] = {}
    rejects: dict[str, StoredReject] = {}
    if warehouse.exists("programs"):
        stored = _of(spark, warehouse.read("programs"), doc_ids).orderBy(F.desc("stage"), *KEY_COLUMNS, "chunk_index")
        for row in stored.collect():
            programs.setdefault(row["doc_id"], []).append(_program(row))
    if warehouse.exists("refined"):
        for row in _of(spark, warehouse.read("refined"), doc_ids).select(*RefinedRow._fields).collect():
            refined[row["doc_id"]] = _refined(row)
    if warehouse.exists("rejects"):
        held = _of(spark, warehouse.read("rejects").where(QUARANTINED), doc_ids).collect()
        rejects = {row["doc_id"]: _reject(row) for row in held}
    return [
        Story(
            doc_id=doc_id,
            doc_hash=row["doc_hash"],
            url=row["url"],
            source=row["source"],
            crawl=row["crawl"],
            text=row["text"],
            own=_own(row),
            programs=tuple(programs.get(doc_id, ())),
            refined=refined.get(doc_id),
            reject=rejects.get(doc_id),
        )
        for doc_id in dict.fromkeys(doc_ids)
        for row in (documents.get(doc_id),)
        if row is not None
    ]


def _of(spark: SparkSession, rows: DataFrame, doc_ids: Sequence[str]) -> DataFrame:
    """Rows of these documents; a short list leaves out files by their statistics."""
    if len(doc_ids) <= _FEW:
        return rows.where(F.col("doc_id").isin(list(doc_ids)))
    wanted = spark.createDataFrame([(doc_id,) for doc_id in dict.fromkeys(doc_ids)], "doc_id string")
    return rows.join(F.broadcast(wanted), "doc_id", "left_semi")


def _program(row: Row) -> StoredProgram:
    values = row.asDict()
    margins = values["line_margins"]
    stage, revision, template, generation = (str(values[name]) for name in KEY_COLUMNS)
    return StoredProgram(
        key=(stage, revision, template, generation),
        doc_hash=values["doc_hash"],
        chunk_index=values["chunk_index"],
        chunk_count=values["chunk_count"],
        first_line=values["first_line"] or 0,
        line_count=values["line_count"] or 0,
        program=values["program"],
        status=values["status"],
        detail=values["detail"],
        finish_reason=values["finish_reason"],
        margin=values["margin"],
        line_margins=None if margins is None else tuple(margins),
        prompt_tokens=values["prompt_tokens"] or 0,
        output_tokens=values["output_tokens"] or 0,
        model=values["model"] or "",
        template=values["template"] or "",
        engine=values["engine"],
        run_id=values["run_id"] or "",
        generated_at=values["generated_at"],
        attempts=values["attempts"] or 1,
    )


def _refined(row: Row) -> RefinedRow:
    made = RefinedRow(*row)
    return made._replace(edits=tuple(Edit(*edit) for edit in made.edits or ()))


def _reject(row: Row) -> StoredReject:
    return StoredReject(
        code=row["code"],
        detail=row["detail"],
        stage=row["stage"],
        attempts=row["attempts"] or 0,
        run_id=row["run_id"] or "",
    )


def _own(row: Row) -> dict[str, str]:
    core = {*DOCUMENTS.schema.fieldNames()}
    values = zip(row.__fields__, row, strict=True)
    return {name: str(value)[:_OWN_CHARS] for name, value in values if name not in core and value is not None}
