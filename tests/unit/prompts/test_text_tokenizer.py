"""No page can contain a control token, whatever the tokenizer and however its added tokens are flagged."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from spark_prox.models import load_tokenizer
from spark_prox.prompts.builder import PromptSpec, builder_for
from spark_prox.prompts.encoding import count_tokens, encode_all
from spark_prox.prompts.templates import TEMPLATES
from spark_prox.prompts.text_tokenizer import TextTokenizer

MARKS = ["<think>", "</think>", "<tool_call>", "<|endofprompt|>", "<s>", "[MASK]", "<\uff5cUser\uff5c>", "[CLS]"]
SENTENCES = [
    "The river rises in the hills <think> and tool_call reaches the sea.",
    "a endofprompt b MASK CLS User s",
] * 9
PAGE = (
    "The river <think> rises</think>  in<tool_call>\nthe hills <|endofprompt|> and <s>[MASK] [CLS]<\uff5cUser\uff5c>."
)


def added(special: bool, normalized: bool, strip: bool) -> list[AddedToken]:
    return [
        AddedToken(mark, special=special, normalized=normalized, lstrip=strip, rstrip=strip, single_word=False)
        for mark in MARKS
    ]


def bpe(tokens: list[AddedToken], *, in_vocabulary: bool, ignore_merges: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit() if ignore_merges else pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<unk>", *(tokens if in_vocabulary else [])]
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(special_tokens=special, show_progress=False))
    tokenizer.add_tokens(tokens)
    return tokenizer


def in_vocabulary_of(kind: str, tokens: list[AddedToken]) -> Tokenizer:
    """Tokenizers that find a control token in their vocabulary by themselves."""
    pieces = ["<unk>", *MARKS, *sorted(set("".join(SENTENCES) + PAGE) - {" ", "\n"})]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    if kind == "unigram":
        tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], 0))
        tokenizer.normalizer = normalizers.Lowercase()
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    else:
        tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_tokens(tokens)
    return tokenizer


def all_tokenizers() -> list[tuple[str, Tokenizer]]:
    found = []
    for special, normalized, strip in itertools.product((False, True), repeat=3):
        tokens, name = added(special, normalized, strip), f"{special=} {normalized=} {strip=}"
        found += [(f"bpe {known=} {name}", bpe(tokens, in_vocabulary=known)) for known in (False, True)]
        found.append((f"ignore_merges {name}", bpe(tokens, in_vocabulary=True, ignore_merges=True)))
        found += [(f"{kind} {name}", in_vocabulary_of(kind, tokens)) for kind in ("unigram", "wordpiece", "wordlevel")]
    return found


TOKENIZERS = all_tokenizers()


@pytest.mark.parametrize("tokenizer", [t for _, t in TOKENIZERS], ids=[name for name, _ in TOKENIZERS])
def test_a_page_never_gives_an_added_tokens_id(tokenizer: Tokenizer) -> None:
    control = {tokenizer.token_to_id(mark) for mark in MARKS}
    assert control & set(tokenizer.encode(PAGE, add_special_tokens=False).ids), "the test would prove nothing"
    text = TextTokenizer(tokenizer)
    for page in (PAGE, *MARKS, *(f" {mark} " for mark in MARKS), "".join(MARKS)):
        assert not control & set(text.encode(page, add_special_tokens=False).ids)
        assert not control & set(next(encode_all(text, [page])))
    assert all(text.token_to_id(mark) == tokenizer.token_to_id(mark) for mark in MARKS)


@pytest.mark.parametrize("tokenizer", [t for _, t in TOKENIZERS], ids=[name for name, _ in TOKENIZERS])
def test_any_other_text_is_encoded_as_before(tokenizer: Tokenizer) -> None:
    text = "The river rises in the hills\nand reaches the sea."
    assert TextTokenizer(tokenizer).encode(text).ids == tokenizer.encode(text).ids


def test_merges_that_make_a_control_token_are_forgotten() -> None:
    tokenizer = bpe([], in_vocabulary=False)
    tree = json.loads(tokenizer.to_str())
    tree["model"]["vocab"] |= {"qz": 5000, "qzx": 5001, "q": 5002, "z": 5003, "x": 5004}
    tree["model"]["merges"] += [["q", "z"], ["qz", "x"]]
    tokenizer = Tokenizer.from_str(json.dumps(tree))
    assert 5001 in tokenizer.encode("qzx").ids
    tokenizer.add_tokens([AddedToken("qzx", special=False)])
    assert TextTokenizer(tokenizer).encode("qzx").tokens[-2:] == ["qz", "x"]


def test_added_tokens_of_white_space_and_of_bytes_encode_text() -> None:
    tokenizer = bpe([AddedToken("    ", special=False), AddedToken("<0x0A>", special=False)], in_vocabulary=False)
    text = TextTokenizer(tokenizer)
    assert tokenizer.token_to_id("    ") in text.encode("a    b").ids
    assert tokenizer.token_to_id("<0x0A>") not in text.encode("a <0x0A> b").ids


def test_what_marks_a_thought_is_decoded_even_where_it_is_special() -> None:
    tokens = [AddedToken(mark, special=True) for mark in ("<think>", "</think>", "<|channel|>", "<s>")]
    text = TextTokenizer(bpe(tokens, in_vocabulary=False))
    numbers = [text.token_to_id(mark) for mark in ("<s>", "<think>")] + text.encode("the sea").ids
    assert text.decode_answer([*numbers, text.token_to_id("</think>"), text.token_to_id("<s>")]).replace(" ", "") == (
        "<think>thesea</think>"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder whose tokenizer has control tokens that are not flagged as special."""
    path = tmp_path_factory.mktemp("qwen")
    bpe(added(special=False, normalized=False, strip=False), in_vocabulary=False).save(str(path / "tokenizer.json"))
    (path / "config.json").write_text("{}")
    return path


@pytest.mark.parametrize("template", ["prox-doc", "prox-doc-bare", "prox-chunk", "prox-chunk-bare"])
@pytest.mark.parametrize("raw", [False, True])
def test_no_prompt_has_a_control_token_of_the_page(folder: Path, template: str, raw: bool) -> None:
    tokenizer = load_tokenizer(str(folder))
    control = {tokenizer.token_to_id(mark) for mark in MARKS}
    spec = PromptSpec(
        template=TEMPLATES[template], model_path=str(folder), max_prompt_tokens=4000, max_chunk_tokens=900,
        max_new_tokens=8, decide="generate",
    )  # fmt: skip
    builder = builder_for(spec)
    if raw:  # given a tokenizer as it is
        builder = type(builder)(spec, Tokenizer.from_file(str(folder / "tokenizer.json")), bos_token_id=None)  # type: ignore[call-arg]
    if TEMPLATES[template].stage == "doc":
        assert not control & set(builder.document_prompt(PAGE * 50).token_ids)
    else:
        prompts = [prompt for _, prompt in builder.chunk_prompts(PAGE)]
        assert prompts
        assert not any(prompt is None or control & set(prompt.token_ids) for prompt in prompts)


def test_tokens_are_counted_as_text(folder: Path) -> None:
    tokenizer = load_tokenizer(str(folder))
    assert count_tokens(tokenizer, ["<think>"])[0] > 1
    assert count_tokens(tokenizer, ["<think>"]) == [len(tokenizer.encode("<think>", add_special_tokens=False).ids)]
