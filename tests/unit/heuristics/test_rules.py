"""The rules against what datatrove's implementations say of the same texts (rule_verdicts.json), and in detail.

`python bench/filters.py golden` writes the file anew. Texts are ours: made ones and the example pages.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from spark_prox.heuristics.rules.page import Page
from spark_prox.heuristics.rules.verdicts import RULE_SETS, broken_rule
from spark_prox.heuristics.rules.words import split_words
from spark_prox.heuristics.text_verdicts import judge_rules, judged
from tests.unit.heuristics.rule_texts import rule_texts

GOLDEN = json.loads((Path(__file__).parent / "rule_verdicts.json").read_text(encoding="utf-8"))
# datatrove's names of the rules, by ours.
NAMES = {
    "gopher_repetition": {
        "DUPLICATE_PARAGRAPHS": "dup_para_frac",
        "DUPLICATE_PARAGRAPH_CHARACTERS": "dup_para_char_frac",
        "DUPLICATE_LINES": "dup_line_frac",
        "DUPLICATE_LINE_CHARACTERS": "dup_line_char_frac",
        **{f"TOP_{n}_GRAM": f"top_{n}_gram" for n in (2, 3, 4)},
        **{f"DUPLICATE_{n}_GRAMS": f"duplicated_{n}_n_grams" for n in range(5, 11)},
    },
    "gopher_quality": {
        "SHORT": "gopher_short_doc",
        "LONG": "gopher_long_doc",
        "HASHES": "gopher_too_many_hashes",
        "ELLIPSES": "gopher_too_many_ellipsis",
        "BULLET_LINES": "gopher_too_many_bullets",
        "ELLIPSIS_LINES": "gopher_too_many_end_ellipsis",
        "ALPHABETIC_WORDS": "gopher_below_alpha_threshold",
        "STOP_WORDS": "gopher_enough_stop_words",
    },
    "c4": {"LOREM_IPSUM": "lorem_ipsum", "CURLY_BRACKET": "curly_bracket", "SENTENCES": "too_few_sentences"},
    "fineweb": {
        "LINE_ENDS": "line_punct_ratio",
        "SHORT_LINES": "short_line_ratio",
        "DUPLICATE_LINES": "char_dup_ratio",
        "LINE_BREAKS": "list_ratio",
    },
}


def their_name(rules: str, broken: tuple[str, str] | None) -> str | None:
    if broken is None:
        return None
    if broken[0] == "WORD_LENGTH":
        return f"gopher_{'below' if float(broken[1].split()[0]) < 5 else 'above'}_avg_threshold"
    return NAMES[rules][broken[0]]


@pytest.mark.parametrize("rules", RULE_SETS)
def test_the_rules_say_what_datatrove_says_and_name_the_same_rule(rules: str) -> None:
    texts = rule_texts()
    assert {*GOLDEN} == {*texts}
    ours = {name: their_name(rules, RULE_SETS[rules](Page(text))) for name, text in texts.items()}
    assert ours == {name: found[rules] for name, found in GOLDEN.items()}
    assert len({*ours.values()}) >= 3  # the texts break several rules of the set, and some keep all


def test_words_are_those_of_the_published_thresholds() -> None:
    words = split_words("Don't stop: well-known U.S. firms (Smith's, Ltd.) paid $5,000.50 at 5pm... see www.x.com/a-b!")
    assert words == [
        *("Do", "n't", "stop", ":", "well", "-", "known", "U.S.", "firms", "(", "Smith", "'s", ",", "Ltd.", ")"),
        *("paid", "$", "5,000.50", "at", "5", "pm", "...", "see", "www.x.com/a-b", "!"),
    ]


def test_the_first_set_in_order_gives_the_reason() -> None:
    assert broken_rule("a b c", ["fineweb", "gopher_quality"]) == ("RULE_GOPHER_QUALITY_SHORT", "3 words < 50")
    assert broken_rule("a b c", ["c4"]) == ("RULE_C4_SENTENCES", "0 < 5")
    assert broken_rule(" \n ", ["c4"]) == ("RULE_EMPTY", "")
    good = rule_texts()["prose"]
    assert broken_rule(good, list(RULE_SETS)) is None
    without_ends = good.replace(".", "")
    assert broken_rule(without_ends, ["c4"], c4_line_ends=True) == ("RULE_C4_SENTENCES", "0 < 5")
    assert broken_rule(without_ends, ["c4"], c4_line_ends=False) is None


@pytest.mark.parametrize(
    "piece", ["." * 5_000, "(" * 300_000, "a.b" * 100_000, "'" * 1_999 + " ", "-x" * 50_000, "\0" * 99]
)
def test_hostile_text_gets_a_verdict_and_takes_its_length(piece: str) -> None:
    assert judge_rules(piece, sets=tuple(RULE_SETS), c4_line_ends=True).reason is not None


def test_an_error_of_ours_keeps_the_document_and_says_so() -> None:
    def broken(text: str) -> None:
        raise ValueError(text)

    found = judged(broken, "secret")  # type: ignore[arg-type]
    assert (found.reason, found.detail) == (None, "FILTER_ERROR:ValueError")


@pytest.mark.slow
def test_verdicts_agree_with_datatrove_on_real_pages(shared_data: Path, repository: Path) -> None:
    python = os.environ.get("SPARK_PROX_DATATROVE_PYTHON")
    if not python:
        pytest.skip("SPARK_PROX_DATATROVE_PYTHON names no interpreter with datatrove, nltk and spacy")
    files = [*sorted((shared_data / "cc_text").glob("*.gz")), shared_data / "gold_docs_dclm_human.jsonl.gz"]
    lines = [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    texts = [line["text"] for line in lines if (line.get("text") or "").strip()]
    done = subprocess.run(
        [python, str(repository / "bench" / "reference_filters.py"), "rules"],
        input="".join(json.dumps({"text": text}) + "\n" for text in texts),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    for name, rules in RULE_SETS.items():
        same = sum(
            (rules(Page(text)) is None) == (found[name] is None) for text, found in zip(texts, theirs, strict=True)
        )
        assert same >= 0.995 * len(texts), f"{name}: {same} of {len(texts)}"
