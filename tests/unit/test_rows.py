from __future__ import annotations

from typing import Annotated, NamedTuple

import pytest

from spark_prox.execution import RefinedRow
from spark_prox.rows import Int32, Int64, Origin, Real, Text, Word, ddl_of, fields_of


class Part(NamedTuple):
    word: Word
    at: Int64


class Row(NamedTuple):
    text: Text | None
    margin: Annotated[Real | None, Origin.INPUT]
    count: Int32
    parts: tuple[Part, ...]


class Wrong(NamedTuple):
    size: int


def test_sparks_columns_come_from_the_fields_of_a_row() -> None:
    assert ddl_of(Row) == "text string, margin double, count int, parts array<struct<word:string,at:long>>"
    assert ddl_of(Row, [Origin.INPUT]) == "margin double"
    assert [field.kind and field.kind.arrow for field in fields_of(Row)] == ["large_string", "float64", "int32", None]


def test_a_field_without_a_type_of_spark_is_refused() -> None:
    with pytest.raises(TypeError, match="size"):
        fields_of(Wrong)


def test_refined_has_the_columns_that_people_query() -> None:
    assert ddl_of(RefinedRow) == (
        "doc_id string, doc_hash string, url string, text string, outcome string, reason string, doc_reason string, "
        "doc_margin double, edits array<struct<kind:string,line:int,start:long,stop:long,removed:string,"
        "inserted:string,chunk:int,call:int>>, calls int, program_errors int, chunks int, failed_chunks int, "
        "refused_chunks int, lines_before long, lines_after long, words_before long, words_after long, "
        "chars_before long, chars_after long, tokens_before long, tokens_after long, source string, crawl string, "
        "policy string, policy_hash string, settings_hash string, run_id string, refined_at timestamp"
    )
