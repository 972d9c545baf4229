"""What an annotator is asked: versioned, hashed prompt files. Read on the driver only; knows no tokenizer.

A prompt file is YAML: `name`, `version`, `stage` (doc or chunk), `asks_for` (scores, programs or clean), `system`,
`questions` (each text holds `{text}` once, where the document goes) and `max_new_tokens` of one answer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import yaml

from spark_prox.config.plain_yaml import parse_yaml
from spark_prox.errors import ConfigError

__all__ = ["PLACE", "SCORES", "AnnotationPrompt", "AskedFor", "Question", "load_prompt"]

AskedFor = Literal["scores", "programs", "clean"]
PLACE = "{text}"
SCORES = ("education", "format")
"""The questions of a prompt that asks for scores, in this order."""

_KEYS = ("name", "version", "stage", "asks_for", "system", "questions", "max_new_tokens")


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question: what stands before the document and what after it."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class AnnotationPrompt:
    """A prompt file.

    Attributes:
        asks_for: "scores" from 0 to 5 of a document; "programs" that are merged into one; "clean" for the cleaned text,
            from which the program is derived (RefineX, arXiv 2507.03253).
        max_new_tokens: most tokens of one answer.
    """

    name: str
    version: int
    stage: Literal["doc", "chunk"]
    asks_for: AskedFor
    system: str
    questions: tuple[Question, ...]
    max_new_tokens: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the prompt as canonical JSON, first 16 hex digits."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_prompt(path: str | Path, stage: str) -> AnnotationPrompt:
    """Read and check a prompt file.

    Raises:
        ConfigError: PROMPT_NOT_FOUND, PROMPT_SYNTAX, PROMPT_BAD.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError("PROMPT_NOT_FOUND", f"There is no prompt file {str(file)!r}.", "Start from conf/prompts/.")
    try:
        tree = parse_yaml(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError):
        raise ConfigError("PROMPT_SYNTAX", f"{str(file)!r} is not YAML.") from None
    if not isinstance(tree, dict) or set(tree) != set(_KEYS):
        raise _bad(file, f"needs exactly the keys {', '.join(_KEYS)}")
    questions, asks_for = tree["questions"], tree["asks_for"]
    if asks_for not in get_args(AskedFor) or tree["stage"] != stage:
        raise _bad(file, f"asks for {asks_for!r} at stage {tree['stage']!r}; wanted is a prompt of stage {stage!r}")
    if (asks_for == "scores") != (stage == "doc"):
        raise _bad(file, "must ask for scores at the doc stage, and for programs or clean at the chunk stage")
    if not isinstance(questions, dict) or not questions or not all(isinstance(q, str) for q in questions.values()):
        raise _bad(file, "needs questions: a name and a text each")
    if asks_for == "scores" and tuple(questions) != SCORES:
        raise _bad(file, f"needs the questions {', '.join(SCORES)}, in this order")
    if asks_for == "clean" and len(questions) != 1:
        raise _bad(file, "asks for the cleaned text once")
    for name, text in questions.items():
        if text.count(PLACE) != 1:
            raise _bad(file, f"question {name!r} must hold {PLACE} once")
    if not all(isinstance(tree[key], int) and tree[key] > 0 for key in ("version", "max_new_tokens")):
        raise _bad(file, "needs whole numbers above 0 for version and max_new_tokens")
    return AnnotationPrompt(
        name=str(tree["name"]),
        version=tree["version"],
        stage="doc" if stage == "doc" else "chunk",
        asks_for=asks_for,
        system=str(tree["system"] or "").strip(),
        questions=tuple(
            Question(name=str(name), before=text.partition(PLACE)[0], after=text.partition(PLACE)[2])
            for name, text in questions.items()
        ),
        max_new_tokens=tree["max_new_tokens"],
    )


def _bad(file: Path, what: str) -> ConfigError:
    return ConfigError(
        "PROMPT_BAD", f"The prompt file {str(file)!r} {what}.", "Compare it with those in conf/prompts/."
    )
