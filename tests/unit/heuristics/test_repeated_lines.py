from __future__ import annotations

import hashlib
import re
from collections import Counter

from spark_prox.heuristics.repeated_lines import MAX_LINES, judge_lines, line_keys, normal_lines


def ccnet_kept(pages: list[str]) -> list[list[str]]:
    """CCNet's deduplication in its plainest form: a line whose normal form is on two pages goes from both."""

    def key(line: str) -> bytes:
        line = re.sub(r"\d", "0", line.strip().lower())
        return hashlib.sha1("".join(c for c in line if c.isalnum()).encode()).digest()[:8]

    seen = Counter(found for page in pages for found in {key(line) for line in page.split("\n")})
    return [[line for line in page.split("\n") if seen[key(line)] < 2] for page in pages]


PAGES = [
    "Home | About\nA first story of the town.\n12 comments",
    "HOME / About!\nAnother story, longer than the first.\n7 comments\n\n",
    "Home – about\nA first story of the town\n  312 Comments:",
]


def test_lines_go_that_ccnet_would_drop() -> None:
    counts = Counter(key for page in PAGES for key in {*line_keys(page)})
    for page, kept in zip(PAGES, ccnet_kept(PAGES), strict=True):
        lines = page.split("\n")
        repeated = [n for n, key in enumerate(line_keys(page)) if key is not None and counts[key] >= 2]
        stays = [line for n, line in enumerate(lines) if n not in repeated]
        assert list(filter(str.strip, stays)) == list(filter(str.strip, kept))  # empty lines repeat nothing here


def test_a_line_is_compared_without_case_punctuation_and_values_of_digits() -> None:
    assert normal_lines("12 Comments!\n—\nno_where\n Ärger\t№\r") == ["00comments", "", "nowhere", "ärger"]
    first, second = line_keys("Page 1 of 20\nPAGE 3 OF 14.")
    assert first == second
    assert first is not None
    assert len(first) == 10
    assert int.from_bytes(first[8:], "big") == len("page0of00")
    assert line_keys("") == [None]


def test_lines_are_numbered_as_the_executor_numbers_them() -> None:
    text = "a\r\nb\x0bc\u2028d\n\x85\ne"
    assert len(line_keys(text)) == len(text.split("\n"))


def test_the_lines_of_a_page_that_are_looked_at_are_bounded() -> None:
    keys = line_keys("\n".join(["x"] * (MAX_LINES + 50)))
    assert len(keys) == MAX_LINES


def test_a_page_loses_repeated_lines_by_a_program_or_is_dropped_where_too_little_stays() -> None:
    keys = line_keys("menu\nlinks\nThe story of the town.\n\nfooter")
    assert judge_lines(keys, [], min_chars=100) == (None, None, None)  # a short page that repeats nothing stays
    kept = judge_lines(keys, [4, 0, 1], min_chars=17)
    assert kept == (
        None,
        "3 of 5 lines repeat",
        "remove_lines(line_start=0, line_end=1)\nremove_lines(line_start=4, line_end=4)",
    )
    dropped = judge_lines(keys, [0, 1, 4], min_chars=18)
    assert dropped == ("REPEATED_LINES", "17 characters left < 18, 3 of 5 lines repeat", None)
    assert judge_lines(keys, [99, -1], min_chars=0).program is None


def test_lone_surrogates_have_a_key() -> None:
    assert line_keys("a\ud800b")[0] is not None
