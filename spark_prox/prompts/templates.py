"""Prompt templates as named, versioned, hashed settings.

The text around a document, how lines are numbered, and which answers the document level chooses between. Everything
that changes what a model sees is part of `PromptTemplate.fingerprint`. Knows no tokenizer.

Sources: ProX, arXiv 2409.17115, appendix A.1 and A.3, and the released checkpoints of GAIR-NLP/ProX, which carry no
chat template: `prox-*` wraps the document in Llama-2's, as its authors do; `prox-*-bare` gives the document alone,
which a replication found to work better. ReScraper, arXiv 2609.34287: the page with `<lid:n>` before each line, inside
Qwen's chat.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal

from spark_prox.documents import Level
from spark_prox.errors import ConfigError, ModelError
from spark_prox.model_names import shown_name
from spark_prox.models import is_line_encoder, model_settings

__all__ = ["TEMPLATES", "PromptTemplate", "template_for"]


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """A template: the rule that makes one level's prompt from a document.

    Attributes:
        name: what `doc.template` and `chunk.template` are set to.
        version: raised whenever the prompt changes.
        kind: a name of `spark_prox.prompts.builder.KINDS`: "text" puts strings around the document; "page" is the
            layout of line encoders, "compact" that of small causal models trained by this project; "chat" is a system
            text and the document inside Qwen's chat.
        prefix: text before the document.
        suffix: text after it.
        line_format: how a line is numbered, for `str.format(number)`; "" shows the lines as they are.
        number_place: whether a line's number stands before or after its text. After it, the number's own state has
            read the line that it names.
        numbering: "document" counts lines from the document's start, "chunk" anew in each chunk; programs are stored
            with the document's numbers either way.
        max_chunk_lines: most lines of one chunk; 0 for no limit but the token budget.
        answers: the two programs that the document level chooses between: keep, drop.
        first_number: the number of the first line.
        dialect: the spelling of the programs that it asks for; "" leaves that to the configuration.
        system: of kind "chat": what the model is told, where its folder says nothing else.
    """

    name: str
    version: int
    stage: Level
    kind: str = "text"
    prefix: str = ""
    suffix: str = ""
    line_format: str = ""
    number_place: Literal["before", "after"] = "before"
    numbering: Literal["document", "chunk"] = "document"
    max_chunk_lines: int = 0
    answers: tuple[str, str] = ("keep_doc()", "drop_doc()")
    first_number: int = 0
    dialect: str = ""
    system: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the template as canonical JSON, first 16 hex digits.

        A later setting counts where it is used alone: stored programs of older templates stay valid.
        """
        settings = asdict(self)
        for name in _LATER_SETTINGS:
            if settings[name] == type(self).__dataclass_fields__[name].default:
                del settings[name]
        text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def show_line(self, line: str, number: int) -> str:
        """A line with its number, as the prompt shows it."""
        shown = _numbered(self.line_format, number)
        return shown + line if self.number_place == "before" else line + shown


@lru_cache(maxsize=4_096)
def _numbered(line_format: str, number: int) -> str:
    return line_format.format(number)


_OWN_TEMPLATES = ("smollm2",)
_LATER_SETTINGS = ("number_place", "numbering", "max_chunk_lines", "first_number", "dialect", "system")
_SYSTEM = "You are a helpful, respectful and honest assistant."
_LLAMA2_HEAD = f"[INST] <<SYS>>\n{_SYSTEM}\n<</SYS>>\n\n"
_LLAMA2_TAIL = " [/INST]"

_RESCRAPER_SYSTEM = """\
You clean web pages for the pretraining of language models. The page has one block a line, each behind its id <lid:N>.
Decide on the page: <keep> leaves its content as it is, <edit> also removes noise inside the content, <delete> is for a
page without any content, <rewrite> is for a page that informs but is badly written.
Answer with the decision, then <extract> and the lines that are no content (menus, headers, footers, advertisements),
one "rm N" or "rm A-B" a line, then the decision again. Behind <edit> follow further "rm" lines, and sub N: "x" to
delete the string x from line N. Behind <rewrite> follows the new text. Behind <keep> and <delete> follows nothing.
"""

TEMPLATES: dict[str, PromptTemplate] = {
    template.name: template
    for template in (
        PromptTemplate(name="prox-doc", version=1, stage="doc", prefix=_LLAMA2_HEAD, suffix=_LLAMA2_TAIL),
        PromptTemplate(name="prox-doc-bare", version=1, stage="doc"),
        PromptTemplate(
            name="prox-chunk",
            version=1,
            stage="chunk",
            prefix=_LLAMA2_HEAD + "[doc]\n",
            suffix="\n[/doc]" + _LLAMA2_TAIL,
            line_format="[{:03d}]",
        ),
        PromptTemplate(
            name="prox-chunk-bare",
            version=1,
            stage="chunk",
            prefix="[doc]\n",
            suffix="\n[/doc]",
            line_format="[{:03d}]",
        ),
        PromptTemplate(name="page-doc", version=1, stage="doc", kind="page"),
        PromptTemplate(name="page-chunk", version=1, stage="chunk", kind="page"),
        PromptTemplate(name="smollm2-doc", version=1, stage="doc", prefix="[page]\n", suffix="\n[/page]"),
        PromptTemplate(
            name="smollm2-chunk",
            version=2,
            stage="chunk",
            prefix="[doc]\n",
            suffix="\n[/doc]",
            line_format="\t{}",
            number_place="after",
            numbering="chunk",
            max_chunk_lines=100,
        ),
        PromptTemplate(
            name="rescraper-chunk",
            version=1,
            stage="chunk",
            kind="chat",
            system=_RESCRAPER_SYSTEM.strip(),
            line_format="<lid:{}> ",
            first_number=1,
            numbering="chunk",
            max_chunk_lines=9999,
            dialect="rescraper",
        ),
        PromptTemplate(name="embedded-doc", version=1, stage="doc", kind="compact"),
        PromptTemplate(name="embedded-chunk", version=1, stage="chunk", kind="compact"),
    )
}


def _template_of_folder(stage: Level, model_path: str) -> str:
    """The template that a model's folder names for a stage; "" where it names none."""
    settings = model_settings(model_path)
    if settings is None:
        return ""
    if settings.level not in (stage, "both"):
        raise ModelError(
            "MODEL_WRONG_LEVEL",
            f"The model {shown_name(model_path)!r} says that it is for the {settings.level} level, not for {stage}.",
            f"Set {stage}.model.path to another model, {stage}.enabled=false, or {stage}.template.",
        )
    return settings.templates.get(stage, "")


def template_for(name: str, stage: Level, model_path: str, dialect: str = "") -> PromptTemplate:
    """The template of a level; "auto" takes the one that the model's folder names (`folder_settings`), that of line
    encoders for a line encoder, the one that a model in `models` has a name for, the one that asks for the dialect, and
    ProX's for any other model.

    Args:
        dialect: the spelling of the programs; "" for any.

    Raises:
        ConfigError: TEMPLATE_UNKNOWN, TEMPLATE_WRONG_STAGE, TEMPLATE_WRONG_DIALECT.
        ModelError: MODEL_WRONG_LEVEL, MODEL_BAD_METADATA.
    """
    if name == "auto":
        name = _template_of_folder(stage, model_path) or _automatic(stage, model_path, dialect)
    template = TEMPLATES.get(name)
    if template is None:
        raise ConfigError("TEMPLATE_UNKNOWN", f"There is no template {name!r}.", f"There are: {', '.join(TEMPLATES)}.")
    if template.stage != stage:
        raise ConfigError(
            "TEMPLATE_WRONG_STAGE", f"Template {name!r} is for the {template.stage} stage, not for {stage}."
        )
    if dialect and template.dialect not in ("", dialect):
        raise ConfigError(
            "TEMPLATE_WRONG_DIALECT",
            f"Template {name!r} asks for programs in dialect {template.dialect}, and `dialect` is {dialect}.",
            f"Set dialect: {template.dialect}, or another template.",
        )
    return template


def _automatic(stage: str, model_path: str, dialect: str) -> str:
    """The name of the template that "auto" stands for."""
    own = next(
        (template.name for template in TEMPLATES.values() if template.dialect and template.dialect == dialect), ""
    )
    if is_line_encoder(model_path):
        return f"page-{stage}"
    if own and stage == "chunk":
        return own
    if own:
        raise ConfigError(
            "TEMPLATE_WRONG_DIALECT",
            f"Programs in dialect {dialect} keep or drop a page themselves: the document level has no template.",
            "Set doc.enabled: false, or name doc.template and doc.model of another refiner.",
        )
    return f"{model_path if model_path in _OWN_TEMPLATES else 'prox'}-{stage}"
