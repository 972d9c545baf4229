"""The end of a `refine` run as text: counts by outcome, one document before and after, a query, where the tables are.

Reads the tables only, so it can be made at any time. Control characters of documents and programs never reach the
terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from spark_prox.programs import Edit
from spark_prox.programs.also_remove import also_removed
from spark_prox.report.queries import by_code, by_outcome
from spark_prox.stages.dry_run import PlannedStage
from spark_prox.terminal import shown, shown_lines
from spark_prox.warehouse.schemas import TABLES
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import texts_of

__all__ = [
    "balance_report",
    "example_report",
    "outcome_report",
    "plan_report",
    "query_report",
    "table",
    "tables_report",
]

_PROGRAMS = 8
_CELL_WIDTH = 400


def outcome_report(warehouse: Warehouse, settings: str) -> str:
    """Documents, lines, words and tokens by outcome, and the rejects by code."""
    rows = by_outcome(warehouse.read("refined"), settings).collect()
    lines = [list(row) for row in rows]
    total: list[object] = ["all", ""]
    for column in range(2, 9):
        values = [line[column] for line in lines if line[column] is not None]
        total.append(sum(values) if values else None)
    head = ["outcome", "reason", "documents", "lines", "kept", "words", "kept", "tokens", "kept"]
    text = table(head, [*lines, total])
    rejects = by_code(warehouse.read("rejects")).collect()
    if rejects:
        text += "\n\n" + table(["rejected", "by", "records"], [list(row) for row in rejects])
    return text


def balance_report(balance: Mapping[str, float]) -> str:
    """How even the tasks of a run were, by stage; "" where no stage had documents enough to tell."""
    said = (f"{stage} {largest:.2f}" for stage, largest in balance.items())
    return f"largest task / its share, by the bytes to read: {', '.join(said)}" if balance else ""


def plan_report(stages: Sequence[PlannedStage]) -> str:
    """The plan of a run, one line for each stage."""
    rows = [
        [line.stage, line.documents, line.prompt_tokens, None if line.flop is None else f"{line.flop:.2g}", line.note]
        for line in stages
    ]
    return table(["stage", "documents", "prompt tokens", "FLOP", ""], rows)


def example_report(warehouse: Warehouse, settings: str) -> str | None:
    """The edited document that shows most on one screen, before and after, beside its program; None without one."""
    refined = warehouse.read("refined").where(
        (F.col("settings_hash") == settings)
        & (F.col("outcome") == "EDITED")
        & (F.col("doc_reason") != "UNSURE")
        & F.col("lines_before").between(12, 60)
    )
    chosen = refined.orderBy(F.abs(F.col("lines_after") / F.col("lines_before") - 0.5), "doc_id").first()
    if chosen is None:
        return None
    original = texts_of(warehouse, warehouse.read("documents").where(F.col("doc_id") == chosen["doc_id"])).first()
    if original is None:
        return None  # the text is gone from its source
    programs = (
        warehouse.read("programs")
        .where((F.col("doc_id") == chosen["doc_id"]) & (F.col("doc_hash") == chosen["doc_hash"]))
        .orderBy(F.desc("stage"), "chunk_index")
        .collect()
    )
    lines = original["text"].split("\n")
    removed = _removed_lines(lines, [(edit["start"], edit["stop"]) for edit in chosen["edits"] if not edit["inserted"]])
    before = [f"  {'-' if number in removed else ' '} {number:4d}  {shown(line)}" for number, line in enumerate(lines)]
    written = [f"  {line}" for row in programs[:_PROGRAMS] for line in shown_lines(row["program"] or "")]
    if len(programs) > _PROGRAMS:
        written.append(f"  ... {len(programs) - _PROGRAMS:,} programs more")
    after = [f"         {shown(line)}" for line in (chosen["text"] or "").split("\n")]
    return "\n".join(
        [
            f"Document {shown(chosen['url'] or chosen['doc_id'])}",
            f"Before ({chosen['lines_before']} lines; - marks a line that the program removes):",
            *before,
            "Program:",
            *written,
            *_of_filter(original["text"], chosen["edits"]),
            *_unsure(chosen["policy"], programs),
            f"After ({chosen['lines_after']} lines):",
            *after,
        ]
    )


def _of_filter(text: str, edits: Sequence[Row]) -> list[str]:
    """The program of a filter that removed lines too."""
    program = also_removed(text, (Edit(**edit.asDict()) for edit in edits))
    return (
        [] if program is None else ["Program of the filter repeated-lines:", *(f"  {c}" for c in program.split("\n"))]
    )


def _unsure(policy: str, programs: Sequence[Row]) -> list[str]:
    """A word about lines that a program names and that stay."""
    if policy == "default" and any(row["line_margins"] for row in programs):
        return ["(A line that the program names and that stays is one of which the model was not sure enough.)"]
    return []


def _removed_lines(lines: Sequence[str], cuts: Sequence[tuple[int, int]]) -> set[int]:
    """Numbers of the lines that lie wholly inside a cut (start, stop) of the text."""
    removed, start = set(), 0
    for number, line in enumerate(lines):
        stop = start + len(line)
        if any(first <= start and stop <= last and first < last for first, last in cuts):
            removed.add(number)
        start = stop + 1
    return removed


def query_report(spark: SparkSession, warehouse: Warehouse) -> str:
    """One SQL query over the refined table and its answer."""
    query = (
        "SELECT regexp_extract(url, '^[a-z]+://([^/:]+)', 1) AS host, count(*) AS documents,\n"
        "       round(1 - sum(words_after) / sum(words_before), 2) AS share_removed\n"
        f"FROM {warehouse.name('refined')} GROUP BY host ORDER BY share_removed DESC, host LIMIT 5"
    )
    answer = [[shown(str(value)) for value in row] for row in spark.sql(query).collect()]
    return f"spark-sql> {query}\n\n" + table(["host", "documents", "share removed"], answer)


def tables_report(warehouse: Warehouse) -> str:
    """The places of the tables and their numbers of rows."""
    rows = [[name, warehouse.read(name).count(), warehouse.where(name)] for name in TABLES if warehouse.exists(name)]
    return table(["table", "rows", "where"], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A plain-text table; numbers to the right, thousands separated."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(head, *cells, strict=True)]
    numeric = [all(isinstance(row[i], (int, float, type(None))) for row in rows) for i in range(len(head))]

    def line(texts: Sequence[str]) -> str:
        parts = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, numeric, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line(head), line(["-" * width for width in widths]), *(line(row) for row in cells)])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else shown(str(value), _CELL_WIDTH)
