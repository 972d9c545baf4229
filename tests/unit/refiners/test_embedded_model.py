"""The refiner that ships with the project: it loads everywhere, keeps prose and beats keeping everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_prox.annotation.labels import LabelledPage, load_labelled_pages, pages_of_split
from spark_prox.documents import split_lines
from spark_prox.engines.line_encoder_files import read_config
from spark_prox.evaluation.metrics import mean
from spark_prox.evaluation.reading import Reader, open_reader
from spark_prox.evaluation.thresholds import kept_by_margin, score_at
from spark_prox.models import is_line_encoder, load_tokenizer, model_directory, recommended_margins

pytestmark = pytest.mark.model

MENU = [
    "Home",
    "About us",
    "Contact",
    "Log in",
    "Register",
    "Shopping cart (0)",
    "Search",
    "Subscribe to our newsletter",
]
PROSE = [
    "How the old harbour was rebuilt",
    "When the storm of 1953 had passed, the people of the town found that most of the harbour wall was gone, and with "
    "it the two cranes that had unloaded coal since the turn of the century.",
    "The council met the same evening. It decided to rebuild the wall in stone, although concrete would have been "
    "cheaper, because the quarry on the hill could give work to nearly two hundred men through the winter.",
    "Work began in March and took four years. Engineers from the capital measured the seabed every month, and their "
    "reports, which are kept in the library, show how the sand moved around the new foundations.",
    "Today the wall is a monument, and the boats that lie behind it are mostly pleasure craft.",
]
FOOTER = [
    "Share on Facebook",
    "Tweet",
    "Previous article",
    "Next article",
    "Privacy policy | Terms of use",
    "© 2019 All rights reserved",
]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return open_reader("embedded", dtype="float32")  # the same margins on every machine


def chosen_margins() -> tuple[float, float | None]:
    chosen = recommended_margins("embedded")
    return chosen["min_remove_margin"], chosen.get("min_remove_margin_short")


def kept_lines(reader: Reader, lines: list[str]) -> list[str]:
    keep = kept_by_margin(lines, reader.line_margins([lines])[0], *chosen_margins())
    return [line for line, kept in zip(lines, keep, strict=True) if kept]


def test_the_folder_is_a_line_encoder_and_stays_small() -> None:
    folder = model_directory("embedded")
    assert sum(file.stat().st_size for file in folder.iterdir()) < 32 << 20
    assert is_line_encoder("embedded")
    assert load_tokenizer("embedded").get_vocab_size() == read_config(folder).vocabulary


@pytest.fixture(scope="module")
def example_pages(repository: Path) -> list[LabelledPage]:
    """The demo's pages that are worth keeping; nothing of them was trained on."""
    from warcio.archiveiterator import ArchiveIterator

    rows = [json.loads(line) for line in (repository / "examples" / "expected.jsonl").read_text().splitlines()]
    labels = {row["url"]: row["keep_lines"] for row in rows if row["keep"]}
    pages = []
    with (repository / "examples" / "pages.warc.wet.gz").open("rb") as stream:
        for record in ArchiveIterator(stream):
            url = record.rec_headers.get_header("WARC-Target-URI")
            if url in labels:
                lines = split_lines(record.content_stream().read().decode().rstrip("\n"))
                keep = tuple(map(float, labels[url]))
                pages.append(LabelledPage(page_id=url, source="examples", lines=tuple(lines), keep=keep))
    return pages


def test_it_beats_keeping_everything_on_the_demos_pages_and_loses_little_content(
    reader: Reader, example_pages: list[LabelledPage]
) -> None:
    assert len(example_pages) >= 30
    margins = reader.line_margins([page.lines for page in example_pages])
    ours = score_at(example_pages, margins, *chosen_margins())
    keeping = score_at(example_pages, margins, 1e9)
    assert mean([score.words.f1 for score in ours]) > mean([score.words.f1 for score in keeping]) + 0.01
    assert mean([score.words.recall for score in ours]) > 0.97


def test_it_keeps_a_short_article_and_removes_the_menu_around_it(reader: Reader) -> None:
    kept = kept_lines(reader, MENU + PROSE + FOOTER)
    assert set(PROSE[1:]) <= set(kept)
    assert len([line for line in kept if line in MENU + FOOTER]) <= 4


def test_it_leaves_clean_text_alone(reader: Reader) -> None:
    assert kept_lines(reader, PROSE) == PROSE


def test_it_keeps_an_article_and_doubts_an_error_page(reader: Reader) -> None:
    article, error_page = MENU + PROSE + FOOTER, [*MENU, "404 Not Found", "The page could not be found.", *FOOTER]
    good, bad = reader.document_margins([article, error_page])
    assert good > 0
    assert bad < good - 2


def test_a_verdict_does_not_depend_on_the_batch(reader: Reader) -> None:
    documents = [MENU + PROSE, PROSE, FOOTER * 3, ["One line."], MENU * 20]
    alone = [reader.line_margins([lines])[0] for lines in documents]
    for together, single in zip(reader.line_margins(documents), alone, strict=True):
        assert together == pytest.approx(single, abs=2e-3)


def test_odd_documents_are_read(reader: Reader) -> None:
    documents = [
        [""],
        ["", "", ""],
        ["x" * 1_000_000],
        ["日本語のテキスト。" * 40],
        ["\x00", "مرحبا"],
        ["<keep>", "<L3>"],
    ]
    for lines, margins in zip(documents, reader.line_margins(documents), strict=True):
        assert len(margins) == len(lines)
        assert all(margin == margin for margin in margins)  # noqa: PLR0124 - NaN is what is looked for


def test_it_beats_keeping_everything_on_hosts_it_never_saw(reader: Reader, shared_data: Path) -> None:
    pages = pages_of_split(load_labelled_pages([shared_data / "gold_lines" / "wcxb_dev.jsonl.gz"]), "test")
    sample = [page for page in pages if len(page.lines) < 400][:40]
    margins = reader.line_margins([page.lines for page in sample])
    ours = mean([score.words.f1 for score in score_at(sample, margins, *chosen_margins())])
    keeping = mean([score.words.f1 for score in score_at(sample, margins, 1e9)])
    assert ours > keeping + 0.03
