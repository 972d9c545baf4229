"""One document's whole history, read from the tables: its versions, its programs, what was decided, and from what.

`spark_prox.report.history_report` shows it. Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_prox.errors import ConfigError, InputError
from spark_prox.execution import StoredChunk
from spark_prox.programs import Edit, Policy
from spark_prox.programs.also_remove import also_removed
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import text_gone, with_texts

__all__ = ["DocumentHistory", "RowChange", "RunRecord", "histories", "ids_of", "matching_ids"]

_FOLLOWED = {
    "documents": ("doc_hash", "ingested_by"),
    "refined": ("doc_hash", "outcome", "reason", "policy", "run_id"),
    "rejects": ("code", "stage", "run_id"),
}


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """One change of a row of this document, by the table's own change feed."""

    when: datetime
    table: str
    version: int
    kind: str
    values: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A row of `runs`, as far as a document's history needs it.

    Attributes:
        writers: who wrote the programs that were applied, by level; empty where an older version did not say.
        policy: that was applied; None where an older version did not say.
        dialect: of the programs.
        by_settings: the run's own row is not there; this is another run of the same settings.
    """

    run_id: str
    stage: str
    started: datetime | None
    versions: Mapping[str, str]
    writers: Mapping[str, Mapping[str, str]]
    policy: Policy | None
    dialect: str
    input: str | None
    by_settings: bool = False


@dataclass(frozen=True, kw_only=True)
class DocumentHistory:
    """All that the tables say of a document.

    Attributes:
        document, refined: its rows; None where there is none.
        rejects: rows that name it.
        programs: all that are stored, of every version of its text.
        run: that made its row of `refined` or its reject.
        ingest: the run that read it.
        changes: oldest first.
    """

    doc_id: str
    document: Row | None = field(repr=False)
    refined: Row | None = field(repr=False)
    rejects: Sequence[Row] = ()
    programs: Sequence[Row] = field(default=(), repr=False)
    run: RunRecord | None = None
    ingest: RunRecord | None = None
    changes: Sequence[RowChange] = ()

    @property
    def text(self) -> str:
        """The original; "" of what never became a document."""
        return "" if self.document is None else self.document["text"]

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits, as cut out and put in."""
        rows = self.refined["edits"] if self.refined is not None else ()
        return tuple(Edit(**row.asDict()) for row in rows or ())

    @property
    def line_program(self) -> str | None:
        """A filter's program for its lines, as far as `refined` has it on record; see `also_removed`."""
        return also_removed(self.text, self.edits)

    def used(self, level: str) -> list[Row]:
        """The programs of a level that decided the document's row, in order of their chunks."""
        writer = self.run.writers.get(level) if self.run is not None else None
        names = ("model_revision", "template_hash", "generation_hash")
        found = [
            row
            for row in self.programs
            if self.document is not None
            and (row["stage"], row["doc_hash"]) == (level, self.document["doc_hash"])
            and (writer is None or all(row[name] == writer[name] for name in names))
        ]
        if found and writer is None:  # of several, those that were written last
            last = max(found, key=lambda row: row["generated_at"])
            found = [row for row in found if all(row[name] == last[name] for name in names)]
        return sorted(found, key=lambda row: row["chunk_index"])

    def chunks(self) -> list[StoredChunk] | None:
        """The chunk level's programs as execution takes them; None where there are none and the level is on."""
        found = [StoredChunk(**{name: row[name] for name in StoredChunk._fields}) for row in self.used("chunk")]
        is_off = self.run is not None and bool(self.run.writers) and "chunk" not in self.run.writers
        return found or ([] if is_off else None)


def matching_ids(warehouse: Warehouse, predicate: str, *, limit: int, seed: int) -> list[str]:
    """The ids of a random sample of the rows of `refined` for which a condition holds; the same for the same seed.

    Args:
        predicate: SQL, from the operator.

    Raises:
        InputError: SAMPLE_BAD_SQL; never with a value out of the table.
        ConfigError: USAGE for a limit below 1.
    """
    if limit < 1:
        raise ConfigError("USAGE", f"--limit is {limit}.", "Give a number of documents, at least 1.")
    refined = warehouse.read("refined")
    try:
        rows = refined.where(predicate).orderBy(F.xxhash64("doc_id", F.lit(seed)), "doc_id").limit(limit)
        return [row["doc_id"] for row in rows.select("doc_id").collect()]
    except Exception as error:  # noqa: BLE001 - errors of analysis and of execution, from Python and Java
        condition = getattr(error, "getCondition", lambda: None)() or type(error).__name__
        names = ", ".join(name for name in refined.columns if name not in ("text", "edits"))
        raise InputError(
            "SAMPLE_BAD_SQL",
            f"--sample {predicate[:200]!r} is no condition over the table refined ({condition}).",
            f"Example: --sample \"outcome = 'EDITED' AND lines_after < lines_before / 2\". Columns: {names[:1000]}.",
        ) from None


def ids_of(warehouse: Warehouse, *, url: str) -> list[str]:
    """The ids of the documents with a URL.

    Raises:
        InputError: DOCUMENT_NOT_FOUND.
    """
    rows = warehouse.read("documents").where(F.col("url") == url).select("doc_id").orderBy("doc_id").limit(100)
    found = [row["doc_id"] for row in rows.collect()]
    if not found:
        raise InputError("DOCUMENT_NOT_FOUND", f"No document has the URL {url[:300]!r}.", "Compare documents.url.")
    return found


def histories(
    spark: SparkSession, warehouse: Warehouse, ids: Sequence[str], *, with_changes: bool
) -> list[DocumentHistory]:
    """The histories of documents, in the order of their ids.

    Args:
        with_changes: also read the tables' change feeds, which takes longer the older they are.

    Raises:
        InputError: DOCUMENT_NOT_FOUND.
        TableError: TEXT_GONE, TEXT_SOURCE_MISSING.
    """
    rows = {table: _rows(warehouse, table, ids) for table in ("refined", "rejects", "programs")}
    rows["documents"] = _documents(warehouse, ids)
    runs = _runs(warehouse, [row for table in ("documents", "refined", "rejects") for row in rows[table]])
    changes = (
        [change for table in _FOLLOWED for change in _changes(spark, warehouse, table, ids)] if with_changes else []
    )
    found = []
    for doc_id in dict.fromkeys(ids):
        mine = {table: [row for row in rows[table] if row["doc_id"] == doc_id] for table in rows}
        document, refined = (next(iter(mine[table]), None) for table in ("documents", "refined"))
        if document is None and not mine["rejects"]:
            raise InputError(
                "DOCUMENT_NOT_FOUND", f"No document has the id {doc_id[:300]!r}.", "Compare documents.doc_id."
            )
        decided = refined or next((row for row in mine["rejects"] if row["stage"] != "ingest"), None)
        found.append(
            DocumentHistory(
                doc_id=doc_id,
                document=document,
                refined=refined,
                rejects=mine["rejects"],
                programs=mine["programs"],
                run=None if decided is None else _run_of(runs, decided["run_id"], refined),
                ingest=None if document is None else _record(runs, document["ingested_by"], "ingest"),
                changes=sorted(
                    (change for change in changes if change.values["doc_id"] == doc_id),
                    key=lambda change: (change.when, change.table, change.version),
                ),
            )
        )
    return found


def _rows(warehouse: Warehouse, table: str, ids: Sequence[str]) -> list[Row]:
    if not warehouse.exists(table):
        return []
    return warehouse.read(table).where(F.col("doc_id").isin(*ids)).collect()


def _documents(warehouse: Warehouse, ids: Sequence[str]) -> list[Row]:
    if not warehouse.exists("documents"):
        return []
    rows = with_texts(warehouse, warehouse.read("documents").where(F.col("doc_id").isin(*ids))).collect()
    for row in rows:
        if row["text"] is None:
            raise text_gone(f"document {row['doc_id'][:300]!r}")
    return rows


def _runs(warehouse: Warehouse, rows: Sequence[Row]) -> list[Row]:
    """The rows of `runs` of the runs that rows name, and of those that executed under the same settings."""
    if not warehouse.exists("runs"):
        return []
    said = [row.asDict() for row in rows]
    names = {row[name] for row in said for name in ("run_id", "ingested_by") if row.get(name)}
    settings = {row["settings_hash"] for row in said if row.get("settings_hash")}
    wanted = F.col("run_id").isin(*names) | ((F.col("stage") == "execute") & F.col("settings_hash").isin(*settings))
    return warehouse.read("runs").where(wanted).orderBy("started_at").collect()


def _changes(spark: SparkSession, warehouse: Warehouse, table: str, ids: Sequence[str]) -> list[RowChange]:
    """Read the change feed; nothing where VACUUM or log retention has taken it."""
    if not warehouse.exists(table):
        return []
    names = ("doc_id", *_FOLLOWED[table])
    try:
        feed: DataFrame = (
            spark.read.option("readChangeFeed", "true").option("startingVersion", 0).table(warehouse.name(table))
        )
        wanted = feed.where(F.col("doc_id").isin(*ids) & (F.col("_change_type") != "update_preimage"))
        rows = wanted.select(*names, "_change_type", "_commit_version", "_commit_timestamp").collect()
    except Exception:  # noqa: BLE001 - Delta has a class for each thing that can be gone
        return []
    return [
        RowChange(
            when=row["_commit_timestamp"],
            table=table,
            version=row["_commit_version"],
            kind=row["_change_type"].removesuffix("_postimage"),
            values={name: row[name] for name in names},
        )
        for row in rows
    ]


def _run_of(runs: Sequence[Row], run_id: str, refined: Row | None) -> RunRecord | None:
    """The run that decided; else another one of the same settings, which has the same writers and policy."""
    found = _record(runs, run_id, "execute")
    if found is not None or refined is None:
        return found
    same = [row for row in runs if row["stage"] == "execute" and row["settings_hash"] == refined["settings_hash"]]
    return _record(same, same[-1]["run_id"], "execute", by_settings=True) if same else None


def _record(runs: Sequence[Row], run_id: str, stage: str, *, by_settings: bool = False) -> RunRecord | None:
    rows = [row for row in runs if (row["run_id"], row["stage"]) == (run_id, stage)]
    if not rows:
        return None
    row = max(rows, key=lambda row: row["started_at"])
    return RunRecord(
        run_id=run_id,
        stage=stage,
        started=row["started_at"],
        versions=row["versions"] or {},
        writers={writer["stage"]: writer.asDict() for writer in row["writers"] or ()},
        policy=_policy(row["policy"]),
        dialect=str(json.loads(row["config"] or "{}").get("dialect", "prox")),
        input=row["input"],
        by_settings=by_settings,
    )


def _policy(text: str | None) -> Policy | None:
    """The policy that `runs.policy` holds; fields of other versions are left out."""
    if text is None:
        return None
    fields = Policy.__dataclass_fields__
    return Policy(**{name: value for name, value in json.loads(text).items() if name in fields})
