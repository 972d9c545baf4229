from __future__ import annotations

import itertools
import random

import pytest

from spark_prox.engines.grammar import ProgramGrammar
from spark_prox.programs import parse_program
from spark_prox.programs.ops import KeepAll, RemoveLines, ReplaceText
from tests.tiny_models import llama2_style_tokenizer

STOP = 2


def byte_level_tokenizer() -> object:
    """The other family: BPE over bytes, as GPT-2's and Qwen's; it has every digit."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ['remove_lines(start=0, end=74)\nnormalize(source_str="a", target_str="")'] * 4, trainer
    )
    return tokenizer


@pytest.fixture(scope="module", params=[llama2_style_tokenizer, byte_level_tokenizer], ids=["llama-2", "byte-level"])
def tokenizer(request: pytest.FixtureRequest) -> object:
    return request.param()


@pytest.fixture(scope="module")
def grammar(tokenizer: object) -> ProgramGrammar:
    return ProgramGrammar(tokenizer, [STOP])  # type: ignore[arg-type]


def accepts(grammar: ProgramGrammar, tokenizer: object, program: str, lines: tuple[int, int]) -> bool:
    """Whether the program's own tokens may come one after the other, and then the end."""
    guide = grammar.guide(lines)
    state = guide._state
    for id_ in tokenizer.encode(program, add_special_tokens=False).ids:  # type: ignore[attr-defined]
        if id_ not in grammar.allowed(state):
            return False
        state = grammar.after(state, id_)  # type: ignore[assignment]
    return STOP in grammar.allowed(state)


@pytest.mark.parametrize(
    "program",
    [
        "keep_chunk()",
        "untouch_doc()",
        "remove_lines(line_start=10, line_end=10)",
        "remove_lines(start=10, end=12)\nremove_lines(start=99, end=103)",
        'normalize(source_str="a b", target_str="")',
        'normalize(source_str="x")\nremove_lines(start=103, end=103)',
    ],
)
def test_a_valid_program_is_allowed(grammar: ProgramGrammar, tokenizer: object, program: str) -> None:
    assert accepts(grammar, tokenizer, program, (10, 103))


@pytest.mark.parametrize(
    "program",
    [
        "",
        "keep_chunk",
        "keep_chunk()\nkeep_chunk()",
        "drop_doc()",
        "remove_lines(start=9, end=12)",
        "remove_lines(start=12, end=11)",
        "remove_lines(start=12, end=104)",
        "remove_lines(start=012, end=14)",
        "remove_lines(start=12, line_end=14)",
        "remove_lines(start=12, end=20)\nremove_lines(start=20, end=21)",
        "remove_lines(start=12, end=103)\nremove_lines(start=",
        'normalize(source_str="a)',
        "remove_lines(start=12, end=14)\n",
    ],
)
def test_anything_else_is_not(grammar: ProgramGrammar, tokenizer: object, program: str) -> None:
    assert not accepts(grammar, tokenizer, program, (10, 103))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_chosen_among_the_allowed_tokens_is_a_valid_program(
    grammar: ProgramGrammar, tokenizer: object, seed: int
) -> None:
    dice = random.Random(seed)
    first, last = dice.choice(((0, 4), (7, 7), (9, 14), (97, 114), (990, 1047)))  # the first tokenizer knows no 5 and 8
    guide, written = grammar.guide((first, last)), []
    while STOP not in written and len(written) < 400:
        allowed = grammar.allowed(guide._state)
        assert allowed
        closing = [id_ for id_ in allowed if id_ == STOP or '"' in grammar._texts.get(id_, "")]
        written += guide.advance(dice.choice(closing if closing and dice.random() < 0.4 else allowed))
    if STOP not in written:
        return
    text = tokenizer.decode(written[: written.index(STOP)])  # type: ignore[attr-defined]
    program = parse_program(text)
    assert program.errors == ()
    if any(isinstance(op, KeepAll) for op in program.program):
        assert len(program.program) == 1
    removed = [op for op in program.program if isinstance(op, RemoveLines)]
    assert all(first <= op.first <= op.last <= last for op in removed)
    assert all(a.last < b.first for a, b in itertools.pairwise(removed))
    assert all(isinstance(op, (KeepAll, RemoveLines, ReplaceText)) for op in program.program)
