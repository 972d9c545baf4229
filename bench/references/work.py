"""The work of every reference: the same pages, prompts, weights and lengths, both levels, one refined row a page.

Prompts are built by our builder, so that each reference gets the very token ids that ours does. Programs are executed
by `bench/reference_executor.py`. A reference brings what is its own: how it batches, runs and writes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.reference_executor import reference_refine
from bench.watching import AnswerLog
from spark_prox.config.run import RunConfig, load_config
from spark_prox.documents import Level
from spark_prox.models import load_tokenizer
from spark_prox.prompts.builder import Prompt, builder_for
from spark_prox.writers import writer_of

__all__ = ["Complete", "PaddedModel", "Work", "command_line", "padded_model", "read_pages"]

Complete = Callable[[Sequence[Prompt]], list[list[int]]]
Page = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Work:
    """One piece of work; travels to other processes.

    Attributes:
        pages: JSON lines with id and text.
        output: a folder for what comes out.
        answers: the log of `bench.watching`.
        batch: prompts of one padded call.
        parts: shards, batches or portions that the pages are cut into where the reference cuts them.
    """

    pages: str
    model: str
    output: str
    answers: str
    new_tokens: int
    doc_tokens: int
    batch: int
    parts: int

    def settings(self) -> list[str]:
        """The settings of our own run."""
        return [
            f"model.path={self.model}",
            "doc.decide=generate",  # the references generate it, too
            f"doc.max_new_tokens={self.doc_tokens}",
            f"chunk.max_new_tokens={self.new_tokens}",
        ]

    def config(self) -> RunConfig:
        """Our configuration."""
        return load_config(None, self.settings())

    def refine(self, pages: Sequence[Page], complete: Complete) -> list[dict[str, Any]]:
        """A row for each page: document level, chunk level for those that it keeps, programs executed."""
        doc, chunk = _builder(self, "doc"), _builder(self, "chunk")
        verdicts = self._programs([doc.document_prompt(page["text"]) for page in pages], complete)
        kept = [number for number, verdict in enumerate(verdicts) if "drop" not in verdict]
        asked = [(number, prompt) for number in kept for _, prompt in chunk.chunk_prompts(pages[number]["text"])]
        asked = [(number, prompt) for number, prompt in asked if prompt is not None]
        programs = self._programs([prompt for _, prompt in asked if prompt is not None], complete)
        written: dict[int, list[str]] = {number: [] for number in kept}
        for (number, _), program in zip(asked, programs, strict=True):
            written[number].append(program)
        return [
            {"id": page["id"], "text": _executed(page["text"], written[number]) if number in written else None}
            for number, page in enumerate(pages)
        ]

    def _programs(self, prompts: Sequence[Prompt], complete: Complete) -> list[str]:
        if not prompts:
            return []
        answers = complete(prompts)
        AnswerLog(self.answers).add(
            [(len(prompt.token_ids), len(ids)) for prompt, ids in zip(prompts, answers, strict=True)]
        )
        tokenizer = load_tokenizer(self.model)
        return [tokenizer.decode(ids) for ids in answers]


def _executed(text: str, programs: Sequence[str]) -> str | None:
    return reference_refine(text, "\n".join(programs)) if programs else text


@cache
def _builder(work: Work, level: Level) -> Any:
    prompt = writer_of(work.config(), level).prompt
    assert prompt is not None
    return builder_for(prompt)


class PaddedModel:
    """transformers alone: one padded call of `generate` for each `batch` prompts, in their order, drained each time."""

    def __init__(self, model: str, batch: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        self._model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        self._batch = batch
        self._end = self._model.config.eos_token_id

    def __call__(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """The new tokens of each prompt, without what follows the end of its program."""
        found: list[list[int]] = []
        for at in range(0, len(prompts), self._batch):
            found += self._generate(prompts[at : at + self._batch])
        return found

    def _generate(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        import torch

        width = max(len(prompt.token_ids) for prompt in prompts)
        ids, mask = (torch.zeros(len(prompts), width, dtype=torch.long) for _ in range(2))
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt.token_ids) :] = torch.tensor(prompt.token_ids)  # padded on the left
            mask[row, width - len(prompt.token_ids) :] = 1
        new = max(prompt.max_new_tokens for prompt in prompts)
        with torch.inference_mode():
            out = self._model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=new, do_sample=False, pad_token_id=0
            )
        answers = out[:, width:].tolist()
        return [ids[: ids.index(self._end)] if self._end in ids else ids for ids in answers]


@cache
def padded_model(model: str, batch: int) -> PaddedModel:
    """The model of this process, loaded once: Spark's workers and datatrove's tasks ask for it again and again."""
    return PaddedModel(model, batch)


def read_pages(file: str) -> list[Page]:
    """The pages of a file of JSON lines."""
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def command_line(description: str | None) -> tuple[Work, argparse.Namespace]:
    """The options that each reference has: `Work` as JSON, and the way of ours."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("work", help="bench.references.work.Work as JSON")
    parser.add_argument("--engine", default="transformers", help="of ours")
    parser.add_argument("--datatrove", default="", help="site-packages that have datatrove")
    options = parser.parse_args()
    return Work(**json.loads(options.work)), options
