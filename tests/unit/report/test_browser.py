"""The page in a real browser. The unit tests beside it read its markup; here its scripts run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from spark_prox.programs import Policy
from spark_prox.report.decisions import decide_story
from spark_prox.report.page.documents import embedded_json
from tests.unit.report import made

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]

DECIDE = """(policies) => Browser.documents.map((one) => policies.map((policy) => {
  const found = Decide.decide(one, policy);
  const removed = [...found.removed.keys()].filter((line) => found.removed[line]);
  return [found.outcome, found.reason, removed, found.wordsAfter];
}))"""


def test_the_pages_decision_is_the_executors_at_every_threshold(opened: Open) -> None:
    stories = [*made.hard_cases(), *made.pages(10)]
    thresholds = [
        {"min_remove_margin": long, "min_remove_margin_short": short, "min_drop_margin": drop}
        for long in (None, 0.0, 0.4, 0.5, 1.0, 4.0, 9.5)
        for short in (None, 0.0, 0.7)
        for drop in (None, 1.0)
    ]
    for base in (
        made.POLICY,
        Policy(max_removed_of_document=0.5, when_wiped="drop"),
        Policy(max_removed_of_chunk=0.4, min_words_after=20, max_errors=None),
    ):
        policies = [replace(base, **margins) for margins in thresholds]
        page = opened(made.report([made.shown(one, base) for one in stories], base))
        answers = page.evaluate(DECIDE, [asdict(policy) for policy in policies])
        for one, found in zip(stories, answers, strict=True):
            for policy, (outcome, reason, removed, words) in zip(policies, found, strict=True):
                wanted = decide_story(one, made.KEYS, policy=policy, dialect="prox")
                told = (one.doc_id, policy)
                assert (outcome, reason) == (wanted.row.outcome, wanted.row.reason), told
                assert {*removed} == wanted.removed, told
                assert words == wanted.row.words_after, told


def test_hostile_documents_stay_text(opened: Open) -> None:
    page = opened(made.report([made.shown(made.hostile_story())]), hash="#documents")
    assert page.title() == f"Report {made.SCRIPT}"
    table = page.locator(".text-table")
    shown = table.locator("td.before").all_inner_texts()
    assert shown[0] == made.SCRIPT
    assert shown[2] == made.END
    assert shown[5].startswith("\\u202egnp.exe\\u202c right to left")
    assert "\\u0007" in shown[6]
    assert "\\u0000" in shown[6]
    assert "\\ud800" in shown[7]
    assert shown[8].endswith("996,000 characters more")
    assert len(shown[8]) < 4_100
    assert page.locator("#browser img, #browser script, #browser iframe").count() == 0
    assert page.locator(".ctl").count() > 10


def test_the_slider_decides_lines_on_the_spot(opened: Open) -> None:
    page = opened(made.report([made.shown(one) for one in made.pages(4)]), hash="#documents")
    gone = page.locator(".text-table tr.gone")
    stored = decide_story(made.pages(1)[0], made.KEYS, policy=made.POLICY, dialect="prox")
    assert gone.count() == len(stored.removed)
    slider = page.locator("#slide-min_remove_margin")
    for margin in ("0", "1.6"):
        slider.fill(margin)
        policy = replace(made.POLICY, min_remove_margin=float(margin))
        wanted = decide_story(made.pages(1)[0], made.KEYS, policy=policy, dialect="prox")
        assert gone.count() == len(wanted.removed)
    assert page.locator("tr.moved").count() == len(stored.removed ^ wanted.removed)
    page.keyboard.press("r")
    assert gone.count() == len(stored.removed)
    assert page.locator("tr.moved").count() == 0


def test_filters_links_and_keys_lead_to_documents(opened: Open) -> None:
    stories = [*made.pages(5), *made.hard_cases()]
    page = opened(made.report([made.shown(one) for one in stories]), hash="#doc=dropped")
    assert page.locator(".doc h2").first.inner_text() == "https://h2.example/dropped"
    assert page.locator(".list a[aria-current=true] .badge").inner_text() == "DROPPED"
    page.keyboard.press("/")
    page.wait_for_selector("#search:focus")
    page.keyboard.type("of page 3")
    assert page.locator(".list a").count() == 1
    page.keyboard.press("Escape")
    page.locator("#search").fill("")
    page.locator("select").first.select_option("DROPPED")
    dropped = page.locator(".list a").count()
    assert 0 < dropped < len(stories)
    page.evaluate("document.activeElement.blur()")  # in a select, letters choose an option
    page.keyboard.press("j")
    page.wait_for_url(lambda url: not url.endswith("#doc=dropped"))
    page.keyboard.press("o")
    page.wait_for_selector("#overview:not([hidden])")
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count() == 1


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, False), (False, True), (True, True)])
def test_axe_finds_nothing_to_complain_about(opened: Open, dark: bool, phone: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    stories = [*made.hard_cases(), made.hostile_story(), *made.pages(3)]
    report = made.report([made.shown(one) for one in stories])
    page = opened(report, dark=dark, phone=phone)
    for view in ("#overview", "#documents", "#doc=p1"):
        page.evaluate("(hash) => { location.hash = hash; }", view)
        page.wait_for_timeout(50)
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"


def test_no_margin_is_no_number_in_the_page() -> None:
    shown = made.shown(made.hard_cases()[1])
    assert math.isnan(shown.decisions.margins[7])
    embedded_json([shown.decisions.row.doc_margin])
