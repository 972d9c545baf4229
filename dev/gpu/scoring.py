"""Score the trained refiner's own programs on validation pages: generated greedily, executed as in production.

Figures are handed out after every batch, so that a run that is stopped leaves those of the pages it reached. The
programs go to a file, so that they can be counted again elsewhere.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lora_llama import LoraLlama
from tokenizers import Tokenizer

from spark_prox.engines.base import Request
from spark_prox.engines.cuda.build import packed_llama
from spark_prox.engines.cuda.engine import CudaEngine
from spark_prox.evaluation.executed import execute_pages
from spark_prox.evaluation.metrics import PageWords, auc, bootstrap_interval, mean
from spark_prox.generation import GeneratedProgram, ProgramStatus
from spark_prox.programs import ReplaceText, parse_program, policy_for, shift_lines

__all__ = ["judge_documents", "plain_model", "score_pages"]

_SHORT_WORDS = 8


@dataclass
class _Page:
    """A page, its prompts that wait, and the programs that came."""

    page: dict[str, Any]
    prompts: list[tuple[int, np.ndarray]]
    rows: dict[int, GeneratedProgram] = field(default_factory=dict)
    scored: dict[str, float] = field(default_factory=dict)


def plain_model(model: LoraLlama) -> Any:
    """transformers' own Llama with the adapters merged."""
    from transformers import LlamaConfig, LlamaForCausalLM

    known = {
        name: value for name, value in model.config.items() if name not in ("architectures", "model_type", "dtype")
    }
    with torch.device(model.device):
        plain = LlamaForCausalLM(LlamaConfig(**known)).to(model.dtype)
    plain.load_state_dict(model.merged(), strict=False)
    plain.tie_weights()
    return plain.eval()


def judge_documents(model: LoraLlama, found: dict[str, Any], about: dict[str, Any], tokens: int) -> dict[str, Any]:
    """AUC of the document stage on made documents and on people's, and how much content of pages it would drop."""
    lengths = found["documents/lengths"].astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    keep, drop = about["read_tokens"]
    margins = np.zeros(len(lengths))
    order = np.argsort(lengths)[::-1]
    at = 0
    with torch.inference_mode():
        while at < len(order):
            width = int(lengths[order[at]])
            chosen = order[at : at + max(1, tokens // width)]
            ids = np.zeros((len(chosen), width), np.int64)
            for row, number in enumerate(chosen):
                ids[row, : lengths[number]] = found["documents/ids"][starts[number] : starts[number + 1]]
            hidden = model.hidden(torch.from_numpy(ids).to(model.device))
            last = torch.from_numpy(lengths[chosen] - 1).to(model.device)
            logits = model.logits(hidden[torch.arange(len(chosen), device=model.device), last])
            margins[chosen] = (logits[:, keep] - logits[:, drop]).cpu().numpy()
            at += len(chosen)
    labels, groups = found["documents/labels"].astype(bool), found["documents/groups"]
    result: dict[str, Any] = {}
    for group, name in enumerate(("made", "human")):
        chosen = groups == group
        if chosen.any():
            result[f"auc_{name}"] = auc(labels[chosen].tolist(), margins[chosen].tolist())
            result[f"accuracy_{name}"] = float(((margins[chosen] >= 0) == labels[chosen]).mean())
    content = margins[groups == 2]
    if len(content):
        result["content_dropped"] = {f"margin {edge}": float((content < edge).mean()) for edge in (0, -1, -2, -3, -5)}
    result["documents"] = len(lengths)
    return result


def score_pages(
    model: LoraLlama,
    found: dict[str, Any],
    about: dict[str, Any],
    output: Path,
    *,
    seconds: float,
    batch: int,
    say: Callable[[str], None],
    note: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Generate programs until the time is up; figures over the pages whose chunks are all done.

    Args:
        output: folder of `programs.jsonl`.
        batch: programs generated at once.
        note: gets the figures so far.
    """
    ended = time.monotonic() + seconds
    engine = _engine(model, Tokenizer.from_str(found["tokenizer"].decode()), about, batch)
    waiting = _waiting(found)
    figures: dict[str, Any] = {}
    done: list[_Page] = []
    with (output / "programs.jsonl").open("w", encoding="utf-8") as log:
        while waiting and time.monotonic() < ended:
            some: list[_Page] = []
            while waiting and (not some or sum(len(page.prompts) for page in some) < batch):
                some.append(waiting.pop(0))
            jobs = sorted(((page, *job) for page in some for job in page.prompts), key=lambda job: -len(job[2]))
            began = time.monotonic()
            _generate(engine, about, jobs, ended)
            rate = len(jobs) / (time.monotonic() - began)
            done += [page for page in some if len(page.rows) == len(page.page["chunks"])]
            for page in some:
                programs = [page.rows[n].program if n in page.rows else None for n in range(len(page.page["chunks"]))]
                log.write(
                    json.dumps({"set": page.page["set"], "source": page.page["source"], "programs": programs}) + "\n"
                )
            figures = _figures(done)
            log.flush()
            note(figures)
            say(f"{len(done)} pages scored, {len(waiting)} wait, {rate:.0f} programs/s")
    return figures


def _waiting(found: dict[str, Any]) -> list[_Page]:
    """Pages of all sets in turn, so that a run that is cut short has some of each."""
    by_set: dict[str, list[_Page]] = defaultdict(list)
    at = 0
    for page in json.loads(found["pages/text"].decode()):
        prompts, rows = [], {}
        for index, (_, _, tokens, _) in enumerate(page["chunks"]):
            if tokens:
                prompts.append((index, found["pages/ids"][at : at + tokens]))
            else:
                rows[index] = _row(page, index, None, "LINE_TOO_LONG", 0)
            at += tokens
        by_set[page["set"]].append(_Page(page, prompts, rows))
    groups = list(by_set.values())
    for group in groups:
        np.random.default_rng(0).shuffle(group)  # type: ignore[arg-type]
    return [group[n] for n in range(max(map(len, groups))) for group in groups if n < len(group)]


class _Tokenizer:
    """The part of a tokenizer that the engine asks for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def decode_answer(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)


def _engine(model: LoraLlama, tokenizer: Tokenizer, about: dict[str, Any], batch: int) -> Any:
    """Our engine over the merged model."""
    packed = packed_llama(plain_model(model))
    if packed is None:
        raise RuntimeError("the fast forward pass does not give what transformers gives")
    return CudaEngine(
        packed,
        tokenizer=_Tokenizer(tokenizer),
        stop_ids=(about["eos"],),
        device=model.device,
        batch_tokens=32_768,
        max_in_flight=2 * batch,
        lanes=min(batch, 256),
        request_timeout_s=600.0,
    )


def _generate(engine: Any, about: dict[str, Any], jobs: Sequence[Any], ended: float) -> None:
    """Programs of prompts; those that the clock stops are left out, and so are their pages."""
    requests = (
        Request(request_id=n, prompt_token_ids=tuple(ids.tolist()), max_new_tokens=about["max_new_tokens"])
        for n, (*_, ids) in enumerate(jobs)
    )
    for done in engine.complete(requests):
        page, index, _ = jobs[done.request_id]
        page.rows[index] = _row(page.page, index, done.text, done.finish_reason, done.output_tokens)
        if time.monotonic() > ended:
            break


def _row(page: dict[str, Any], index: int, text: str | None, reason: str, tokens: int) -> GeneratedProgram:
    first_line, count, prompt_tokens, first_number = page["chunks"][index]
    return GeneratedProgram(
        doc_id="0",
        doc_hash=None,
        chunk_index=index,
        chunk_count=len(page["chunks"]),
        first_line=first_line,
        line_count=count,
        program=None if text is None else shift_lines(text, first_number),
        status=ProgramStatus.LINE_TOO_LONG if text is None else ProgramStatus.OK,
        finish_reason=reason,
        prompt_tokens=prompt_tokens,
        output_tokens=tokens,
    )


def _failed(row: GeneratedProgram) -> bool:
    return row.program is None or row.finish_reason != "stop" or bool(parse_program(row.program).errors)


def _figures(done: Sequence[_Page]) -> dict[str, Any]:
    """Figures by set, and in the set of raw pages by source."""
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    for item in done:
        scored = item.scored = item.scored or _score(item)
        groups[item.page["set"]].append(scored)
        if item.page["set"].endswith("raw"):
            groups[f"{item.page['set']}/{item.page['source']}"].append(scored)
    result = {}
    for name, pages in sorted(groups.items()):
        f1 = [page["f1"] for page in pages]
        total = lambda key, pages=pages: sum(page[key] for page in pages)  # noqa: E731
        share = lambda a, b: total(a) / total(b) if total(b) else None  # noqa: E731, B023
        result[name] = {
            "pages": len(pages),
            "word_f1": mean(f1),
            "word_f1_interval": bootstrap_interval(
                len(f1), lambda drawn, f1=f1: mean([f1[n] for n in drawn]), rounds=300
            ),
            "keep_all_f1": mean([page["keep_f1"] for page in pages]),
            "recall": mean([page["recall"] for page in pages]),
            "precision": mean([page["precision"] for page in pages]),
            "short_lines_kept": share("short_kept", "short"),
            "first_gold_line_kept": share("title_kept", "titled"),
            "programs": total("programs"),
            "failed": share("failed", "programs"),
            "calls_a_program": share("calls", "programs"),
            "normalize_calls": total("normalize"),
            "inserted": total("inserted"),
            "inserted_removed": share("inserted_removed", "inserted"),
        }
    return result


def _score(item: _Page) -> dict[str, float]:
    page = item.page
    lines, gold = page["lines"], [bool(value) for value in page["keep"]]
    clean = lines
    for text in page["inserted"]:
        clean = [line.replace(text, "") for line in clean]
    rows = [item.rows[n] for n in range(len(page["chunks"]))]
    (executed,) = execute_pages([lines], rows, policy_for("default"))
    words = PageWords(clean, gold)
    score = words.score(executed.keep, executed.text)
    own = [row for row in rows if row.status == ProgramStatus.OK]
    ops = [op for row in own for op in parse_program(row.program or "").program]
    short = [n for n, keep in enumerate(gold) if keep and 0 < len(lines[n].split()) < _SHORT_WORDS]
    first = next((n for n, keep in enumerate(gold) if keep and lines[n].strip()), None)
    return {
        "f1": score.words.f1,
        "recall": score.words.recall,
        "precision": score.words.precision,
        "keep_f1": words.score([True] * len(lines)).words.f1,
        "short": len(short),
        "short_kept": sum(executed.keep[n] for n in short),
        "titled": float(first is not None),
        "title_kept": float(first is not None and executed.keep[first]),
        "programs": len(own),
        "failed": sum(map(_failed, own)),
        "calls": len(ops),
        "normalize": sum(isinstance(op, ReplaceText) for op in ops),
        "inserted": len(page["inserted"]),
        "inserted_removed": sum(text not in executed.text for text in page["inserted"]),
    }
