"""What must be true of a warehouse after a disturbed run, against that of an undisturbed one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spark_prox.warehouse.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["Outcome", "read_outcome", "violations"]

_SHOWN = 5
Row = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a warehouse holds.

    Attributes:
        documents: doc_id and hash of `documents`.
        refined: doc_id, hash of the text, outcome, reason of `refined`.
        rejects: doc_id, code, file, position of `rejects`.
        programs: keys of `programs`.
        largest_batch: most rows of `programs` in one commit.
        leftovers: what lies beside the tables that a run should have removed.
    """

    documents: list[Row]
    refined: list[Row]
    rejects: list[Row]
    programs: list[Row]
    largest_batch: int = 0
    leftovers: tuple[str, ...] = ()


def read_outcome(spark: SparkSession, warehouse: Path) -> Outcome:
    """Read the tables of a warehouse directory."""

    def rows(table: str, *columns: str) -> list[Row]:
        frame = spark.read.format("delta").load(str(warehouse / table))
        return [tuple(row) for row in frame.selectExpr(*columns).collect()]

    # One commit writes one time of generation.
    commits = Counter((row[0], row[1]) for row in rows("programs", "stage", "generated_at"))
    # `_staging` may stay as an empty folder. Tables, and folders that are there to stay, have a name or a log.
    staged = warehouse / "_staging"
    left = [f"_staging/{path.name}" for path in staged.iterdir()] if staged.is_dir() else []
    left += [path.name for path in warehouse.glob("_probe-*")]
    return Outcome(
        documents=rows("documents", "doc_id", "doc_hash"),
        refined=rows("refined", "doc_id", "sha2(text, 256)", "outcome", "reason"),
        rejects=rows("rejects", "doc_id", "code", "path", "position"),
        programs=rows("programs", *TABLES["programs"].key),
        largest_batch=max(commits.values(), default=0),
        leftovers=tuple(sorted(left)),
    )


def violations(
    found: Outcome, wanted: Outcome, *, lines: int, repeated: int | None = None, strikes: int = 1
) -> list[str]:
    """Every law that a disturbed run has broken, each as one line; none is what should come back.

    Args:
        wanted: of a run of the same input that nothing disturbed.
        lines: lines of the input.
        repeated: requests that the engine got more than once; None where nobody counted.
        strikes: faults that there were, each of which may repeat one batch.
    """
    found_ids, refined_ids = ([row[0] for row in rows] for rows in (found.documents, found.refined))
    broken = []
    if len(found.refined) + len(found.rejects) != lines:
        broken.append(f"{lines} lines in, {len(found.refined)} refined + {len(found.rejects)} rejected")
    for name, keys in (
        ("documents", found_ids),
        ("refined", refined_ids),
        ("rejects", found.rejects),
        ("programs", found.programs),
    ):
        broken += _listed(f"{name} holds twice", (key for key, count in Counter(keys).items() if count > 1))
    # The row that came second is rejected under the id that the first one has.
    rejected = {row[0] for row in found.rejects if row[1] != "DUPLICATE_ID"}
    broken += _listed("both refined and rejected", rejected.intersection(refined_ids))
    broken += _listed("refined and not in documents", set(refined_ids).difference(found_ids))
    for name in ("documents", "refined", "rejects"):
        here, there = Counter(getattr(found, name)), Counter(getattr(wanted, name))
        broken += _listed(f"{name}: not in an undisturbed run", (here - there).elements())
        broken += _listed(f"{name}: missing against an undisturbed run", (there - here).elements())
    broken += _listed("programs: missing against an undisturbed run", set(wanted.programs).difference(found.programs))
    if repeated is not None and not 0 <= repeated <= strikes * wanted.largest_batch:
        broken.append(f"{repeated} requests repeated, a batch is at most {wanted.largest_batch}")
    broken += _listed("left over", found.leftovers)
    return broken


def _listed(what: str, things: Iterable[object]) -> list[str]:
    items = sorted(map(str, things))
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return [f"{what}: {', '.join(items[:_SHOWN])}{more}"] if items else []
