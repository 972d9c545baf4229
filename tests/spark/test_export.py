"""`jobs/export.py`: rows of the tables become shards, once each, whatever is killed. Spark shuffles and writes them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_prox.config.run import config_as_json, load_config
from spark_prox.export.formats import ShardWriter
from spark_prox.export.shards import ExportDocument, ShardName, ShardRecord, record_path
from spark_prox.filters import filter_hashes
from spark_prox.heuristics.document_rules import c4_page_rules
from spark_prox.stages.export import Export
from spark_prox.warehouse.tables import Warehouse
from tests.spark.conftest import Finished
from tests.spark.runs import run_job
from tests.unit.export.readers import read_litgpt
from udfs.export import EXPORT_FUNCTIONS, WriteShards

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, kw_only=True)
class DyingWriter(ShardWriter):
    """Writes one shard, then the machine is gone."""

    def write(self, name: ShardName, documents: Iterable[ExportDocument]) -> ShardRecord:
        if name.number == 0:
            return super().write(name, documents)
        for _ in range(600):
            if self.destination.sizes([record_path(0)]):
                break
            time.sleep(0.05)
        raise RuntimeError("killed")


@dataclass(frozen=True, kw_only=True)
class DyingShards(WriteShards):
    """`WriteShards` with that writer."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parts = {field.name: getattr(self.writer, field.name) for field in dataclasses.fields(self.writer)}
        return WriteShards(writer=DyingWriter(**parts), shards=self.shards)(batches)


def rows(folder: Path, split: str = "train") -> list[dict[str, object]]:
    files = sorted((folder / split).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def hashes(folder: Path) -> dict[str, str]:
    files = [path for split in ("train", "validation") for path in (folder / split).glob("*")]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def job(warehouse: Path, to: Path, *words: str) -> int:
    return run_job("export", "--warehouse", str(warehouse), "--to", str(to), *words)


def stage(spark: SparkSession, warehouse: Path, to: Path, *sets: str, functions: object = EXPORT_FUNCTIONS) -> Export:
    config = load_config(None, [f"export.to={to}", *(f"export.{setting}" for setting in sets)])
    return Export(spark, Warehouse(spark, str(warehouse)), config, functions)  # type: ignore[arg-type]


def test_the_four_corpora_are_what_the_tables_hold(
    spark: SparkSession, finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = finished.copy(tmp_path)[0]
    dropped = ("d5", "d6")
    spark.sql(
        f"UPDATE delta.`{warehouse}/refined` SET outcome = 'DROPPED', text = NULL, "
        "doc_reason = if(doc_id = 'd5', 'DROP_CALL', 'KEEP_CALL') WHERE doc_id IN ('d5', 'd6')"
    )
    texts = {row["doc_id"]: row["text"] for row in Warehouse(spark, str(warehouse)).read("documents").collect()}
    refined = {name: row["text"] for name, row in finished.refined.items() if name not in dropped}
    passing = {name: text for name, text in texts.items() if c4_page_rules(text.split("\n")) is None}
    wanted = {
        "raw": texts,
        "doc": {name: texts[name] for name in finished.refined if name != "d5"},
        "chunk": refined,
    }
    for corpus, expected in wanted.items():
        assert job(warehouse, tmp_path / corpus, "--from", corpus) == 0
        found = rows(tmp_path / corpus)
        assert {str(row["id"]): row["text"] for row in found} == expected
        assert len(found) == len(expected)
    assert not passing  # no page of these has five sentences
    assert job(warehouse, tmp_path / "rules", "--from", "rules") == 2
    assert "[SPARK_PROX.EXPORT_EMPTY] The corpus 'rules'" in capsys.readouterr().err
    # Verdicts count that the last run's filters gave: not those of a text before, of a filter that is off, of other
    # settings. Lines that a filter removes are in none of the corpora behind the raw one.
    on = load_config(None, ["filters.rules.enabled=true", "filters.repeated_lines.enabled=true"])
    hashed = filter_hashes(on.filters)
    spark.sql(f"UPDATE delta.`{warehouse}/runs` SET config = '{config_as_json(on)}' WHERE stage = 'execute'")
    lines, rule = (hashed[name] for name in ("repeated-lines", "rules"))
    verdicts = spark.table(f"delta.`{warehouse}/documents`").selectExpr(
        "doc_id", "if(doc_id = 'd2', 'of another text', doc_hash) AS doc_hash",
        "CASE doc_id WHEN 'd3' THEN 'language' WHEN 'd7' THEN 'repeated-lines' ELSE 'rules' END AS stage",
        "if(doc_id IN ('d1', 'd2', 'd3', 'd4'), 'drop', 'keep') AS verdict",
        "if(doc_id IN ('d1', 'd2', 'd3', 'd4'), 'RULE_C4_SENTENCES', NULL) AS reason",
        "if(doc_id = 'd7', 'remove_lines(0, 1)', NULL) AS program",
        f"CASE doc_id WHEN 'd4' THEN 'before' WHEN 'd7' THEN '{lines}' ELSE '{rule}' END AS settings_hash",
    )  # fmt: skip
    verdicts.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(f"{warehouse}/verdicts")
    edited = texts | {"d7": "\n".join(str(texts["d7"]).split("\n")[2:])}
    for corpus, without in (("rules", "d1"), ("doc", "d5")):
        assert job(warehouse, tmp_path / f"{corpus} edited", "--from", corpus) == 0
        found = {str(row["id"]): row["text"] for row in rows(tmp_path / f"{corpus} edited")}
        assert found == {n: edited[n] for n in (texts if corpus == "rules" else finished.refined) if n != without}
    made = json.loads((tmp_path / "rules edited" / "manifest.json").read_text())["made"]
    counted = {(row["name"], row["detail"]): row["rows"] for row in made}
    assert counted[("rules", "RULE_C4_SENTENCES")] == 2  # d1, and d2's old text
    assert counted[("repeated-lines", "keep")] == 1
    assert job(warehouse, tmp_path / "rules edited", "--from", "rules", "--set", "export.rules=c4") == 2
    spark.sql(f"DELETE FROM delta.`{warehouse}/runs` WHERE stage = 'execute'")
    assert job(warehouse, tmp_path / "off", "--from", "rules", "--set", "export.rules=verdicts") == 2
    said = capsys.readouterr().err
    assert "[SPARK_PROX.EXPORT_SETTINGS_DIFFER]" in said
    assert "[SPARK_PROX.EXPORT_NO_FILTERS] No filter was on in the last run" in said
    manifest = json.loads((tmp_path / "chunk" / "manifest.json").read_text())
    tokens = sum(row["tokens_after"] for name, row in finished.refined.items() if name in refined)
    assert manifest["totals"][0] == {"split": "train", "source": "*", "documents": len(refined), "tokens": tokens}
    flow = Counter[str]()
    for step in manifest["flow"]:
        flow[step["stage"]] += step["documents"]
    assert flow == {"raw": 31, "filtered": 30, "doc": 29, "chunk": 28}
    assert ["run", finished.run_id] in [[made["what"], made["name"]] for made in manifest["made"]]
    assert "split: train" in (tmp_path / "chunk" / "README.md").read_text()
    for line in (tmp_path / "chunk" / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / "chunk" / name).read_bytes()).hexdigest() == digest


def test_the_same_seed_gives_the_same_bytes_and_a_killed_export_goes_on(
    spark: SparkSession, finished: Finished, tmp_path: Path
) -> None:
    warehouse = finished.copy(tmp_path)[0]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    sets = ("shards=3", "holdout=0.4", "columns=[n]", "seed=3")
    stage(spark, warehouse, whole, *sets).run()
    assert len(hashes(whole)) >= 3
    assert {row["n"] for split in ("train", "validation") for row in rows(whole, split)} == {*range(30)}
    dying = dataclasses.replace(EXPORT_FUNCTIONS, write_shards=DyingShards)
    with pytest.raises(Exception, match="killed"):
        stage(spark, warehouse, killed, *sets, functions=dying).run()
    assert not (killed / "manifest.json").exists()
    left = {file: file.stat().st_mtime_ns for file in killed.glob("train/*")}
    assert [file.name for file in left] == ["shard-00000.parquet"]
    # The tables move on and the batches are others; the export goes on with what it began with.
    spark.sql(f"DELETE FROM delta.`{warehouse}/refined` WHERE doc_id = 'd9'")
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "3")
    try:
        stage(spark, warehouse, killed, *sets).run()
    finally:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "16")
    assert hashes(killed) == hashes(whole)
    assert {file: file.stat().st_mtime_ns for file in left} == left
    assert not (killed / "_export").exists()


@pytest.mark.slow
def test_an_export_that_is_there_is_left_alone_or_refused(
    spark: SparkSession, finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse, to = finished.copy(tmp_path)[0], tmp_path / "to"

    def error(*words: str, where: Path = to) -> str:
        assert job(warehouse, where, *words) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        return said[: said.index("]") + 1]

    assert job(warehouse, to) == 0
    before = hashes(to)
    assert job(warehouse, to) == 0
    assert error("--seed", "5") == "[SPARK_PROX.EXPORT_SETTINGS_DIFFER]"
    next(to.glob("train/*.parquet")).unlink()
    assert job(warehouse, to) == 0  # a shard was lost: it is written again
    assert hashes(to) == before
    spark.sql(f"DELETE FROM delta.`{warehouse}/refined` WHERE doc_id = 'd9'")
    assert error() == "[SPARK_PROX.EXPORT_OUTDATED]"
    (to / "mine.txt").write_text("not of the export")
    assert job(warehouse, to, "--overwrite") == 0
    assert len(rows(to)) == 29
    assert (to / "mine.txt").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    assert error(where=tmp_path / "full") == "[SPARK_PROX.EXPORT_NOT_EMPTY]"
    assert error("--format", "megatron", where=tmp_path / "m") == "[SPARK_PROX.EXPORT_NO_TOKENIZER]"
    assert error("--set", "export.columns=[lang]", where=tmp_path / "c") == "[SPARK_PROX.EXPORT_UNKNOWN_COLUMN]"
    assert error("--set", "export.rules=verdicts", "--from", "rules") == "[SPARK_PROX.TABLE_MISSING]"
    nothing = ("--set", 'export.mixture={"*": 0}')
    assert error(*nothing, where=tmp_path / "e") == "[SPARK_PROX.EXPORT_EMPTY]"
    assert error(where=Path("nowhere:/x")) == "[SPARK_PROX.EXPORT_BAD_DESTINATION]"


def test_tokens_of_a_mixture_with_hosts_held_out(
    spark: SparkSession, finished: Finished, tiny_llama: Path, tmp_path: Path
) -> None:
    """Every document is there as often as its weight says, and no host in two splits."""
    to = tmp_path / "to"
    sets = ("corpus=raw", "format=litgpt", "seed=4", f"tokenizer={tiny_llama}", "shards=2", "holdout=0.4")
    manifest = stage(spark, finished.warehouse, to, *sets, 'mixture={"*": 2}').run()

    train, held = read_litgpt(to / "train"), read_litgpt(to / "validation")
    assert len(train) + 2 * len(held) == 2 * 31
    assert held
    assert {document[-1] for document in [*train, *held]} == {2}
    assert set(Counter(map(tuple, train)).values()) == {2}
    total = sum(sum(record.tokens.values()) for record in manifest.records)
    assert total == sum(map(len, [*train, *held]))
