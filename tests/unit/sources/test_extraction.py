"""The ways from a page to its text: lines, preformatted text, tables and lists in each of them."""

from __future__ import annotations

import pytest

from spark_prox.errors import ConfigError, InputError, SetupError
from spark_prox.sources import extraction
from spark_prox.sources.contained import ContainedPageText
from spark_prox.sources.extraction import EXTRACTS, extract_function

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
