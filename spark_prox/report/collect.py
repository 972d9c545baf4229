"""Collect everything that the report's page shows: figures by Spark, a bounded sample of documents on the driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_prox.annotation.labels import load_labelled_pages
from spark_prox.execution import RefinedRow
from spark_prox.functions import Functions
from spark_prox.programs import Edit
from spark_prox.report import figures
from spark_prox.report.applied import Applied, applied_settings
from spark_prox.report.comparing import OtherState, changed_documents, compare, other_state
from spark_prox.report.decisions import Decisions, decide_story, removed_lines
from spark_prox.report.facts import facts_of
from spark_prox.report.line_labels import annotated_lines, labels_of_pages
from spark_prox.report.margin_grid import has_margins, what_if
from spark_prox.report.page.model import CallCount, GroupRow, MarginGrid, Report, ShownDocument
from spark_prox.report.sampling import by_outcome, labelled, random_documents, share_of
from spark_prox.report.story import Story, load_stories
from spark_prox.stages.quarantine import QUARANTINED
from spark_prox.stages.runlog import versions
from spark_prox.warehouse.tables import Warehouse

__all__ = ["ReportOptions", "collect_report"]

_LANGUAGES = ("language", "lang", "languages", "langs")
_COUNTED_DOCUMENTS = 1_000_000
_IN_QUARANTINE = 20
_LABELLED = 300


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The subject of a report.

    Attributes:
        settings: hash of the settings to report on; None for the rows that were written last.
        documents: most documents that the page shows one by one.
        sample: documents that calls and thresholds are looked at in.
        seed: decides which documents are chosen.
        against: a run or a policy to compare with; None for none.
        labels: files of line labels, beside those in `annotations`.
        price_per_hour: of the whole cluster, for the cost of a run.
    """

    title: str = "spark_prox report"
    settings: str | None = None
    documents: int = 200
    sample: int = 500
    seed: int = 0
    against: str | None = None
    labels: tuple[Path, ...] = ()
    price_per_hour: float | None = None
    functions: Functions | None = field(default=None, repr=False)


def collect_report(spark: SparkSession, warehouse: Warehouse, options: ReportOptions) -> tuple[Report, Applied]:
    """Everything that the page shows, and the settings that it is about.

    Raises:
        TableError: REPORT_EMPTY, TABLE_MISSING, RUN_NOT_KEPT.
        ConfigError: AGAINST_UNKNOWN, POLICY_UNKNOWN_FIELD, POLICY_BAD_VALUE.
        InputError: LABELS_MISSING, LABELS_BAD_ROW.
    """
    applied = applied_settings(warehouse, options.settings)
    refined = warehouse.read("refined").where(F.col("settings_hash") == applied.settings)
    with other_state(spark, warehouse, applied, options.against, options.functions) as other:
        comparison = compare(refined, other) if other is not None else None
        documents = _documents(spark, warehouse, refined, applied, other, options)
    share = min(1.0, _COUNTED_DOCUMENTS / max(applied.documents, 1))
    sample = load_stories(spark, warehouse, random_documents(refined, options.seed, options.sample))
    decided = [_decide(story, applied) for story in sample]
    report = Report(
        title=options.title,
        made_at=datetime.now(timezone.utc),
        warehouse=warehouse.location,
        run_id=applied.run_id,
        settings=applied.settings,
        other_settings=applied.others,
        seed=options.seed,
        policy=applied.policy,
        policy_is_known=applied.policy_is_known,
        keys_are_known=applied.keys_are_known,
        config=applied.config,
        versions=_versions(warehouse, applied.run_id),
        flow=figures.flow_of(warehouse, "here", refined),
        rejects=figures.reject_rows(warehouse),
        removed_share=figures.removed_share_histogram(refined),
        lengths=figures.length_histogram(refined),
        edits=figures.edit_kinds(refined),
        calls=_calls(decided),
        calls_of=len(sample),
        removed_lines=figures.top_removed_lines(share_of(refined, options.seed, share)),
        removed_lines_of=share,
        groups=_groups(refined),
        runs=figures.run_rows(warehouse),
        tables=figures.table_rows(spark, warehouse),
        what_if=_what_if(spark, warehouse, refined, applied, sample, options),
        documents=documents,
        comparison=comparison,
        price_per_hour=options.price_per_hour,
    )
    return report, applied


def _decide(story: Story, applied: Applied) -> Decisions:
    return decide_story(story, applied.keys, policy=applied.policy, dialect=applied.dialect)


def _versions(warehouse: Warehouse, run_id: str) -> Mapping[str, str]:
    """Of the run; of this process where `runs` does not have it."""
    if warehouse.exists("runs"):
        row = warehouse.read("runs").where(F.col("run_id") == run_id).select("versions").first()
        if row is not None and row[0]:
            return dict(row[0])
    return versions()


def _calls(decided: Iterable[Decisions]) -> list[CallCount]:
    counts = Counter((call.name[:60], call.status, call.code or "") for one in decided for call in one.calls)
    return [
        CallCount(name=name, status=status, code=code, calls=calls)
        for (name, status, code), calls in counts.most_common(40)
    ]


def _groups(refined: DataFrame) -> dict[str, Sequence[GroupRow]]:
    """By host, language and source, where there is more than one."""
    columns = {"host": F.expr(figures.HOST)}
    language = next((name for name in _LANGUAGES if name in refined.columns), None)
    if language is not None:
        columns[language] = F.col(language)
    columns["source"] = F.col("source")
    found = {name: figures.group_rows(refined, column) for name, column in columns.items()}
    return {name: rows for name, rows in found.items() if any(row.value for row in rows)}


def _what_if(
    spark: SparkSession,
    warehouse: Warehouse,
    refined: DataFrame,
    applied: Applied,
    sample: Sequence[Story],
    options: ReportOptions,
) -> MarginGrid | None:
    """The grid; None for programs without margins and for a policy that reads none."""
    if applied.policy.reader == "upstream" or not has_margins(sample, applied.keys):
        return None
    pages = load_labelled_pages(options.labels)
    labels = labels_of_pages((page.lines, page.keep) for page in pages)
    by = "the given files" if labels else ""
    ids = labelled(warehouse, refined, list(labels), options.seed, _LABELLED)
    stories = load_stories(spark, warehouse, ids)
    missing = [story.doc_hash for story in stories if story.doc_hash not in labels]
    if missing:
        found, author = annotated_lines(warehouse, missing, applied.dialect)
        labels |= found
        by = " and ".join(name for name in (by, author) if name)
    pairs = [(story, labels[story.doc_hash]) for story in stories if story.doc_hash in labels]
    return what_if(sample, pairs, applied.keys, policy=applied.policy, dialect=applied.dialect, labels_by=by)


def _documents(
    spark: SparkSession,
    warehouse: Warehouse,
    refined: DataFrame,
    applied: Applied,
    other: OtherState | None,
    options: ReportOptions,
) -> list[ShownDocument]:
    ids: list[str] = []
    if other is not None:
        ids += by_outcome(changed_documents(refined, other), options.seed, options.documents // 2)
    ids += by_outcome(refined, options.seed, options.documents)
    if warehouse.exists("rejects"):
        held = warehouse.read("rejects").where(QUARANTINED).select("doc_id").distinct()
        place = F.xxhash64(F.lit(options.seed), F.col("doc_id"))
        held_ids = [row["doc_id"] for row in held.orderBy(place).limit(_IN_QUARANTINE).collect()]
        ids = [*ids[:5], *held_ids, *ids[5:]] if ids else held_ids
    stories = load_stories(spark, warehouse, list(dict.fromkeys(ids))[: options.documents])
    others = _others(other, stories, applied)
    return [
        ShownDocument(
            story=story,
            decisions=_as_stored(story, _decide(story, applied)),
            facts=facts_of(story, applied.keys, policy=applied.policy, dialect=applied.dialect),
            other=others.get(story.doc_id),
        )
        for story in stories
    ]


def _as_stored(story: Story, decisions: Decisions) -> Decisions:
    """Lines as the stored row has them: what is executed here is only what explains it."""
    if story.refined is None:
        return decisions
    row = story.refined
    every = frozenset(range(story.text.count("\n") + 1))
    removed = every if row.outcome == "DROPPED" else removed_lines(story.text, row.edits)
    return Decisions(row=decisions.row, calls=decisions.calls, removed=removed, margins=decisions.margins)


def _others(
    other: OtherState | None, stories: Sequence[Story], applied: Applied
) -> dict[str, tuple[str, str, frozenset[int]]]:
    """Outcome, reason and removed lines of the documents in the state to compare with."""
    if other is None:
        return {}
    if other.policy is not None:
        rows = {s.doc_id: decide_story(s, applied.keys, policy=other.policy, dialect=applied.dialect) for s in stories}
        return {doc_id: (one.row.outcome, one.row.reason, one.removed) for doc_id, one in rows.items()}
    texts = {story.doc_id: story for story in stories}
    found = other.rows.where(F.col("doc_id").isin([*texts])).select(*RefinedRow._fields).collect()
    return {row["doc_id"]: _stored_lines(row, texts[row["doc_id"]]) for row in found}


def _stored_lines(values: Row, story: Story) -> tuple[str, str, frozenset[int]]:
    if values["outcome"] == "DROPPED" or values["doc_hash"] != story.doc_hash:
        removed = frozenset(range(story.text.count("\n") + 1) if values["outcome"] == "DROPPED" else ())
    else:
        removed = removed_lines(story.text, [Edit(*edit) for edit in values["edits"] or ()])
    return values["outcome"], values["reason"], removed
