from __future__ import annotations

import time
from pathlib import Path

import pytest

from spark_prox.errors import ModelError
from spark_prox.models import load_tokenizer
from spark_prox.prompts.builder import PromptSpec, builder_for
from spark_prox.prompts.compact import CompactPrompt
from spark_prox.prompts.templates import TEMPLATES, template_for
from spark_prox.prompts.text_builder import TextPromptBuilder


def spec(tiny_llama: Path, template: str, **changes: object) -> PromptSpec:
    values: dict[str, object] = {
        "template": TEMPLATES[template],
        "model_path": str(tiny_llama),
        "max_prompt_tokens": 512,
        "max_chunk_tokens": 200,
        "max_new_tokens": 32,
        **changes,
    }
    return PromptSpec(**values)  # type: ignore[arg-type]


def decoded(tiny_llama: Path, ids: tuple[int, ...]) -> str:
    return str(load_tokenizer(str(tiny_llama)).decode(list(ids), skip_special_tokens=False))


def test_a_short_document_is_shown_whole_inside_the_template(tiny_llama: Path) -> None:
    prompt = builder_for(spec(tiny_llama, "prox-doc", decide="generate")).document_prompt("The river rises.")
    assert prompt.token_ids[0] == 1
    text = decoded(tiny_llama, prompt.token_ids)
    assert text.startswith("<s>")
    assert "<</SYS>>\n\nThe river rises. [/INST]" in text
    assert prompt.max_new_tokens == 32
    assert not prompt.read_at


def test_a_long_document_is_cut_and_the_template_is_whole(tiny_llama: Path) -> None:
    text = "The river rises in the hills and reaches the sea. " * 500
    for decide in ("read", "generate"):
        prompt = builder_for(spec(tiny_llama, "prox-doc", decide=decide)).document_prompt(text)
        assert len(prompt.token_ids) <= 512
        assert len(prompt.token_ids) > 400
        assert "[/INST]" in decoded(tiny_llama, prompt.token_ids)[-30:]


def test_special_tokens_in_a_document_are_ordinary_text(tiny_llama: Path) -> None:
    hostile = "a </s> b <s> c <unk> d"
    for template in ("prox-doc", "prox-doc-bare"):
        ids = builder_for(spec(tiny_llama, template, decide="generate")).document_prompt(hostile).token_ids
        assert ids[0] == 1
        assert not {1, 2} & set(ids[1:])
    chunks = builder_for(spec(tiny_llama, "prox-chunk")).chunk_prompts(hostile)
    assert all(prompt is not None and not {1, 2} & set(prompt.token_ids[1:]) for _, prompt in chunks)


def test_lines_carry_their_number_in_the_document(tiny_llama: Path) -> None:
    text = "\n".join(f"line {n}" for n in range(1005))
    prompts = builder_for(spec(tiny_llama, "prox-chunk")).chunk_prompts(text)
    assert len(prompts) > 1
    for chunk, prompt in prompts:
        assert prompt is not None
        assert prompts.prompt(chunk) == prompt
        shown = decoded(tiny_llama, prompt.token_ids)
        first, last = (
            f"[{chunk.first_line:03d}]line",
            f"[{chunk.last_line:03d}]line {chunk.last_line}\n[/doc] [/INST]",
        )
        assert f"[doc]\n{first}" in shown
        assert shown.endswith(last)
    assert "[1004]line 1004" in shown


def test_every_chunk_prompt_fits_the_window(tiny_llama: Path) -> None:
    text = "\n".join("word " * (n % 40) for n in range(300))
    for chunk, prompt in builder_for(spec(tiny_llama, "prox-chunk")).chunk_prompts(text):
        assert prompt is not None or len(chunk.lines) == 1
        assert prompt is None or len(prompt.token_ids) + prompt.max_new_tokens <= 512


def test_a_line_over_the_budget_is_flagged_and_its_neighbours_are_not(tiny_llama: Path) -> None:
    prompts = builder_for(spec(tiny_llama, "prox-chunk")).chunk_prompts("a\n" + "word " * 5000 + "\nb")
    assert [(chunk.too_long, prompt is None) for chunk, prompt in prompts] == [
        (False, False),
        (True, True),
        (False, False),
    ]


def test_one_line_of_five_megabytes_takes_no_time(tiny_llama: Path) -> None:
    text = "x" * 5_000_000
    started = time.process_time()
    builder_for(spec(tiny_llama, "prox-doc")).document_prompt(text)
    builder_for(spec(tiny_llama, "prox-chunk")).chunk_prompts(text)
    assert time.process_time() - started < 20  # encoding all of it takes minutes


def test_the_document_stage_reads_where_the_two_answers_part(tiny_llama: Path) -> None:
    prompt = builder_for(spec(tiny_llama, "prox-doc", decide="read")).document_prompt("The river.")
    tokenizer = load_tokenizer(str(tiny_llama))
    keep, drop = prompt.read_tokens
    assert keep != drop
    assert prompt.read_at == (len(prompt.token_ids) - 1,)
    full = [
        tokenizer.encode("x [/INST] " + answer, add_special_tokens=False).ids for answer in ("keep_doc()", "drop_doc()")
    ]
    assert keep in full[0]
    assert drop in full[1]


def test_a_window_too_small_for_the_template_is_an_error(tiny_llama: Path) -> None:
    with pytest.raises(ModelError, match="PROMPT_BUDGET"):
        builder_for(spec(tiny_llama, "prox-doc", max_prompt_tokens=40))


def test_each_template_has_its_own_hash() -> None:
    assert len({template.fingerprint for template in TEMPLATES.values()}) == len(TEMPLATES)


def test_auto_takes_the_models_own_template() -> None:
    assert template_for("auto", "doc", "embedded").name == "page-doc"
    assert template_for("auto", "chunk", "/models/web-chunk-refining-lm").name == "prox-chunk"


def test_a_tokenizer_that_cannot_tell_the_answers_apart_is_refused(tiny_llama: Path) -> None:
    same = spec(tiny_llama, "prox-doc", decide="read")
    template = TEMPLATES["prox-doc"].__class__(name="same", version=1, stage="doc", answers=("keep", "keep"))
    with pytest.raises(ModelError, match="TEMPLATE_ANSWERS"):
        TextPromptBuilder(
            PromptSpec(
                template=template,
                model_path=same.model_path,
                max_prompt_tokens=512,
                max_chunk_tokens=100,
                max_new_tokens=8,
            ),
            load_tokenizer(str(tiny_llama)),
            bos_token_id=1,
        )


PAGES = [
    "",
    "\n",
    "one line",
    "\n" * 300,
    "\n".join(f"line {n}" + " word" * (n % 40) for n in range(1200)),
    "a\n" + "word " * 5_000 + "\nb\n" + "x" * 300_000 + "\n\nc",
    "é日本\r\n\x85 | » 12.3.2020\n" * 40 + "the same line\n" * 80,
]


@pytest.mark.parametrize("text", PAGES, ids=range(len(PAGES)))
def test_chunks_and_prompts_are_those_of_a_straightforward_construction(tiny_llama: Path, text: str) -> None:
    """All lines, counts and prompts at once, in lists."""
    settings = spec(tiny_llama, "prox-chunk")
    tokenizer, template = load_tokenizer(str(tiny_llama)), settings.template

    def ids(shown: str) -> list[int]:
        return list(tokenizer.encode(shown, add_special_tokens=False).ids)

    numbered = [template.line_format.format(number) + line for number, line in enumerate(text.split("\n"))]
    counts = [len(ids(line + "\n")) if len(line) < 20_000 else 10**6 for line in numbered]
    expected: list[tuple[int, int, tuple[int, ...] | None]] = []
    while counts[sum(size for _, size, _ in expected) :]:
        first = sum(size for _, size, _ in expected)
        size = 1
        while counts[first] <= 200 and first + size < len(counts) and sum(counts[first : first + size + 1]) <= 200:
            size += 1
        shown = "\n".join(numbered[first : first + size])
        prompt = (1, *ids(template.prefix + shown + template.suffix)) if counts[first] <= 200 else None
        expected.append((first, size, prompt if prompt and len(prompt) + 32 <= 512 else None))
    assert [
        (chunk.first_line, len(chunk.lines), prompt.token_ids if prompt else None)
        for chunk, prompt in builder_for(settings).chunk_prompts(text)
    ] == expected


@pytest.mark.parametrize("text", PAGES, ids=range(len(PAGES)))
def test_compact_prompts_are_those_of_the_lines_in_a_list(text: str, compact_model: Path) -> None:
    settings = {
        "model_path": str(compact_model),
        "max_prompt_tokens": 2048,
        "max_chunk_tokens": 1000,
        "max_new_tokens": 0,
    }
    compact, lines = CompactPrompt(load_tokenizer(str(compact_model))), text.split("\n")
    prompts = builder_for(PromptSpec(template=TEMPLATES["embedded-chunk"], **settings)).chunk_prompts(text)  # type: ignore[arg-type]
    assert [line for chunk, _ in prompts for line in chunk.lines] == lines
    for chunk, prompt in prompts:
        assert prompt is not None
        assert (prompt.token_ids, prompt.read_at) == compact.chunk_prompt(lines, chunk)
    document = builder_for(PromptSpec(template=TEMPLATES["embedded-doc"], **settings)).document_prompt(text)  # type: ignore[arg-type]
    assert (document.token_ids, document.read_at) == compact.document_prompt(lines)
