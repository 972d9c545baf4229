"""What fine-tuning learns from: examples, the prompts of production, and what each token of a program counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_prox.annotation.labels import LabelledPage, split_of
from spark_prox.errors import ConfigError, InputError, ModelError
from spark_prox.models import load_tokenizer
from spark_prox.programs import RemoveLines, ReplaceText, parse_program, refine_text
from spark_prox.prompts.chunking import Chunk
from spark_prox.training.sft.examples import Example, document_examples, load_examples, page_example
from spark_prox.training.sft.samples import SampleMaker, chunk_ops, prompt_builder, weighted_program
from spark_prox.training.sft.settings import SftConfig
from spark_prox.training.synthetic import synthetic_pages
from tests.unit.training.sft_models import obvious_examples, small_config, write_small_model


@pytest.fixture(scope="module")
def config(tiny_llama: Path) -> SftConfig:
    return SftConfig(
        model=str(tiny_llama), output="unused", examples=("unused",), max_prompt_tokens=512, max_chunk_tokens=300,
        max_new_tokens=180,
    )  # fmt: skip


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> SftConfig:
    """A tokenizer like those of Llama 3, Qwen and SmolLM: no text is lost in it."""
    folder = tmp_path_factory.mktemp("byte-level")
    model = write_small_model(folder / "model", obvious_examples(20))
    return small_config(model, folder, folder, max_prompt_tokens=700, max_new_tokens=250)


def decoded(config: SftConfig, ids: tuple[int, ...]) -> str:
    text: str = load_tokenizer(config.model).decode(ids, skip_special_tokens=True)
    return text.strip()


def test_a_pages_chunks_together_remove_what_people_do_not_keep(byte_level: SftConfig) -> None:
    for page in synthetic_pages(8, seed=5):
        programs = [
            decoded(byte_level, sample.ids[sample.prompt_tokens :])
            for sample in SampleMaker(byte_level).samples(page_example(page))
        ]
        kept = [line for line, keep in zip(page.lines, page.keep, strict=True) if keep >= 0.5]
        calls = "\n".join(program for program in programs if program != "keep_chunk()")
        assert len(programs) > 1
        assert refine_text("\n".join(page.lines), calls, policy="permissive").text == "\n".join(kept)


def test_the_prompts_are_those_of_generation(config: SftConfig) -> None:
    example = page_example(synthetic_pages(1, seed=6)[0])
    asked = [
        prompt.token_ids
        for _, prompt in prompt_builder(config, "chunk", config.model).chunk_prompts(example.text)
        if prompt is not None
    ]
    assert [sample.ids[: sample.prompt_tokens] for sample in SampleMaker(config).samples(example)] == asked
    document = Example(example_id="d", stage="doc", text="A word. " * 400, program="drop_doc()")
    (sample,) = SampleMaker(config).samples(document)
    asked_document = prompt_builder(config, "doc", config.model).document_prompt(document.text)
    assert sample.ids[: sample.prompt_tokens] == asked_document.token_ids
    assert len(sample.ids) <= config.max_prompt_tokens


def test_a_documents_verdict_is_read_where_it_was_learnt(config: SftConfig) -> None:
    """The engine reads one token behind the prompt: it has to be one that training made likely."""
    text = "The river rises in the hills."
    read = prompt_builder(config, "doc", config.model, decide="read").document_prompt(text)
    for verdict, token in zip(("keep_doc()", "drop_doc()"), read.read_tokens, strict=True):
        (sample,) = SampleMaker(config).samples(Example(example_id="d", stage="doc", text=text, program=verdict))
        at = read.read_at[0] + 1
        assert sample.ids[: len(read.token_ids)] == read.token_ids
        assert sample.ids[at] == token


def test_a_program_is_cut_where_decoding_would_cut_it(config: SftConfig) -> None:
    lines = ["word"] * 24
    program = "\n".join(f"remove_lines(line_start={n}, line_end={n})" for n in range(0, 24, 2))
    example = Example(example_id="e", stage="chunk", text="\n".join(lines), program=program)
    for sample in SampleMaker(config).samples(example):
        assert len(sample.ids) - sample.prompt_tokens <= config.max_new_tokens
        assert len(sample.weights) == len(sample.ids) - sample.prompt_tokens


def test_what_a_token_counts_is_what_is_at_stake_in_it() -> None:
    """Ten words of content, three lines of one word each to remove, then twenty words of content."""
    lines = (" ".join("w" * 10), "a", "b", "c", " ".join("w" * 20))
    chunk = Chunk(chunk_index=0, first_line=5, lines=lines)
    program, spans, rest = weighted_program([RemoveLines(6, 8)], chunk, content_factor=2.0)
    assert program == "remove_lines(line_start=6, line_end=8)"
    comma = program.index(",")
    assert spans == [(0, comma, 2 * 10 + 3), (comma, len(program), 3 + 2 * 20)]
    assert rest == 2 * 20


def test_losing_long_content_costs_more_than_losing_short_content(config: SftConfig) -> None:
    def weights(content: str) -> list[float]:
        text = f"The title\nHome\n{content}"
        example = Example(example_id="e", stage="chunk", text=text, program="remove_lines(1, 1)")
        return list(SampleMaker(config).samples(example)[0].weights)

    short, long = weights("River."), weights("The river rises in the hills. " * 16)
    assert short[0] == long[0]  # where the removal begins, the title lies before it
    assert long[-2] > 2 * short[-2]  # where it ends, the content after it is at stake
    assert long[-1] > 2 * short[-1]  # at the program's end too


def test_keeping_everything_counts_by_all_content() -> None:
    chunk = Chunk(chunk_index=0, first_line=0, lines=("one two three", "four"))
    at_stake = 1.5 * (3 + 6 + 1 + 6)  # both lines are short ones
    assert weighted_program([], chunk, content_factor=1.5) == ("keep_chunk()", [(0, 12, at_stake)], at_stake)


def test_a_title_and_what_a_template_repeats_count_more_than_their_words() -> None:
    chunk = Chunk(chunk_index=0, first_line=4, lines=("Home", "The title", " ".join("w" * 9) + " Share"))
    ops = [RemoveLines(4, 4), ReplaceText(" Share", "")]
    _, spans, rest = weighted_program(ops, chunk, content_factor=2.0, title=5)
    content = 2.0 * ((2 + 6 + 30) + 10)
    assert [stake for *_, stake in spans] == [0 + 1, 1 + content, 1 + 20]
    assert rest == content


def test_replacements_go_to_the_chunks_that_hold_their_text() -> None:
    ops = parse_program('remove_lines(1, 3)\nnormalize("€", "")').program
    first = Chunk(chunk_index=0, first_line=0, lines=("5 €", "x"))
    second = Chunk(chunk_index=1, first_line=2, lines=("x €", "x", "end"))
    assert chunk_ops(ops, {1, 2, 3}, first) == [RemoveLines(1, 1), ReplaceText("€", "")]
    assert chunk_ops(ops, {1, 2, 3}, second) == [RemoveLines(2, 3)]


def test_a_document_that_is_hard_to_decide_counts_less() -> None:
    made = document_examples(synthetic_pages(40), per_page=1.5, seed=0)
    assert 50 <= len(made) <= 70
    assert {example.program for example in made} == {"keep_doc()", "drop_doc()"}
    assert len({example.weight for example in made}) > 2
    assert made == document_examples(synthetic_pages(40), per_page=1.5, seed=0)


@pytest.mark.parametrize(
    ("host", "url", "page_id"),
    [("b.co.uk", "https://a.b.co.uk/x", "7"), ("s:7", None, "7"), ("s:s:7", None, "7"), (None, None, "7")],
)
def test_an_example_falls_into_its_pages_split(host: str | None, url: str | None, page_id: str) -> None:
    """As jobs/annotate.py writes the host of a page, and of one without a URL."""
    page = LabelledPage(page_id=page_id, source="s", url=url, lines=(), keep=())
    example = Example(example_id="7", stage="doc", text="t", program="keep_doc()", source="s", host=host)
    assert example.split == split_of(page)


def test_examples_are_read_from_json_lines(tmp_path: Path) -> None:
    row = {"id": 3, "host": "a.example", "stage": "chunk", "text": "a\nb", "program": "remove_lines(0, 0)", "weight": 2}
    (tmp_path / "found.jsonl").write_text(json.dumps(row) + "\n")
    (example,) = load_examples([tmp_path])
    assert (example.example_id, example.source, example.weight) == ("3", "found", 2.0)
    assert example.wanted_text == "b"


@pytest.mark.parametrize(
    "change", [{"stage": "page"}, {"text": None}, {"program": "remove_lines("}, {"program": ""}, {"weight": "much"}]
)
def test_a_bad_example_is_named_by_row(tmp_path: Path, change: dict[str, object]) -> None:
    row = {"id": "1", "stage": "chunk", "text": "a secret", "program": "keep_chunk()", **change}
    (tmp_path / "e.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=r"EXAMPLES_BAD_ROW.*row 1 of e.jsonl") as caught:
        load_examples([tmp_path / "e.jsonl"])
    assert "secret" not in str(caught.value)


def test_no_examples_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="EXAMPLES_MISSING"):
        load_examples([tmp_path / "none.jsonl"])


@pytest.mark.parametrize(
    "change",
    [{"precision": "fp8"}, {"epochs": 0}, {"batching": "on"}, {"final_learning_rate": 1.0}, {"examples": ()}],
)
def test_a_wrong_setting_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SftConfig(**{"model": "m", "output": "o", "examples": ("e",), **change})  # type: ignore[arg-type]


def test_a_template_that_generates_nothing_is_refused(config: SftConfig) -> None:
    with pytest.raises(ModelError, match="TEMPLATE_UNTRAINABLE"):
        prompt_builder(SftConfig(model=config.model, output="o", examples=("e",), chunk_template="embedded-chunk"),
                       "chunk", config.model)  # fmt: skip
