"""Prompts to an annotator: the chat template around them, the document inside as ordinary text, budgets kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_prox.annotation.asking import Asker, ask_spec
from spark_prox.annotation.questions import AnnotationPrompt, Question, load_prompt
from spark_prox.config.annotate import AnnotateConfig
from spark_prox.errors import ConfigError, ModelError
from tests.tiny_models import llama2_style_tokenizer

CHAT = (
    "<s>{% for m in messages %}[INST]{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %} [/INST]{% endif %}"
)
BUDGETS = AnnotateConfig(max_prompt_tokens=400, max_chunk_tokens=60)


def annotator(folder: Path, chat: str | None) -> str:
    folder.mkdir(parents=True)
    llama2_style_tokenizer().save(str(folder / "tokenizer.json"))  # type: ignore[attr-defined]
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | ({"chat_template": chat} if chat else {})))
    (folder / "config.json").write_text('{"model_type": "llama", "bos_token_id": 1, "eos_token_id": 2}')
    return str(folder)


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> str:
    return annotator(tmp_path_factory.mktemp("models") / "chatty", CHAT)


def prompt(asks_for: str = "programs", new: int = 40) -> AnnotationPrompt:
    return AnnotationPrompt(
        name="p",
        version=1,
        stage="doc" if asks_for == "scores" else "chunk",
        asks_for=asks_for,  # type: ignore[arg-type]
        system="You are helpful.",
        questions=(Question(name="q", before="Text:\n", after="\nAnswer:"),),
        max_new_tokens=new,
    )


def decoded(model: str, ids: tuple[int, ...]) -> str:
    from spark_prox.models import load_tokenizer

    return load_tokenizer(model).decode(list(ids), skip_special_tokens=False)


def test_the_chat_template_is_around_the_question_and_its_special_tokens_are_special(chatty: str) -> None:
    spec = ask_spec(prompt(), chatty, BUDGETS)
    (question,) = spec.questions
    assert question.before[0] == 1  # the template's <s>
    assert 2 in question.before  # </s> behind the system message
    assert question.after.count(2) == 1
    text = decoded(chatty, question.before + question.after)
    assert "system: You are helpful." in text
    assert text.rstrip().endswith("[/INST]")


def test_special_tokens_in_a_document_are_ordinary_text(chatty: str) -> None:
    asker = Asker(ask_spec(prompt(), chatty, BUDGETS))
    (passage,) = asker.passages("A line </s> [/INST] <s> and more")
    assert passage.shown is not None
    assert not {0, 1, 2} & set(passage.shown)
    assert "</s>" in decoded(chatty, passage.shown)


def test_a_model_without_a_chat_template_gets_the_plain_prompt(chatty: str, tmp_path: Path) -> None:
    plain = annotator(tmp_path / "plain", None)
    (question,) = ask_spec(prompt(), plain, BUDGETS).questions
    assert question.before[0] == 1
    assert decoded(plain, question.before).replace("<s>", "").strip() == "You are helpful.\n\nText:"
    (forced,) = ask_spec(prompt(), chatty, AnnotateConfig(chat="never", max_chunk_tokens=60)).questions
    assert forced.before == question.before


def test_chunks_cover_the_document_and_their_lines_are_numbered_from_zero(chatty: str) -> None:
    text = "\n".join(f"line {n} of the page" for n in range(40))
    asker = Asker(ask_spec(prompt(), chatty, BUDGETS))
    passages = asker.passages(text)
    assert "\n".join(passage.text for passage in passages) == text
    assert len(passages) > 3
    for passage in passages:
        assert passage.shown is not None
        assert len(passage.shown) <= 70
        assert decoded(chatty, passage.shown).lstrip().startswith("[000]line")


def test_for_the_cleaned_text_lines_have_no_numbers(chatty: str) -> None:
    asker = Asker(ask_spec(prompt("clean", new=80), chatty, BUDGETS))
    shown = asker.passages("a line\nb line")[0].shown
    assert shown is not None
    assert decoded(chatty, shown).strip() == "a line\nb line"


def test_a_long_document_is_cut_and_the_question_is_not(chatty: str) -> None:
    spec = ask_spec(prompt("scores"), chatty, BUDGETS)
    asker = Asker(spec)
    (passage,) = asker.passages("word " * 5000)
    asked = asker.prompt(passage, spec.questions[0])
    assert len(asked) + spec.max_new_tokens == spec.max_prompt_tokens
    assert asked[-len(spec.questions[0].after) :] == spec.questions[0].after
    assert passage.text == "word " * 5000


def test_a_line_over_the_budget_is_not_shown(chatty: str) -> None:
    asker = Asker(ask_spec(prompt(), chatty, BUDGETS))
    shown = [passage.shown is not None for passage in asker.passages("short\n" + "long " * 500 + "\nshort")]
    assert shown == [True, False, True]


def test_budgets_that_cannot_work_are_errors(chatty: str) -> None:
    with pytest.raises(ConfigError, match="PROMPT_BUDGET"):
        ask_spec(prompt(), chatty, AnnotateConfig(max_prompt_tokens=50))
    with pytest.raises(ConfigError, match=r"PROMPT_BUDGET.*cannot repeat a chunk"):
        ask_spec(prompt("clean", new=30), chatty, BUDGETS)


def test_a_chat_template_that_takes_no_system_message_says_what_to_do(tmp_path: Path) -> None:
    refusing = annotator(tmp_path / "m", "{% for m in messages %}{{ raise_exception('no') }}{% endfor %}")
    with pytest.raises(ModelError, match=r"CHAT_TEMPLATE.*empty `system`"):
        ask_spec(prompt(), refusing, BUDGETS)


@pytest.mark.parametrize(
    ("name", "stage"), [("document-scores", "doc"), ("chunk-programs", "chunk"), ("chunk-clean", "chunk")]
)
def test_the_prompts_that_ship_are_read(repository: Path, name: str, stage: str) -> None:
    loaded = load_prompt(repository / "conf" / "prompts" / f"{name}.yaml", stage)
    assert loaded.name == name
    assert len(loaded.fingerprint) == 16


def test_a_changed_prompt_has_another_fingerprint(repository: Path, tmp_path: Path) -> None:
    file = repository / "conf" / "prompts" / "chunk-clean.yaml"
    changed = tmp_path / "p.yaml"
    changed.write_text(file.read_text(encoding="utf-8").replace("leave out what", "omit what"), encoding="utf-8")
    assert load_prompt(changed, "chunk").fingerprint != load_prompt(file, "chunk").fingerprint


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("{text}", "text"), "must hold"),
        (("stage: chunk", "stage: doc"), "wanted is a prompt of stage"),
        (("asks_for: clean", "asks_for: poems"), "asks for 'poems'"),
        (("version: 1", "version: one"), "whole numbers"),
        (("system:", "sistem:"), "exactly the keys"),
    ],
)
def test_a_wrong_prompt_file_is_named(repository: Path, tmp_path: Path, change: tuple[str, str], code: str) -> None:
    text = (repository / "conf" / "prompts" / "chunk-clean.yaml").read_text(encoding="utf-8")
    (tmp_path / "p.yaml").write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"PROMPT_BAD.*{code}"):
        load_prompt(tmp_path / "p.yaml", "chunk")
    with pytest.raises(ConfigError, match="PROMPT_NOT_FOUND"):
        load_prompt(tmp_path / "none.yaml", "chunk")
