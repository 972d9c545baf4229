"""Real archives and tables, and pages that are hard on purpose, through the whole pipeline: nothing is lost."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.pipeline import Pipeline
from tests.spark.runs import pipeline, refine, refined, write_lines

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HARD_PAGES: dict[str, str | None] = {
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


SCRIPTED = ("model.engine=scripted", "model.script_margin=1.0")


def in_and_out(pipe: Pipeline) -> tuple[int, int]:
    """Rows of refined and of rejects; every document has exactly one row."""
    refined = pipe.warehouse.read("refined")
    assert refined.count() == refined.select("doc_id").distinct().count() == pipe.warehouse.read("documents").count()
    return refined.count(), pipe.warehouse.read("rejects").count()


@pytest.mark.model
@pytest.mark.parametrize("lines", [1_000, pytest.param(40_000, marks=pytest.mark.slow)])
def test_hard_pages_go_through_the_embedded_refiner(spark: SparkSession, tmp_path: Path, lines: int) -> None:
    """Its chunk model reads every line of the long listing, which takes a minute for forty thousand."""
    listing = "\n".join(f"entry {n} of a very long listing" for n in range(lines))
    pages = {"many-lines": listing, **HARD_PAGES}
    file = write_lines(tmp_path / "hard.jsonl", ({"id": key, "text": text} for key, text in pages.items()))
    pipe = pipeline(tmp_path / "w", file, "model.engine=transformers", id_column="id")
    refine(pipe)
    assert in_and_out(pipe) == (len(pages) - 2, 2)
    rows = refined(pipe)
    assert Counter(row["outcome"] for row in rows.values())["FAILED"] == 0
    for doc_id, row in rows.items():
        original = pages[doc_id]
        assert original is not None
        assert row["chars_before"] == len(original)
        if row["outcome"] == "KEPT":
            assert row["text"] == original
    programs = pipe.warehouse.read("programs").where("stage = 'chunk'").collect()
    covered: Counter[str] = Counter()
    for program in programs:
        covered[program["doc_id"]] += program["line_count"]
    for doc_id, count in covered.items():
        assert count == (pages[doc_id] or "").count("\n") + 1


def test_every_real_archive_goes_through(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    pipe = pipeline(tmp_path / "w", shared_data / "archives", *SCRIPTED, format="warc")
    refine(pipe)
    documents, rejects = in_and_out(pipe)
    # 188 documents and 157 rejects in 48 archives (tests/unit/sources), and a text file that is no archive.
    assert (documents, rejects) == (188, 157 + 1)
    (stranger,) = pipe.warehouse.read("rejects").where("path LIKE '%PROVENANCE.md'").collect()
    assert stranger["code"].startswith("ARCHIVE_")
    assert pipe.warehouse.read("documents").select("path").distinct().count() > 25


def test_every_published_layout_goes_through(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    names = ("olmo_c4_samples", "dolma_cc_en_head", "datajuicer_redpajama_refined")
    files = [shared_data / "cc_text" / f"{name}.jsonl.gz" for name in names]
    pipe = pipeline(tmp_path / "w", ",".join(map(str, files)), *SCRIPTED)
    refine(pipe)
    in_and_out(pipe)
    paths = pipe.warehouse.read("documents").select("path").unionAll(pipe.warehouse.read("rejects").select("path"))
    found = Counter(row["path"] for row in paths.collect())
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            assert found.pop(str(file)) == sum(1 for _ in lines), file.name
    assert not found


@pytest.mark.slow
def test_pages_of_any_language_go_through(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    """As text, and every fourth with its markup too, which is thirteen times as long."""
    with gzip.open(shared_data / "hplt_cc200" / "pages.jsonl.gz", "rt", encoding="utf-8") as lines:
        pages = [json.loads(line) for line in lines]
    given = {"wet_text": pages, "html": pages[::4]}
    rows = [{"id": f"{kind} {page['id']}", "text": page[kind]} for kind, some in given.items() for page in some]
    pipe = pipeline(tmp_path / "w", write_lines(tmp_path / "pages.jsonl", rows), *SCRIPTED, id_column="id")
    refine(pipe)
    assert sum(in_and_out(pipe)) == 250
    for kind, some in given.items():
        mine = f"doc_id LIKE '{kind} %'"
        kept = pipe.warehouse.read("refined").where(mine).count()
        assert kept + pipe.warehouse.read("rejects").where(mine).count() == len(some)
