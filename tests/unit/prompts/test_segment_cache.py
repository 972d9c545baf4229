"""A cache of segments gives the tokenizer's own ids for every layout that it takes, and takes no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from spark_prox.prompts import segment_cache
from spark_prox.prompts.segment_cache import SegmentCache
from spark_prox.prompts.segment_layouts import segments_of
from spark_prox.prompts.text_tokenizer import TextTokenizer
from tests.unit.prompts.corpus import SENTENCES

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ODD = "ab 1[]2.!'\u00a0\u3000\u2581\u00b4\u0301\u200b\u0085\x1c\n\r\t…½ﬁ中文Ａİ<s>"
WORDS = st.one_of(
    st.text(st.sampled_from("ab1[]2.!'\u00a0\t\r\0´中<s>"), max_size=6), st.sampled_from(("[012]Home", "1]]2]", "]"))
)
PLAIN = st.lists(WORDS, max_size=12)
TEXTS = st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=40)


def bytes_of(normalizer: Any, *cuts: Any) -> Tokenizer:
    """A byte-level tokenizer, as GPT-2's and later ones."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(cuts)) if len(cuts) > 1 else cuts[0]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    train(tokenizer, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False))
    return tokenizer


def train(tokenizer: Tokenizer, trainer: trainers.BpeTrainer) -> None:
    tokenizer.train_from_iterator([f"{text}\n" for text in SENTENCES], trainer)


def sentencepiece(*, prepend: bool = False, spanning: str = "") -> Tokenizer:
    """As Llama 2's: texts are encoded whole, and what has no token falls apart into bytes."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    train(trained, trainers.BpeTrainer(vocab_size=400, show_progress=False))
    tree = json.loads(trained.to_str())
    model = tree["model"]
    names = [*(f"<0x{byte:02X}>" for byte in range(256)), "\r", "a\r", "▁▁", "▁▁▁▁"]
    merges = [["a", "\r"], ["▁", "▁"], ["▁▁", "▁▁"]]
    if spanning:
        names += [f"a{spanning}"]
        merges += [["a", spanning]]
    model["vocab"] = {name: number for number, name in enumerate(dict.fromkeys([*names, *model["vocab"]]))}
    model["merges"] = [*merges, *model["merges"]]
    model["byte_fallback"] = model["fuse_unk"] = True
    tree["pre_tokenizer"]["split"] = False
    if prepend:
        tree["pre_tokenizer"] = None
        changes = [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
        tree["normalizer"] = {"type": "Sequence", "normalizers": changes}
    return Tokenizer.from_str(json.dumps(tree))


LAYOUTS: dict[str, Callable[[], Tokenizer]] = {
    "gpt2": lambda: bytes_of(None, pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "smollm2": lambda: bytes_of(
        None, pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    ),
    "embedded": lambda: bytes_of(
        normalizers.Sequence([normalizers.Replace(Regex(r"\d"), "0"), normalizers.Lowercase()]),
        pre_tokenizers.ByteLevel(add_prefix_space=True),
    ),
    "llama3": lambda: bytes_of(
        normalizers.NFC(),
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ),
    "llama2": sentencepiece,
    "tinyllama": lambda: sentencepiece(prepend=True),
}


def remembered(words: SegmentCache) -> int:
    return len(words._words.known) + len(words._segments.known)


@pytest.fixture(scope="module", params=LAYOUTS)
def tokenizer(request: pytest.FixtureRequest) -> TextTokenizer:
    return TextTokenizer(LAYOUTS[request.param]())


@given(st.lists(TEXTS, max_size=4))
def test_ids_are_those_of_the_whole_text(tokenizer: TextTokenizer, texts: list[str]) -> None:
    assert isinstance(tokenizer.words, SegmentCache)
    expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    assert tokenizer.words.encode(texts) == expected
    assert tokenizer.words.encode(texts) == expected  # from memory


@given(PLAIN, st.lists(st.sampled_from(" \n"), min_size=12, max_size=12))
def test_texts_with_single_blanks_and_ends_of_lines_are_cut_at_these(
    tokenizer: TextTokenizer, words: list[str], blanks: list[str]
) -> None:
    assert isinstance(tokenizer.words, SegmentCache)
    text = "".join(map("".join, zip(words, blanks, strict=False)))
    expected = [tokenizer.encode(one, add_special_tokens=False).ids for one in (text, text[:-1], text + "\n")]
    assert tokenizer.words.encode([text, text[:-1], text + "\n"]) == expected


@given(st.lists(st.one_of(TEXTS, st.lists(WORDS, max_size=6).map(" ".join)), max_size=6))
def test_lines_that_are_counted_together_have_the_tokens_of_each(tokenizer: TextTokenizer, lines: list[str]) -> None:
    assert isinstance(tokenizer.words, SegmentCache)
    expected = [len(tokenizer.encode(f"{line}\n", add_special_tokens=False).ids) for line in lines]
    assert tokenizer.words.line_lengths(lines) == expected
    numbered = [f"[{number:03d}]{line}" for number, line in enumerate(lines)]
    expected = [len(tokenizer.encode(f"{line}\n", add_special_tokens=False).ids) for line in numbered]
    assert tokenizer.words.line_lengths(numbered) == expected


@given(
    st.lists(st.one_of(TEXTS, st.lists(WORDS, max_size=6).map(" ".join)), min_size=1, max_size=6),
    st.sampled_from(["", "[doc]\n", "Lines:", "a  \n\n"]),
    st.sampled_from(["", "\n[/doc]", "\n\n end 1]", "[/doc]", " "]),
    st.sampled_from(["[{:03d}]{}", "{1} [{0:03d}]", "{0}: {1}"]),
)
def test_lines_in_a_row_have_the_ids_of_their_text(
    tokenizer: TextTokenizer, lines: list[str], prefix: str, suffix: str, shape: str
) -> None:
    assert isinstance(tokenizer.words, SegmentCache)
    shown = [shape.format(number, line) for number, line in enumerate(lines)]
    known = tokenizer.words.lines(shown)
    for start in range(len(lines) if known else 0):
        for stop in range(start + 1, len(lines) + 1):
            text = prefix + "\n".join(shown[start:stop]) + suffix
            found = known.joined(start, stop, prefix=prefix, suffix=suffix) if known else None
            assert found in (None, tokenizer.encode(text, add_special_tokens=False).ids)


def test_lines_of_a_page_are_joined(tokenizer: TextTokenizer) -> None:
    assert isinstance(tokenizer.words, SegmentCache)
    shown = ["[000]Home", "[001]The river rose  two metres. ", "[002]", "[003]It fell."]
    known = tokenizer.words.lines(shown)
    if known is None:
        found = segments_of(tokenizer.whole)
        assert found is not None
        assert found.joining is None or "\n" in found.joining
        return
    ids = tokenizer.encode("[doc]\n" + "\n".join(shown) + "\n[/doc]", add_special_tokens=False).ids
    assert known.joined(0, 4, prefix="[doc]\n", suffix="\n[/doc]") == ids
    assert known.joined(0, 2, prefix="[doc]\n", suffix="\n[/doc]") is None  # a blank meets the end
    assert known.joined(0, 4, prefix="[doc]\n", suffix="[/doc]") is None


@given(TEXTS, st.integers(0, 40))
def test_a_beginning_has_as_many_tokens_as_fit_in_whole_segments(
    tokenizer: TextTokenizer, text: str, tokens: int
) -> None:
    assert isinstance(tokenizer.words, SegmentCache)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    found, seen, following = tokenizer.words.beginning(text, tokens)
    assert text.startswith(found + following)
    assert tokenizer.encode(found, add_special_tokens=False).ids == ids[:seen]
    assert seen <= tokens
    assert bool(following) == (len(ids) > tokens)
    if following:
        assert len(tokenizer.encode(found + following, add_special_tokens=False).ids) > tokens


@pytest.mark.parametrize(
    "made",
    [
        lambda: sentencepiece(spanning="▁"),
        lambda: bytes_of(normalizers.NFKC(), pre_tokenizers.ByteLevel()),
        lambda: bytes_of(
            None,
            pre_tokenizers.Split(Regex(r"\S+\s*"), "isolated"),
            pre_tokenizers.ByteLevel(use_regex=False),
        ),
        lambda: bytes_of(None, pre_tokenizers.ByteLevel(use_regex=False)),
    ],
    ids=["a token over a blank", "a normalizer that makes blanks", "an unknown pattern", "no words at all"],
)
def test_other_layouts_have_no_cache(made: Callable[[], Tokenizer]) -> None:
    assert TextTokenizer(made()).words is None


def test_a_token_of_blanks_is_cut_out_of_texts_and_leaves_no_cache() -> None:
    tokenizer = LAYOUTS["gpt2"]()
    tokenizer.add_tokens([AddedToken("  ", normalized=False)])
    assert segments_of(tokenizer) is None


def test_the_number_of_a_line_is_a_segment_of_its_own(tokenizer: TextTokenizer) -> None:
    assert isinstance(tokenizer.words, SegmentCache)
    tokenizer.words.encode(["[011]Home page.\n[012]Read more!\n[013]Home"])
    known = remembered(tokenizer.words)
    text = "[011]Home page.\n[012]Home\n[013]Read"
    assert tokenizer.words.encode([text]) == [tokenizer.encode(text, add_special_tokens=False).ids]
    assert remembered(tokenizer.words) <= known + 1  # "page." without the line's end in some layouts


def test_texts_of_rare_characters_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    words = TextTokenizer(LAYOUTS["gpt2"]()).words
    assert isinstance(words, SegmentCache)
    monkeypatch.setattr(segment_cache, "_MAX_SIZE", 10_000)
    most = 0
    for number in range(300):
        words.encode([" ".join(chr(0x20000 + number * 40 + n) * 4 for n in range(40))])
        most = max(most, sum(len(ids) for ids in words._words.known.values()))
    assert 5_000 < most < 10_000


def test_a_segment_is_encoded_once_and_long_ones_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    tokenizer = LAYOUTS["gpt2"]()

    def encode(texts: list[str]) -> list[list[int]]:
        asked.extend(texts)
        return [tokenizer.encode(text).ids for text in texts]

    pattern = segments_of(tokenizer)
    assert pattern is not None
    monkeypatch.setattr(segment_cache, "_MAX_SEGMENTS", 3)
    cache = SegmentCache(encode, pattern)
    long = " " + "y" * 300
    asked.clear()
    assert cache.encode(["a bb", f"a{long} bb"]) == [tokenizer.encode(text).ids for text in ("a bb", f"a{long} bb")]
    assert sorted(asked) == ["0 bb", f"0{long}", "a"]
    asked.clear()
    assert cache.encode([f"a bb{long}"]) == [tokenizer.encode(f"a bb{long}").ids]
    assert asked == [f"0{long}"]
    cache.encode(["a c d e"])  # more than it may hold: it begins anew
    asked.clear()
    assert cache.encode(["a"]) == [tokenizer.encode("a").ids]
    assert asked == ["a"]
