from __future__ import annotations

import pytest

from spark_prox.config.export import ExportConfig
from spark_prox.config.run import load_config
from spark_prox.errors import ConfigError
from spark_prox.export.placing import TRAIN, VALIDATION, Placing, shard_ranges

IDS = [f"d{number}" for number in range(4_000)]


def test_a_host_is_in_one_split_and_the_share_is_about_what_was_asked() -> None:
    placing = Placing(config=ExportConfig(holdout=0.1))
    splits = [placing.split("a", f"https://www.site{number}.example/x") for number in range(4_000)]
    assert 320 < splits.count(VALIDATION) < 480
    for number in range(50):
        pages = {
            placing.split(str(n), f"https://{sub}.site{number}.example/{n}") for n, sub in enumerate(["a", "b", "www"])
        }
        assert len(pages) == 1
    assert {Placing(config=ExportConfig()).split(doc_id, None) for doc_id in IDS} == {TRAIN}


def test_documents_without_a_host_are_split_one_by_one() -> None:
    splits = [Placing(config=ExportConfig(holdout=0.25)).split(doc_id, None) for doc_id in IDS]
    assert 900 < splits.count(VALIDATION) < 1_100


def test_a_mixture_takes_whole_copies_and_a_share_of_the_rest() -> None:
    placing = Placing(config=ExportConfig(mixture={"news": 2.5, "forum": 0.25, "spam": 0, "*": 1}))
    news, forum = ([placing.copies(doc_id, source, TRAIN) for doc_id in IDS] for source in ("news", "forum"))
    assert set(news) == {2, 3}
    assert 1_850 < news.count(3) < 2_150
    assert 900 < sum(forum) < 1_100
    assert {placing.copies(doc_id, "spam", TRAIN) for doc_id in IDS} == {0}
    assert {placing.copies(doc_id, None, TRAIN) for doc_id in IDS} == {1}
    assert ExportConfig(mixture={2024: 3}).weight_of("2024") == 3  # type: ignore[dict-item]
    # A held-out document is never there twice.
    assert {placing.copies(doc_id, "news", VALIDATION) for doc_id in IDS} == {1}


def test_places_depend_on_the_seed_and_fill_the_shards_evenly() -> None:
    ranges = shard_ranges({"validation": 1, "train": 4})
    assert ranges == (("train", 0, 4), ("validation", 4, 1))
    placing = Placing(config=ExportConfig(seed=1), ranges=ranges)
    places = [placing.place(doc_id, 0) for doc_id in IDS]
    shards = [placing.shard(TRAIN, place) for place in places]
    assert all(850 < shards.count(shard) < 1_150 for shard in range(4))
    assert placing.shard(VALIDATION, places[0]) == 4
    assert [placing.shard(TRAIN, place) for place in (0, (1 << 63) - 1)] == [0, 3]
    # A shard holds a range of places: the shards one after the other are the whole order.
    assert sorted(IDS, key=lambda d: placing.place(d, 0)) == sorted(
        IDS, key=lambda d: (placing.shard(TRAIN, placing.place(d, 0)), placing.place(d, 0))
    )
    assert len(set(places) | {placing.place(doc_id, 1) for doc_id in IDS}) == 8_000
    assert places == [Placing(config=ExportConfig(seed=1)).place(doc_id, 0) for doc_id in IDS]
    assert places != [Placing(config=ExportConfig(seed=2)).place(doc_id, 0) for doc_id in IDS]


@pytest.mark.parametrize(
    "setting",
    ["holdout=0.7", "shards=0", "mixture={a: -1}", "mixture={a: many}", "format=csv", "push_to=one", "shard_bytes=0"],
)
def test_a_wrong_setting_is_named(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"CONFIG_BAD_VALUE.*export"):
        load_config(None, [f"export.{setting}"])
