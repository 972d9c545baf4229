"""Prompts of ReScraper: `<lid:n>` before each line, inside a chat whose marks are control tokens."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from spark_prox.config.model import ModelSpec
from spark_prox.config.run import load_config
from spark_prox.documents import Document
from spark_prox.engines.base import Completion, Request
from spark_prox.engines.scripted import scripted_engine
from spark_prox.errors import ConfigError, ModelError
from spark_prox.execution import RefinedRow, StoredChunk, execute_stored
from spark_prox.generation import GeneratedProgram, generate_programs
from spark_prox.programs import policy_for
from spark_prox.prompts.builder import PromptSpec, builder_for, kind_of
from spark_prox.prompts.templates import TEMPLATES, template_for
from spark_prox.writers import writer_of

CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
TEXT = "Home | About\nThe river <|im_end|> rose.\n\nShare this <think> page"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer of Qwen's shape: bytes, and control tokens that are added."""
    folder = tmp_path_factory.mktemp("qwen")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, vocab_size=300
    )
    tokenizer.train_from_iterator(["The river rose. <lid:12> system user assistant"] * 5, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in CONTROLS[:3]])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in CONTROLS[3:]])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"model_type": "qwen3", "bos_token_id": 1}')
    return folder


def spec_of(folder: Path, **settings: int) -> PromptSpec:
    limits = {"max_prompt_tokens": 4000, "max_chunk_tokens": 1000, "max_new_tokens": 100} | settings
    return PromptSpec(template=TEMPLATES["rescraper-chunk"], model_path=str(folder), **limits)


def test_lines_have_their_ids_and_only_the_chats_own_marks_are_control_tokens(folder: Path) -> None:
    [(chunk, prompt)] = builder_for(spec_of(folder)).chunk_prompts(TEXT)
    assert prompt is not None
    assert len(chunk.lines) == 4
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    shown = whole.decode(prompt.token_ids, skip_special_tokens=False)
    system = TEMPLATES["rescraper-chunk"].system
    page = "<lid:1> Home | About\n<lid:2> The river <|im_end|> rose.\n<lid:3> \n<lid:4> Share this <think> page"
    assert shown == (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{page}<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    counts = {token: prompt.token_ids.count(whole.token_to_id(token)) for token in CONTROLS}
    assert counts == {"<|endoftext|>": 0, "<|im_start|>": 3, "<|im_end|>": 2, "<think>": 1, "</think>": 1}


def test_a_models_own_system_text_counts_and_is_a_part_of_the_key(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    spec = spec_of(tmp_path)
    before = kind_of(spec).parameters(spec)
    (tmp_path / "system_prompt.txt").write_text("Clean this page.\n", encoding="utf-8")
    [(_, prompt)] = builder_for(spec).chunk_prompts(TEXT)
    assert prompt is not None
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    shown = whole.decode(prompt.token_ids, skip_special_tokens=False)
    assert shown.startswith("<|im_start|>system\nClean this page.<|im_end|>\n")
    after = kind_of(spec).parameters(spec)
    assert before["system"] != after["system"]
    assert {**before, "system": 0} == {**after, "system": 0}
    (tmp_path / "system_prompt.txt").write_bytes(b"\xff")
    with pytest.raises(ModelError, match=r"MODEL_BAD_METADATA.*system_prompt"):
        builder_for(spec)


def test_a_folder_without_a_system_text_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="spark_prox.prompts.chat_builder"):
        builder_for(spec_of(folder))
    assert "system_prompt.txt" in caplog.text


class CutEngine:
    """Answers every request with a program that the token limit cut off."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            yield Completion(
                request_id=request.request_id, text="<keep>\n<extract>\nrm 1\nrm 1", finish_reason="length"
            )


def run(
    folder: Path, text: str, script: str, *, engine: object = None, policy: str = "default", **limits: int
) -> RefinedRow:
    """A document through generation and execution, as a run does it."""
    rows: list[GeneratedProgram] = list(
        generate_programs(
            [Document(doc_id="d", text=text)],
            engine or scripted_engine(ModelSpec(path="x", engine="scripted", script=script)),  # type: ignore[arg-type]
            builder_for(spec_of(folder, **limits)),
            stage="chunk",
            dialect="rescraper",
        )
    )
    chunks = [
        StoredChunk(row.chunk_index, row.chunk_count, row.first_line, row.line_count, row.program, row.status.value)
        for row in sorted(rows, key=lambda row: row.chunk_index)
    ]
    return execute_stored(
        text,
        doc_program=None,
        doc_status="OFF",
        doc_margin=None,
        chunks=chunks,
        policy=policy_for(policy),
        dialect="rescraper",
    )


def test_a_program_goes_through_generation_and_execution(folder: Path) -> None:
    text = "Home | About\nThe river rose two metres overnight.\nBoats may pass again.\nShare this page"
    row = run(folder, text, '<edit>\n<extract>\nrm 1\n<edit>\nrm 4\nsub 2: " overnight"')
    assert (row.text, row.outcome) == ("The river rose two metres.\nBoats may pass again.", "EDITED")
    assert run(folder, text, "<delete>\n<extract>\n<delete>").outcome == "DROPPED"
    rewrite = "<rewrite>\n<extract>\nrm 1\n<rewrite>\nThe river rose. Boats may pass."
    assert (run(folder, text, rewrite).text, run(folder, text, rewrite).reason) == (text, "REWRITE")
    assert run(folder, text, rewrite, policy="permissive").text == "The river rose. Boats may pass."


def test_ids_begin_anew_in_each_chunk_and_programs_have_the_documents(folder: Path) -> None:
    text = "\n".join(f"river {number} rose" for number in range(12))
    row = run(folder, text, "<keep>\n<extract>\nrm 2\n<keep>", max_chunk_tokens=60)
    assert row.chunks > 2
    kept = (row.text or "").split("\n")
    assert len(kept) == 12 - row.chunks
    assert "river 0 rose" in kept
    assert "river 1 rose" not in kept


def test_a_program_that_was_cut_keeps_its_whole_lines(folder: Path) -> None:
    text = "Home | About\nThe river rose two metres overnight."
    row = run(folder, text, "", engine=CutEngine())
    assert row.text == "The river rose two metres overnight."


def test_the_dialect_chooses_the_template_and_a_wrong_one_is_found_before_the_run() -> None:
    assert template_for("auto", "chunk", "/models/ReScraper", "rescraper").name == "rescraper-chunk"
    assert template_for("auto", "chunk", "/models/any", "prox").name == "prox-chunk"
    assert template_for("auto", "doc", "embedded", "rescraper").name == "page-doc"
    with pytest.raises(ConfigError, match=r"TEMPLATE_WRONG_DIALECT.*doc\.enabled: false"):
        template_for("auto", "doc", "/models/ReScraper", "rescraper")
    with pytest.raises(ConfigError, match=r"TEMPLATE_WRONG_DIALECT.*dialect: rescraper"):
        template_for("rescraper-chunk", "chunk", "/models/ReScraper", "prox")
    constrained = load_config(None, ["dialect=rescraper", "chunk.template=rescraper-chunk", "model.constrain=grammar"])
    with pytest.raises(ConfigError, match=r"TEMPLATE_WRONG_DIALECT.*constrain"):
        writer_of(constrained, "chunk")


def test_a_template_of_before_has_its_fingerprint_and_a_dialect_is_a_part_of_it() -> None:
    assert TEMPLATES["prox-chunk"].fingerprint == "3829b06e46f59e18"
    template = TEMPLATES["rescraper-chunk"]
    assert replace(template, dialect="").fingerprint != template.fingerprint


def test_the_shipped_configuration_is_for_the_released_model(repository: Path) -> None:
    config = load_config(repository / "conf" / "rescraper.yaml")
    assert config.dialect == "rescraper"
    assert not config.stage("doc").enabled
    chunk = writer_of(config, "chunk").prompt
    assert chunk is not None
    assert chunk.template.name == "rescraper-chunk"
    assert chunk.max_chunk_tokens + chunk.max_new_tokens < chunk.max_prompt_tokens
