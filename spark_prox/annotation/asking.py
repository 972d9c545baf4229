"""From documents and questions to prompts of token ids, with the model's own chat template around them.

The template is rendered once, on the driver, and travels as token ids: special tokens in it are special, those in a
document's text are ordinary text. Documents are cut, never the question. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spark_prox.annotation.questions import AnnotationPrompt, AskedFor, Question
from spark_prox.config.annotate import AnnotateConfig
from spark_prox.documents import join_lines, split_lines
from spark_prox.errors import ConfigError, ModelError
from spark_prox.models import load_tokenizer, model_directory, model_token_ids
from spark_prox.pretrained import load_transformers_tokenizer
from spark_prox.prompts.chunking import Chunk, split_chunks

__all__ = ["AskSpec", "AskedQuestion", "Asker", "Passage", "ask_spec"]

_MARK = "SPARKPROXDOCUMENT"  # stands for the document while a chat template is rendered
_CHARS_PER_TOKEN = 64  # text longer than this many characters per token of budget is not worth encoding
LINE_FORMAT = "[{:03d}]"


@dataclass(frozen=True, kw_only=True)
class AskedQuestion:
    """One question as token ids before and after the document."""

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class AskSpec:
    """What an executor needs to ask and to judge; fields as in `AnnotationPrompt` and `AnnotateConfig`."""

    stage: Literal["doc", "chunk"]
    asks_for: AskedFor
    questions: tuple[AskedQuestion, ...]
    model_path: str
    max_prompt_tokens: int
    max_chunk_tokens: int
    max_new_tokens: int
    max_removed_share: float
    min_confidence: float


@dataclass(frozen=True, kw_only=True)
class Passage:
    """What one annotation is about: a document, or a chunk of it.

    Attributes:
        chunk: None for the document stage.
        text: the whole document, or the chunk's lines.
        shown: its token ids in a prompt; None where it is one line that exceeds the budget.
    """

    chunk: Chunk | None
    chunk_count: int
    text: str
    shown: tuple[int, ...] | None


def ask_spec(prompt: AnnotationPrompt, model_path: str, config: AnnotateConfig) -> AskSpec:
    """Render the questions for a model.

    Raises:
        ModelError: MODEL_NOT_FOUND, MODEL_NO_TOKENIZER, CHAT_TEMPLATE.
        ConfigError: PROMPT_BUDGET.
    """
    directory = model_directory(model_path, weights=False)
    try:
        tokenizer = load_transformers_tokenizer(directory)
    except Exception as error:
        raise ModelError(
            "MODEL_NO_TOKENIZER", f"The tokenizer in {model_path!r} cannot be loaded: {type(error).__name__}."
        ) from error
    spec = AskSpec(
        stage=prompt.stage,
        asks_for=prompt.asks_for,
        questions=tuple(_asked(tokenizer, prompt, question, model_path, config.chat) for question in prompt.questions),
        model_path=model_path,
        max_prompt_tokens=config.max_prompt_tokens,
        max_chunk_tokens=config.max_chunk_tokens,
        max_new_tokens=prompt.max_new_tokens,
        max_removed_share=config.max_removed_share,
        min_confidence=config.min_confidence,
    )
    if _room(spec) < 1:
        raise ConfigError(
            "PROMPT_BUDGET",
            f"annotate.max_prompt_tokens={spec.max_prompt_tokens} leaves no room for a document beside the question "
            f"and an answer of {spec.max_new_tokens} tokens.",
            "Raise it to the model's context window, or lower max_new_tokens in the prompt file.",
        )
    if spec.asks_for == "clean" and spec.max_new_tokens < spec.max_chunk_tokens:
        raise ConfigError(
            "PROMPT_BUDGET",
            f"An answer of {spec.max_new_tokens} tokens cannot repeat a chunk of {spec.max_chunk_tokens}.",
            "Lower annotate.max_chunk_tokens, or raise max_new_tokens in the prompt file.",
        )
    return spec


class Asker:
    """Cuts documents into passages, and makes the prompts for them."""

    def __init__(self, spec: AskSpec) -> None:
        self._spec = spec
        self._tokenizer = load_tokenizer(spec.model_path)
        self._room = _room(spec)

    def passages(self, text: str) -> list[Passage]:
        """The document itself, or its chunks in order."""
        if self._spec.stage == "doc":
            shown = self._encode(text[: self._room * _CHARS_PER_TOKEN])[: self._room]
            return [Passage(chunk=None, chunk_count=1, text=text, shown=shown)]
        budget = min(self._spec.max_chunk_tokens, self._room)
        lines = split_lines(text)
        chunks = split_chunks(lines, self._line_tokens(lines, budget), max_tokens=budget)
        return [
            Passage(chunk=chunk, chunk_count=len(chunks), text=join_lines(list(chunk.lines)), shown=self._shown(chunk))
            for chunk in chunks
        ]

    def prompt(self, passage: Passage, question: AskedQuestion) -> tuple[int, ...]:
        """The prompt's token ids."""
        assert passage.shown is not None
        return question.before + passage.shown + question.after

    def _shown(self, chunk: Chunk) -> tuple[int, ...] | None:
        if chunk.too_long:
            return None
        ids = self._encode("\n".join(self._numbered(chunk.lines)))
        return ids if len(ids) <= self._room else None

    def _numbered(self, lines: Sequence[str]) -> list[str]:
        """Lines as they are shown: numbered from the chunk's first where the answer is to name lines."""
        if self._spec.asks_for == "clean":
            return list(lines)
        return [LINE_FORMAT.format(number) + line for number, line in enumerate(lines)]

    def _line_tokens(self, lines: Sequence[str], budget: int) -> list[int]:
        longest = budget * _CHARS_PER_TOKEN
        shown = [line + "\n" for line in self._numbered([line[:longest] for line in lines])]
        counts = [len(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(shown, add_special_tokens=False)]
        return [budget + 1 if len(line) > longest else count for line, count in zip(lines, counts, strict=True)]

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)


def _room(spec: AskSpec) -> int:
    """Tokens that a question and its answer leave for the document."""
    question = max(len(question.before) + len(question.after) for question in spec.questions)
    return spec.max_prompt_tokens - spec.max_new_tokens - question


def _asked(tokenizer: Any, prompt: AnnotationPrompt, question: Question, model_path: str, chat: str) -> AskedQuestion:
    if chat == "never" or not tokenizer.chat_template:
        system = f"{prompt.system}\n\n" if prompt.system else ""
        before, after = system + question.before, question.after
        start = model_token_ids(model_path, "bos_token_id")[:1]
    else:
        before, after = _in_chat(tokenizer, prompt.system, question, model_path)
        start = ()  # a chat template writes the beginning itself
    return AskedQuestion(
        name=question.name,
        before=start + _special_ids(tokenizer, before),
        after=_special_ids(tokenizer, after),
    )


def _in_chat(tokenizer: Any, system: str, question: Question, model_path: str) -> tuple[str, str]:
    messages = [{"role": "user", "content": question.before + _MARK + question.after}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    try:
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:
        raise ModelError(
            "CHAT_TEMPLATE",
            f"The chat template of {model_path!r} cannot be rendered: {type(error).__name__}.",
            "A template that takes no system message needs a prompt file with an empty `system`.",
        ) from error
    before, mark, after = str(rendered).partition(_MARK)
    if not mark or _MARK in after:
        raise ModelError("CHAT_TEMPLATE", f"The chat template of {model_path!r} does not show the message once.")
    return before, after


def _special_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
