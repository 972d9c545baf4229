"""The card of an exported data set: README.md with the header that Hugging Face's hub and `datasets` read.

Says what is in it, what made it, what share of the documents each step kept, how to read it, and its limits. Names of
sources and models come from the tables: they are shown as code, so that none of them becomes markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from spark_prox.config.export import ExportConfig
from spark_prox.export.manifest import ExportManifest, amounts
from spark_prox.export.tokenizing import ExportTokenizer

__all__ = ["card_text"]

_CORPORA = {
    "raw": "every document of the warehouse, unchanged",
    "rules": "the documents that heuristic rules keep",
    "doc": "the documents that the document level keeps, with their original text",
    "chunk": "the documents that both levels keep, refined",
}
_READ = {
    "parquet": 'from datasets import load_dataset\n\nload_dataset("parquet", data_files="train/*.parquet")',
    "jsonl": 'from datasets import load_dataset\n\nload_dataset("json", data_files="train/*.jsonl.zst")',
    "datatrove": (
        "from datatrove.utils.dataset import DatatroveFolderDataset\n\n"
        'DatatroveFolderDataset("train", seq_len=2048, token_size={width})'
    ),
    "megatron": (
        "from megatron.core.datasets.indexed_dataset import IndexedDataset\n\n"
        'IndexedDataset("train/shard-00000")  # --data-path takes the same prefixes'
    ),
    "litgpt": ('from litgpt.data import LitData\n\nLitData(data_path=".", split_names=("train", "{validation}"))'),
}
_MOST_ROWS = 40


def card_text(manifest: ExportManifest, config: ExportConfig, tokenizer: ExportTokenizer | None) -> str:
    """The card in Markdown."""
    rules = str(manifest.plan.settings.get("rules") or "")
    filters = manifest.plan.settings.get("filters")
    if rules == "verdicts" and isinstance(filters, Mapping):
        rules = ", ".join(filters)
    return "\n".join(
        [
            *_header(manifest),
            f"# {manifest.corpus} corpus",
            "",
            f"Text for language-model pretraining: {_CORPORA[manifest.corpus]}"
            + (f" (`{rules}`)" if rules else "")
            + ". Made by spark_prox "
            + f"{manifest.versions.get('spark_prox', '')} (ProX, arXiv 2409.17115). `manifest.json` has the counts, "
            "the versions of the tables and the checksums of every shard; `sha256sum -c SHA256SUMS` checks them.",
            "",
            "## Contents",
            "",
            *_contents(manifest),
            "",
            "## Sources",
            "",
            *_sources(manifest),
            *_flow(manifest),
            *_made(manifest),
            "",
            "## Reading it",
            "",
            "```python",
            _reading(manifest, tokenizer),
            "```",
            "",
            *_tokens(manifest, tokenizer),
            "## Limits",
            "",
            *_limits(manifest, config),
            "",
        ]
    )


def _header(manifest: ExportManifest) -> list[str]:
    lines = ["---", "task_categories:", "- text-generation", "tags:", "- pretraining", "- spark_prox"]
    suffix = {"parquet": "parquet", "jsonl": "jsonl.zst"}.get(manifest.format)
    if suffix:
        lines += ["configs:", "- config_name: default", "  data_files:"]
        for split in manifest.plan.shards:
            lines += [f"  - split: {split}", f"    path: {split}/*.{suffix}"]
    return [*lines, "---", ""]


def _contents(manifest: ExportManifest) -> list[str]:
    rows = []
    for split, count in manifest.plan.shards.items():
        records = [record for record in manifest.records if record.split == split]
        total = next((a for a in amounts(manifest.records) if (a.split, a.source) == (split, "*")), None)
        size = sum(file.bytes for record in records for file in record.files)
        tokens = "not counted" if total is None or total.tokens is None else f"{total.tokens:,}"
        rows.append([split, f"{count:,}", f"{total.documents if total else 0:,}", tokens, f"{size:,}"])
    return [f"Format: `{manifest.format}`.", "", *_table(["split", "shards", "documents", "tokens", "bytes"], rows)]


def _sources(manifest: ExportManifest) -> list[str]:
    rows = [
        [
            amount.split,
            _code(amount.source),
            f"{amount.documents:,}",
            "-" if amount.tokens is None else f"{amount.tokens:,}",
        ]
        for amount in amounts(manifest.records)
        if amount.source != "*"
    ]
    return _table(["split", "source", "documents", "tokens"], rows)


def _flow(manifest: ExportManifest) -> list[str]:
    if not manifest.flow:
        return []
    first = {step.source: step for step in manifest.flow if step.step == 1}
    rows = [
        [
            _code(step.source),
            step.stage,
            f"{step.documents:,}",
            _share(step.documents, first[step.source].documents),
            f"{step.tokens:,}",
            _share(step.tokens, first[step.source].tokens),
        ]
        for step in manifest.flow
    ]
    head = ["source", "after", "documents", "kept", "tokens", "kept"]
    return [
        "",
        "## What each step keeps",
        "",
        "Of the whole warehouse, before split and mixture.",
        "",
        *_table(head, rows),
    ]


def _made(manifest: ExportManifest) -> list[str]:
    if not manifest.made:
        return []
    rows = [[made.what, _code(_last(made.name)), _code(made.detail), f"{made.rows:,}"] for made in manifest.made]
    return ["", "## What made it", "", *_table(["", "name", "version", "rows"], rows)]


def _reading(manifest: ExportManifest, tokenizer: ExportTokenizer | None) -> str:
    width = 2 if str(manifest.plan.settings.get("dtype")).endswith("16") else 4
    splits = list(manifest.plan.shards)
    return _READ[manifest.format].replace("{width}", str(width)).replace("{validation}", splits[-1])


def _tokens(manifest: ExportManifest, tokenizer: ExportTokenizer | None) -> list[str]:
    if tokenizer is None:
        return []
    settings = manifest.plan.settings
    text = f"Tokenizer {_code(_last(tokenizer.path))} ({tokenizer.fingerprint}), {tokenizer.vocabulary:,} ids."
    if settings.get("dtype"):
        text += f" Tokens are `{settings['dtype']}`; token {settings['eos']} ends every document and is counted."
    return [text, ""]


def _limits(manifest: ExportManifest, config: ExportConfig) -> list[str]:
    lines = [
        "- The text is that of web pages. It may hold personal data, errors, and text under other people's rights.",
        f"- The order, the split and the mixture come from hashes under seed {config.seed}.",
    ]
    if config.holdout:
        lines.append(
            f"- About {config.holdout:.2%} of registered hosts are held out as `validation`; no host is in both "
            "splits. Copies of a page on two hosts may be."
        )
    if config.mixture:
        weights = ", ".join(f"{_code(str(name))} {float(weight):g}" for name, weight in sorted(config.mixture.items()))
        lines.append(f"- Documents are taken by weight of their source: {weights}; others once.")
    if manifest.corpus in ("doc", "chunk"):
        lines.append(
            "- A small language model decided what is kept, and it errs. Documents without a usable program are left "
            "out."
        )
    uncounted = sum(record.uncounted for record in manifest.records)
    if uncounted:
        lines.append(f"- Tokens of {uncounted:,} documents were not counted.")
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    shown = [*rows[:_MOST_ROWS], *([["..."] * len(head)] if len(rows) > _MOST_ROWS else [])]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *shown)]


def _code(text: str) -> str:
    """A text of strangers as code in a cell."""
    plain = re.sub(r"[`|\x00-\x1f\x7f-\x9f]", "_", text)[:100].strip()
    return f"`{plain}`" if plain else "(none)"


def _last(name: str) -> str:
    """The last part of a path: a card for everybody says nothing of this machine's folders."""
    return re.sub(r"(?:/|\b[A-Za-z]:)\S*/(?=[^/\s]+)", "", name)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
