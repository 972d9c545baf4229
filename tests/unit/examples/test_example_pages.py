"""The example archives are what their builder makes of the pages, and the labels fit the text.

Does not know how spark_prox reads archives: it reads them with warcio, as a stranger would.
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator  # type: ignore[import-untyped]

EXAMPLES = Path(__file__).parents[3] / "examples"
OUTPUTS = ("pages.warc.gz", "pages.warc.wet.gz", "expected.jsonl")


@pytest.fixture(scope="module")
def builder() -> Iterator[ModuleType]:
    """The builder as a module; its folder is on the path only while this file's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        yield importlib.import_module("build_archives")


@pytest.fixture(scope="module")
def pages(builder: ModuleType) -> ModuleType:
    return importlib.import_module("page_lines")


@pytest.fixture(scope="module")
def rebuilt(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rebuilt")
    builder.build(EXAMPLES / "pages", out)
    return out


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    lines = (EXAMPLES / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def records(name: str) -> list[tuple[str, str | None, Any, bytes]]:
    """(type, target URI, HTTP headers, content) of every record of an example archive."""
    with (EXAMPLES / name).open("rb") as stream:
        return [
            (
                record.rec_type,
                record.rec_headers.get_header("WARC-Target-URI"),
                record.http_headers,
                record.content_stream().read(),
            )
            for record in ArchiveIterator(stream, check_digests="raise")
        ]


def wet_texts() -> dict[str | None, str]:
    return {url: content.decode() for kind, url, _, content in records(OUTPUTS[1]) if kind == "conversion"}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_builder_reproduces_what_the_committed_files_hold(rebuilt: Path, name: str) -> None:
    committed, again = (EXAMPLES / name).read_bytes(), (rebuilt / name).read_bytes()
    if name.endswith(".gz"):
        committed, again = gzip.decompress(committed), gzip.decompress(again)
    assert again == committed, f"{name} is stale: run python examples/build_archives.py"


@pytest.mark.skipif("zlib-ng" in zlib.ZLIB_RUNTIME_VERSION, reason="zlib-ng packs the same bytes differently")
@pytest.mark.parametrize("name", OUTPUTS)
def test_the_builder_reproduces_the_committed_files_byte_for_byte(rebuilt: Path, name: str) -> None:
    assert (rebuilt / name).read_bytes() == (EXAMPLES / name).read_bytes()


@pytest.mark.parametrize("name", OUTPUTS[:2])
def test_every_record_is_its_own_gzip_member_without_a_time(name: str) -> None:
    data = (EXAMPLES / name).read_bytes()
    members = 0
    while data:
        assert data[:4] == b"\x1f\x8b\x08\x00"
        assert data[4:8] == bytes(4), "the gzip header holds a time"
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert unpacker.decompress(data).startswith(b"WARC/1.0\r\n")
        data = unpacker.unused_data
        members += 1
    assert members == len(records(name))


def test_the_warc_holds_what_a_real_crawl_holds(expected: list[dict[str, Any]]) -> None:
    kinds = Counter(kind for kind, *_ in records(OUTPUTS[0]))
    assert kinds == {
        "warcinfo": 1,
        "request": len(expected) + 2,
        "response": len(expected) + 2,
        "revisit": 1,
    }
    others = [
        (http.get_statuscode(), http.get_header("Content-Type"))
        for kind, url, http, _ in records(OUTPUTS[0])
        if kind == "response" and url not in {row["url"] for row in expected}
    ]
    assert others == [("200", "image/gif"), ("404", "text/html; charset=utf-8")]


def test_record_ids_are_unique_within_each_archive() -> None:
    for name in OUTPUTS[:2]:
        with (EXAMPLES / name).open("rb") as stream:
            ids = [record.rec_headers.get_header("WARC-Record-ID") for record in ArchiveIterator(stream)]
        assert len(ids) == len(set(ids))


def test_both_archives_hold_every_expected_page_and_no_other_document(expected: list[dict[str, Any]]) -> None:
    urls = [row["url"] for row in expected]
    html = [
        url
        for kind, url, http, _ in records(OUTPUTS[0])
        if kind == "response"
        and http.get_statuscode() == "200"
        and http.get_header("Content-Type").startswith("text/html")
    ]
    assert len(urls) >= 30
    assert html == urls
    assert list(wet_texts()) == urls


def test_labels_have_one_entry_per_line_of_the_wet_text(expected: list[dict[str, Any]]) -> None:
    texts = wet_texts()
    for row in expected:
        lines = texts[row["url"]].split("\n")
        assert len(row["keep_lines"]) == len(lines), row["file"]
        assert set(row["keep_lines"]) <= {0, 1}, row["file"]
        assert all(line == line.rstrip() != "" for line in lines), row["file"]  # code keeps its indentation


def test_a_page_worth_keeping_has_both_content_and_boilerplate(expected: list[dict[str, Any]]) -> None:
    for row in expected:
        if row["keep"]:
            assert 0 < sum(row["keep_lines"]) < len(row["keep_lines"]), row["file"]
    assert 5 <= sum(not row["keep"] for row in expected) <= len(expected) // 2


def test_every_page_file_is_labelled_once_and_every_kind_is_its_own(expected: list[dict[str, Any]]) -> None:
    assert sorted(row["file"] for row in expected) == sorted(p.name for p in (EXAMPLES / "pages").iterdir())
    assert max(Counter(row["kind"] for row in expected).values()) == 1


def test_no_gold_mark_is_left_in_an_archived_page() -> None:
    for kind, url, _, content in records(OUTPUTS[0]):
        if kind == "response":
            assert b"data-gold" not in content, url
            assert b"<!-- page" not in content, url


def test_pages_in_older_charsets_are_archived_undecoded_and_read_right_in_the_wet(pages: ModuleType) -> None:
    old = {page.charset: page for page in pages.read_pages(EXAMPLES / "pages") if page.charset != "utf-8"}
    assert set(old) == {"iso-8859-1", "shift_jis"}
    for page in old.values():
        with pytest.raises(UnicodeDecodeError):
            page.html.decode("utf-8")
        assert re.search(rb"charset=(?i:" + page.charset.encode() + rb")", page.html)
    texts = wet_texts()
    assert "À la sortie du bourg" in texts[old["iso-8859-1"].url]
    assert "橋の上の時計屋" in texts[old["shift_jis"].url]


def test_pages_name_only_reserved_hosts(pages: ModuleType) -> None:
    for page in pages.read_pages(EXAMPLES / "pages"):
        text = page.html.decode(page.charset)
        hosts = re.findall(r"(?:https?://|@)([\w.-]+\.[a-z]{2,})", page.url + " " + text)
        foreign = [host for host in hosts if not host.endswith(".example") and host not in ("schema.org", "www.w3.org")]
        assert not foreign, page.name


def test_a_gold_mark_inside_a_content_element_can_be_taken_back(pages: ModuleType) -> None:
    html = b'<p data-gold>kept</p><div data-gold>also kept<div data-gold="0">share</div></div><p>menu</p>'
    page = pages.Page(
        name="x.html",
        url="https://x.example/",
        kind="x",
        keep=True,
        language="eng",
        captured="2025-03-03T00:00:00Z",
        server="nginx",
        charset="utf-8",
        content_type="text/html",
        marked_html=html,
        html=pages.GOLD_ATTRIBUTE.sub(b"", html),
    )
    assert pages.page_lines(page) == ["kept", "also kept", "share", "menu"]
    assert pages.gold_labels(page) == [1, 1, 0, 0]


def test_a_page_without_its_leading_comment_is_refused_by_name(pages: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "bare.html").write_bytes(b"<html></html>")
    with pytest.raises(ValueError, match=r"bare\.html: no leading"):
        pages.read_pages(tmp_path)


def test_the_archives_are_small() -> None:
    assert sum((EXAMPLES / name).stat().st_size for name in OUTPUTS[:2]) < 300_000


def test_members_of_the_builder_unpack_with_the_standard_library(builder: ModuleType) -> None:
    data = b"WARC/1.0\r\n" * 1000
    with gzip.open(io.BytesIO(builder.gzip_member(data) + builder.gzip_member(b"end"))) as stream:
        assert stream.read() == data + b"end"
