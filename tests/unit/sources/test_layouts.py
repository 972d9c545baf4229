"""Columns of published corpora are found by name; names that are given win."""

from __future__ import annotations

import pytest

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError
from spark_prox.sources.layouts import Layout, find_layout


def layout(columns: dict[str, str], *, mixed: bool = False, **spec: str) -> Layout:
    return find_layout(InputSpec(path="x", **spec), columns, mixed=mixed)  # type: ignore[arg-type]


S = "string"
META = "struct<url:string,cc_segment:string>"


@pytest.mark.parametrize(
    ("columns", "text", "doc_id", "url", "crawl"),
    [
        ({"text": S, "url": S, "timestamp": S}, "text", None, ("url",), ()),
        ({"raw_content": S, "doc_id": S, "meta": S}, "raw_content", "doc_id", ("meta$url",), ()),
        ({"url": S, "raw_content": S, "cc_segment": S}, "raw_content", None, ("url",), ("cc_segment",)),
        ({"text": S, "id": S, "dump": S, "url": S}, "text", "id", ("url",), ("dump",)),
        ({"content": S, "url": S, "dump": S}, "content", None, ("url",), ("dump",)),
        (
            {"id": S, "text": S, "metadata": META, "metadata.url": S, "metadata.cc_segment": S},
            "text", "id", ("metadata.url",), ("metadata.cc_segment",),
        ),
        ({"text": S, "id": S, "u": S, "collection": S}, "text", "id", ("u",), ("collection",)),
        ({"text": S, "warc_record_id": S, "url": S}, "text", "warc_record_id", ("url",), ()),
        ({"Text": S, "URL": S, "ID": S}, "Text", "ID", ("URL",), ()),
        ({"text": S, "url": "struct<a:string>", "id": "array<string>"}, "text", None, (), ()),
    ],
)  # fmt: skip
def test_published_layouts_are_known(
    columns: dict[str, str], text: str, doc_id: str | None, url: tuple[str, ...], crawl: tuple[str, ...]
) -> None:
    found = layout(columns)
    assert (found.text, found.doc_id, found.url, found.crawl) == ((text,), doc_id, url, crawl)
    assert not found.id_is_explicit


def test_given_names_win_over_known_ones() -> None:
    columns = {"text": S, "id": S, "url": S, "body": S, "key": "bigint", "link": S}
    found = layout(columns, text_column="body", id_column="key", url_column="link")
    assert (found.text, found.doc_id, found.url, found.id_is_explicit) == (("body",), "key", ("link",), True)


def test_a_given_name_may_reach_into_a_struct_and_differ_in_case() -> None:
    columns = {"doc": "struct<Body:string>", "doc.Body": S}
    assert layout(columns, text_column="DOC.body").text == ("doc.Body",)


def test_mixed_rows_try_every_known_text_column() -> None:
    columns = {"raw_content": S, "text": S, "url": S, "metadata": META, "metadata.url": S}
    assert layout(columns, mixed=True).text == ("text", "raw_content")
    assert layout(columns, mixed=True).url == ("url", "metadata.url")
    assert layout(columns, mixed=True, text_column="raw_content").text == ("raw_content",)


def test_a_given_source_or_crawl_needs_no_column() -> None:
    columns = {"text": S, "source": S, "crawl": S}
    assert (layout(columns).source, layout(columns).crawl) == ("source", ("crawl",))
    assert (layout(columns, source="a", crawl="b").source, layout(columns, source="a", crawl="b").crawl) == (None, ())


def test_a_missing_column_names_what_is_there_and_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        layout({"body_text": S, "id": S}, text_column="bodytext")
    assert caught.value.code == "MISSING_COLUMN"
    assert "'bodytext'; it has: body_text, id. Did you mean 'body_text'?" in str(caught.value)
    with pytest.raises(InputError, match=r"MISSING_COLUMN.*'text'"):
        layout({"a": S})
    with pytest.raises(InputError, match=r"MISSING_COLUMN.*'key'"):
        layout({"text": S}, id_column="key")
    with pytest.raises(InputError, match=r"MISSING_COLUMN.*'link'"):
        layout({"text": S}, url_column="link")


def test_a_text_that_is_no_text_is_an_error() -> None:
    with pytest.raises(InputError, match=r"BAD_COLUMN.*array"):
        layout({"chunks": "array<string>"}, text_column="chunks")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"format": "csv"}, "WRONG_FORMAT"),
        ({"path": " "}, "INPUT_NOT_FOUND"),
        ({"max_text_chars": 0}, "INPUT_BAD_VALUE"),
    ],
)
def test_a_specification_that_cannot_be_meant_is_an_error(given: dict[str, object], code: str) -> None:
    with pytest.raises(InputError) as caught:
        InputSpec(**{"path": "x", **given})  # type: ignore[arg-type]
    assert caught.value.code == code
