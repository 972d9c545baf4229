from __future__ import annotations

import random

from spark_prox.heuristics.minhash import MinHash

KNOWN = "6a53ed09e887b200"
TEXTS = 30
WORDS = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(400)]


def text(seed: int, words: int = 300) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def shared(one: str, other: str) -> int:
    first, second = MinHash().keys(one), MinHash().keys(other)
    assert first is not None
    assert second is not None
    return sum(a == b for a, b in zip(first, second, strict=True))


def test_a_text_has_a_key_for_each_band_and_the_same_ones_everywhere() -> None:
    keys = MinHash().keys("The river runs below the hill, where people live.")
    assert keys is not None
    assert [len(key) for key in keys] == [8] * 14
    assert len(set(keys)) == 14
    # They are stored: other ones would lose the duplicates of earlier runs.
    assert keys[0].hex() == KNOWN


def test_case_punctuation_accents_and_numbers_do_not_count() -> None:
    assert shared("Le café ouvre à 9 heures et ferme à 18", "le CAFE, ouvre a 10 heures -- et ferme a 3,5!") == 14


def test_similar_texts_meet_in_a_band_and_others_do_not() -> None:
    meetings = {0.02: 0, 0.5: 0}
    for share in meetings:
        for seed in range(TEXTS):
            words = text(seed)
            changed = list(words)
            for place in random.Random(-seed).sample(range(len(words)), int(share * 100) // 4 or 1):
                changed[place] = "other"
            if share == 0.5:
                changed = text(seed + 1_000)
            meetings[share] += shared(" ".join(words), " ".join(changed)) > 0
    assert meetings[0.02] == TEXTS  # one word of 300 is another
    assert meetings[0.5] == 0  # nothing in common


def test_half_of_the_ngrams_in_common_is_seldom_enough_and_nine_tenths_nearly_always() -> None:
    found = []
    for words in (40, 4):  # replaced at equal distances: each takes five 5-grams
        met = 0
        for seed in range(TEXTS):
            one = text(seed)
            other = list(one)
            for n in range(words):
                other[n * len(one) // words] = "other"
            met += shared(" ".join(one), " ".join(other)) > 0
        found.append(met)
    few, many = found
    assert few <= 2  # a Jaccard similarity of 0.2: 0.003%
    assert many >= TEXTS - 2  # of 0.87: 99.8%


def test_a_text_of_fewer_words_than_an_ngram_is_not_compared() -> None:
    assert MinHash().keys("one two three four") is None
    assert MinHash().keys("") is None
    assert MinHash().keys("one two three four five") is not None
