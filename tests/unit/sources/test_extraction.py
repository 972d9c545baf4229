"""The ways from a page to its text: lines, preformatted text, tables and lists in each of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from spark_prox.errors import ConfigError, InputError, SetupError
from spark_prox.sources import extraction
from spark_prox.sources.contained import ContainedPageText
from spark_prox.sources.extraction import EXTRACTS, extract_function
from spark_prox.sources.page_text import hinted_text, page_text

LONG = "The river rose two metres overnight, and the lower town was under water by the morning, said the mayor"
PAGE = f"""<html><body><nav><ul><li><a href=/>Home</a><li><a href=/about>About us</a></ul></nav>
<article><h1>The flood of this year</h1><p>{LONG}.</p>
<ul><li>First item, which says what happened<li>Second item, which says why</ul>
<table><tr><th>Year</th><th>Level</th></tr><tr><td>2001</td><td>3.4 m</td></tr></table>
<pre>def f(x):
    if x:
\treturn 1</pre><p>{LONG} again, and this is another paragraph of the article.</p></article>
<footer>Copyright 2024</footer></body></html>""".encode()


@pytest.mark.parametrize("name", EXTRACTS)
def test_every_way_keeps_lines_preformatted_text_tables_and_lists(name: str) -> None:
    lines = extract_function(name)(PAGE, "utf-8").split("\n")
    mark, row = ("- ", "| 2001 | 3.4 m |") if name == "trafilatura" else ("", "2001 3.4 m")
    assert f"{LONG}." in lines
    assert f"{mark}First item, which says what happened" in lines
    assert row in lines
    at = lines.index("def f(x):")
    assert lines[at + 1 : at + 3] == ["    if x:", "\treturn 1"]
    assert all(line.strip() for line in lines)
    assert ("Copyright 2024" in lines) is (name == "all")
    assert any("About us" in line for line in lines) is (name == "all")


def test_a_page_does_not_depend_on_the_pages_before_it() -> None:
    extract = extract_function("trafilatura")
    assert len({extract(PAGE, "utf-8") for _ in range(5)}) == 1


@pytest.mark.parametrize("name", EXTRACTS)
@pytest.mark.parametrize("page", [b"", b"<p>", b"\xff\xfe", b"<html><body></body></html>", b"<" * 5_000])
def test_a_page_without_text_has_none(name: str, page: bytes) -> None:
    assert extract_function(name)(page, None).strip("<\n") == ""


def test_the_child_extracts_as_it_is_told() -> None:
    with ContainedPageText(extract="main") as contained:
        assert contained(PAGE, "utf-8") == extract_function("main")(PAGE, "utf-8")


def test_a_missing_package_is_told_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"EXTRACT_MISSING.*pip install"):
        ContainedPageText(extract="trafilatura")


def test_an_unknown_way_is_an_error_of_the_configuration() -> None:
    from spark_prox.config.run import load_config

    with pytest.raises((ConfigError, InputError), match=r"INPUT_BAD_VALUE.*'best'.*all, main, trafilatura"):
        load_config(None, ["input={path: x, format: warc, extract: best}"])


def test_hints_say_where_each_line_is_from() -> None:
    page = (
        b"<body><h1>Title</h1><nav><ul><li><a href=/>Home</a></ul></nav><p>Text <a href=x>link</a> and more</p>"
        b"<pre>a\n  b</pre><table><tr><td>x<td>y</table><h2><a href=u>all link</a></h2>\xef\xb7\x92\xef\xb7\xa0</body>"
    )
    with ContainedPageText(line_hints=True) as contained:
        text = contained(page, "utf-8")
        hints = json.loads(contained.line_hints or "")
    assert text == extract_function("all")(page, "utf-8")
    assert [(line, hint["tag"], hint["level"]) for line, hint in zip(text.split("\n"), hints, strict=True)] == [
        ("Title", "h1", 1),
        ("Home", "li", None),
        ("Text link and more", "p", None),
        ("a", "pre", None),
        ("  b", "pre", None),
        ("x y", "td", None),
        ("all link", "h2", 2),
    ]
    assert [hint["link_share"] for hint in hints] == [0.0, 1.0, 0.267, 0.0, 0.0, 0.0, 1.0]


def test_hints_and_lines_of_real_pages_are_aligned(shared_data: Path) -> None:
    with gzip.open(shared_data / "hplt_cc200" / "pages.jsonl.gz", "rt", encoding="utf-8") as rows:
        pages = [json.loads(row)["html"].encode() for _, row in zip(range(25), rows, strict=False)]
    for page in pages:
        text, hints = hinted_text(page, "utf-8")
        assert text == page_text(page, "utf-8")
        assert len(hints) == (text.count("\n") + 1 if text else 0)
