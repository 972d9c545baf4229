"""Labelled pages and the split of hosts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from spark_prox.annotation.labels import (
    LabelledPage,
    line_weight,
    load_labelled_pages,
    pages_of_split,
    registered_host,
    split_of,
)
from spark_prox.errors import InputError
from spark_prox.training.synthetic import synthetic_pages, write_pages


def page(url: str | None, page_id: str = "1") -> LabelledPage:
    return LabelledPage(page_id=page_id, source="s", url=url, lines=("a", "b"), keep=(1.0, 0.0))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.a.example.com/x?y#z", "example.com"),
        ("http://news.bbc.co.uk/1", "bbc.co.uk"),
        ("https://EXAMPLE.org", "example.org"),
        ("http://127.0.0.1:8080/", "127.0.0.1"),
        ("https://a.b.de/", "b.de"),
        ("http://[broken/", None),
        ("not a url", None),
        (None, None),
    ],
)
def test_a_registered_host_is_what_somebody_registered(url: str | None, host: str | None) -> None:
    assert registered_host(url) == host


def test_all_pages_of_a_host_are_in_one_split() -> None:
    for number in range(50):
        urls = [f"https://{name}.site{number}.com/{path}" for name in ("www", "blog", "m") for path in ("a", "b")]
        assert len({split_of(page(url, url)) for url in urls}) == 1


def test_the_split_has_about_the_promised_shares_and_never_changes() -> None:
    pages = [page(f"https://site{number}.com/", str(number)) for number in range(2000)]
    assert 250 < len(pages_of_split(pages, "test")) < 350
    assert 150 < len(pages_of_split(pages, "validation")) < 250
    assert split_of(page("https://example.com/")) == "test"  # a change here moves pages between the splits
    with pytest.raises(ValueError, match="'dev'"):
        pages_of_split(pages, "dev")


def test_pages_without_a_url_are_split_one_by_one() -> None:
    splits = {split_of(page(None, str(number))) for number in range(100)}
    assert splits == {"train", "validation", "test"}


def test_pages_come_back_as_they_were_written(tmp_path: Path) -> None:
    pages = synthetic_pages(5)
    write_pages(pages, tmp_path / "pages.jsonl.gz")
    assert load_labelled_pages([tmp_path]) == pages


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"id": "1", "text": "a\nb", "keep": [1]}, "LABELS_DISAGREE"),
        ({"id": "1", "keep": [1]}, "LABELS_BAD_ROW"),
        ({"text": "a", "keep": [1]}, "LABELS_BAD_ROW"),
    ],
)
def test_a_bad_row_is_named_without_its_text(tmp_path: Path, row: dict[str, object], code: str) -> None:
    with gzip.open(tmp_path / "pages.jsonl.gz", "wt") as stream:
        stream.write(json.dumps(row))
    with pytest.raises(InputError) as caught:
        load_labelled_pages([tmp_path])
    assert caught.value.code == code
    assert "a\nb" not in str(caught.value)


def test_a_missing_path_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LABELS_MISSING"):
        load_labelled_pages([tmp_path / "nothing.jsonl"])


def test_a_line_counts_by_its_words_within_bounds() -> None:
    assert [line_weight(words) for words in (0, 1, 25, 10_000)] == [1.0, 1.0, 5.0, 8.0]


def test_the_real_split_keeps_hosts_apart(shared_data: Path) -> None:
    pages = load_labelled_pages([shared_data / "gold_lines" / "fundus_pages.jsonl.gz"])
    hosts = {split: {registered_host(page.url) for page in pages_of_split(pages, split)} for split in ("train", "test")}
    assert hosts["train"]
    assert hosts["test"]
    assert not hosts["train"] & hosts["test"]
