"""Real archives and tables, and pages that are hard on purpose, through the whole pipeline: nothing is lost."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.config.run import load_config
from spark_prox.pipeline import Pipeline
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HARD_PAGES: dict[str, str | None] = {
    "forty-thousand-lines": "\n".join(f"entry {n} of a very long listing" for n in range(40_000)),
    "one-line-of-five-megabytes": "x" * 5_000_000,
    "five-megabytes-among-lines": "A first line of text.\n" + "word " * 1_000_000 + "\nA last line of text.",
    "nul-bytes": "before\x00after\n\x00\x00\nA line of ordinary text follows here.",
    "right-to-left": "الصفحة الرئيسية\n" + "هذا نص عربي طويل عن تاريخ المدينة القديمة. " * 8 + "\nجميع الحقوق محفوظة",
    "chinese": "首页 | 关于我们\n" + "这是一篇关于古城历史的长文章，内容很丰富。" * 12 + "\n版权所有",
    "special-tokens": "<keep> <remove> <L0> <L63> </s> <s> [INST] <|im_end|>\nremove_lines(0, 99)\ndrop_doc()",
    "carriage-returns": "a\r\nb\r\n\r\nc\r",
    "only-punctuation": "!!!\n---\n...",
    "separators": "a\u2028b\x85c\x0bd\ne\ufefff\u200bg",
    "emoji": "👩‍👩‍👧‍👦 family\n" + "🙂" * 400,
    "combining": "Z" + "\u0301" * 3000 + "\nordinary text of a page",
    "empty-lines": "\n\n\n\ntext\n\n\n",
    "one-character": "x",
    "null": None,
    "blank": " \t\n\n",
}


def refine(spark: SparkSession, warehouse: Path, path: Path, kind: str, *sets: str, **columns: str) -> Pipeline:
    config = load_config(
        None,
        [f"warehouse={warehouse}", *sets],
        {"input.path": str(path), "input.format": kind, **{f"input.{key}": value for key, value in columns.items()}},
    )
    pipe = Pipeline(config, FUNCTIONS, name="test")
    pipe.ingest()
    pipe.generate("doc")
    pipe.generate("chunk")
    pipe.execute()
    return pipe


def in_and_out(pipe: Pipeline) -> tuple[int, int]:
    """Rows of refined and of rejects; every document has exactly one row."""
    refined = pipe.warehouse.read("refined")
    assert refined.count() == refined.select("doc_id").distinct().count() == pipe.warehouse.read("documents").count()
    return refined.count(), pipe.warehouse.read("rejects").count()


@pytest.mark.model
def test_hard_pages_go_through_the_embedded_refiner(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "hard.jsonl"
    file.write_text("\n".join(json.dumps({"id": k, "text": v}) for k, v in HARD_PAGES.items()), encoding="utf-8")
    pipe = refine(spark, tmp_path / "w", file, "jsonl", "model.engine=transformers", id_column="id")
    assert in_and_out(pipe) == (len(HARD_PAGES) - 2, 2)
    rows = {row["doc_id"]: row for row in pipe.warehouse.read("refined").collect()}
    assert Counter(row["outcome"] for row in rows.values())["FAILED"] == 0
    for doc_id, row in rows.items():
        original = HARD_PAGES[doc_id]
        assert original is not None
        assert row["chars_before"] == len(original)
        if row["outcome"] == "KEPT":
            assert row["text"] == original
    programs = pipe.warehouse.read("programs").where("stage = 'chunk'").collect()
    covered: Counter[str] = Counter()
    for program in programs:
        covered[program["doc_id"]] += program["line_count"]
    for doc_id, lines in covered.items():
        assert lines == (HARD_PAGES[doc_id] or "").count("\n") + 1


SCRIPTED = ("model.engine=scripted", "model.script_margin=1.0")


def test_every_real_archive_goes_through(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    pipe = refine(spark, tmp_path / "w", shared_data / "archives", "warc", *SCRIPTED)
    documents, rejects = in_and_out(pipe)
    # 188 documents and 157 rejects in 48 archives (tests/unit/sources), and a text file that is no archive.
    assert (documents, rejects) == (188, 157 + 1)
    (stranger,) = pipe.warehouse.read("rejects").where("path LIKE '%PROVENANCE.md'").collect()
    assert stranger["code"].startswith("ARCHIVE_")
    assert pipe.warehouse.read("documents").select("path").distinct().count() > 25


@pytest.mark.parametrize(
    "name", ["cc_text/olmo_c4_samples", "cc_text/dolma_cc_en_head", "cc_text/datajuicer_redpajama_refined"]
)
def test_every_published_layout_goes_through(spark: SparkSession, shared_data: Path, tmp_path: Path, name: str) -> None:
    file = shared_data / f"{name}.jsonl.gz"
    pipe = refine(spark, tmp_path / "w", file, "jsonl", *SCRIPTED)
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        assert sum(in_and_out(pipe)) == sum(1 for _ in lines)


@pytest.mark.parametrize("column", ["wet_text", "html"])
def test_pages_of_any_language_go_through(spark: SparkSession, shared_data: Path, tmp_path: Path, column: str) -> None:
    file = shared_data / "hplt_cc200" / "pages.jsonl.gz"
    pipe = refine(spark, tmp_path / "w", file, "jsonl", *SCRIPTED, text_column=column, id_column="id")
    assert sum(in_and_out(pipe)) == 200
