from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from html.parser import HTMLParser

import pytest

from spark_prox.programs import Edit, apply_edits
from spark_prox.report.decisions import decide_story
from spark_prox.report.line_labels import LineLabels
from spark_prox.report.margin_grid import what_if
from spark_prox.report.page.documents import embedded_json, fitting_documents
from spark_prox.report.page.render import render_report, visible
from spark_prox.report.page.sankey import UNITS, flow_amounts, sankey
from tests.unit.report import made


class Reader(HTMLParser):
    """Elements, attributes and the text of scripts of a page, as a browser takes it apart."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag in ("script", "style"):
            self._inside = dict(attrs).get("id") or f"the {tag}"
            self.scripts[self._inside] = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._inside] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


@pytest.fixture(scope="module")
def page() -> str:
    stories = [made.hostile_story(), *made.pages(3)]
    return render_report(made.report([made.shown(one) for one in stories]), made.USED)


def test_hostile_text_becomes_neither_an_element_nor_an_attribute(page: str) -> None:
    read = Reader(page)
    assert read.elements.count("script") == 3
    assert not {"img", "iframe", "object", "embed", "link"} & {*read.elements}
    assert not [name for name, _ in read.attributes if name.startswith("on") or name == "style"]


def test_the_page_loads_nothing_and_allows_only_its_own_style_and_script(page: str) -> None:
    read = Reader(page)
    assert all(value.startswith("#") for name, value in read.attributes if name in ("src", "href") and value)
    policy = next(value for name, value in read.attributes if name == "content" and value and "default-src" in value)
    for place, directive in (("the style", "style-src"), ("the script", "script-src")):
        digest = base64.b64encode(hashlib.sha256(read.scripts[place].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_documents_come_back_as_they_were(page: str) -> None:
    documents = json.loads(Reader(page).scripts["document-data"])
    lines = documents[0]["lines"]
    for line, shown in zip(made.HOSTILE, lines, strict=True):
        assert shown == line if len(line) <= 4000 else shown == [line[:4000], len(line) - 4000]
    assert documents[0]["id"] == made.END


@pytest.mark.parametrize("text", [*made.HOSTILE, "\u2028<!--", "a & b"])
def test_embedded_json_cannot_leave_its_script(text: str) -> None:
    found = embedded_json({text[:1000]: [text]})
    assert not re.search("[<>&\u2028\u2029\ud800-\udfff]", found)
    assert json.loads(found) == {text[:1000]: [text]}


def test_control_characters_and_turns_of_direction_are_written_out() -> None:
    assert visible("a\x07\u202eb\u2066\ufeff\x9b") == "a\\u0007\\u202eb\\u2066\\ufeff\\u009b"
    assert visible("\u05d0\u0627 \u200d\u200c \t é") == "\u05d0\u0627 \u200d\u200c \t é"


def test_a_page_stays_below_its_bound_whatever_the_documents() -> None:
    big = [
        made.story(f"big{n}", ["words of a long line " * 90] * 150, [("remove_lines(start=0, end=0)", 0, 150, None)])
        for n in range(12)
    ]
    report = made.report([made.shown(one) for one in big])
    bound = 1_200_000
    text = render_report(report, made.USED, max_bytes=bound)
    documents = json.loads(Reader(text).scripts["document-data"])
    assert len(text.encode()) <= bound
    assert 0 < len(documents) < len(big)
    assert f'data-left-out="{len(big) - len(documents)}"' in text


def test_a_document_of_a_hundred_thousand_lines_is_cut_and_stays_as_stored() -> None:
    long = made.story("long", ["x"] * 100_000, [("remove_lines(start=0, end=0)", 0, 100_000, None)])
    texts, left_out = fitting_documents([made.shown(long)], made.KEYS.values(), 10**7)
    assert left_out == 0
    document = json.loads(texts[0])
    assert document["facts"]["state"] == "fixed"
    assert document["hidden_lines"] == 97_000


def test_margins_are_written_short_and_stay_the_same_floats() -> None:
    margins = [struct.unpack("f", struct.pack("f", value))[0] for value in (-2.345678, 0.1, 1 / 3, -1e-7, 8.0)]
    one = made.story("m", ["a"] * 5, [("remove_lines(start=0, end=1)", 0, 5, margins)])
    texts, _ = fitting_documents([made.shown(one)], made.KEYS.values(), 10**6)
    found = json.loads(texts[0])["margins"]
    assert [struct.pack("f", value) for value in found] == [struct.pack("f", value) for value in margins]
    assert len(str(found[1])) == 3


def test_pieces_of_a_changed_line_give_both_texts() -> None:
    text = "first line here\nsecond line\nthird line"
    edits = [
        Edit("replace", 0, 6, 10, "line", "row", 0, 0),
        Edit("replace", 0, 11, 22, "here\nsecond", "HERE", 0, 1),
        Edit("add_line", 1, 28, 28, "", "new\n", 0, 2),
    ]
    one = made.shown(made.story("c", text.split("\n"), [("", 0, 3, None)]))
    row = one.decisions.row._replace(edits=tuple(edits), outcome="EDITED")
    changed = json.loads(
        fitting_documents(
            [type(one)(story=one.story, decisions=type(one.decisions)(
                row=row, calls=(), removed=frozenset(), margins={}), facts=one.facts)],
            made.KEYS.values(),
            10**6,
        )[0][0]
    )["changed"]  # fmt: skip
    after = "".join(piece for number in sorted(changed, key=int) for kind, piece in changed[number] if kind >= 0)
    before = "".join(piece for number in sorted(changed, key=int) for kind, piece in changed[number] if kind <= 0)
    # The break that ends a line stays out, unless it went itself.
    assert before == text.replace("second line\n", "second line")
    assert after == apply_edits(text, edits).replace("HERE line\n", "HERE line")


def test_the_flow_loses_nothing() -> None:
    flow = made.report([]).flow
    for unit in UNITS:
        amounts = flow_amounts(flow, unit)
        for node in ("kept", "edited", "unchanged", "refused"):
            into = sum(value for (_, target), value in amounts.items() if target == node)
            out = sum(value for (source, _), value in amounts.items() if source == node)
            assert into == pytest.approx(out), (unit, node)
        assert all(node.height > 0 and node.y >= 0 for node in sankey(flow, unit).nodes)
    words = flow_amounts(flow, "words")
    assert words["raw", "dropped"] == 1000
    assert words["kept", "wiped"] == 100
    assert words["edited", "removed"] == 2000


def test_the_grid_is_what_the_executor_does_at_each_pair_of_margins() -> None:
    stories = made.pages(6)
    labels = [(one, LineLabels(removed=frozenset({0, 13, 14, 15}), labelled=frozenset(range(16)))) for one in stories]
    grid = what_if(stories, labels, made.KEYS, policy=made.POLICY, dialect="prox")
    now = next(point for point in grid.points if (point.margin, point.short) == (1.0, 0.5))
    rows = [decide_story(one, made.KEYS, policy=made.POLICY, dialect="prox") for one in stories]
    removed = [one.removed for one in rows]
    assert now.removed_words == pytest.approx(
        1 - sum(one.row.words_after for one in rows) / sum(one.row.words_before for one in rows)
    )
    right = sum(len(lines & {0, 13, 14, 15}) for lines in removed)
    assert now.precision == right / sum(map(len, removed))
    assert now.recall == right / (4 * len(stories))
    assert {point.removed_words for point in grid.points if point.margin == 0 and point.short is None} != {
        now.removed_words
    }
