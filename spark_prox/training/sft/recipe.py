"""Make a fine-tuned refiner from examples: split by host, train, choose by F1, write card and curve.

A distributed run calls `fine_tune` in each of its processes. Knows no Spark.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from spark_prox.annotation.labels import load_labelled_pages, pages_of_split
from spark_prox.documents import Level
from spark_prox.errors import ConfigError, InputError
from spark_prox.folder_settings import write_folder_settings
from spark_prox.training.embedded.loop import LogLine, progress_line
from spark_prox.training.model_card import FIGURES_MARK, split_table
from spark_prox.training.plots import draw_training_curve
from spark_prox.training.process_group import join_process_group
from spark_prox.training.sft.examples import Example, document_examples, load_examples, page_example
from spark_prox.training.sft.loop import fine_tune_samples, load_model, total_steps
from spark_prox.training.sft.samples import SampleMaker
from spark_prox.training.sft.settings import SftConfig
from spark_prox.training.sft.validation import SftFigures, measure

__all__ = ["SplitExamples", "fine_tune", "split_examples"]

Say = Callable[[str], None]

_FREE = ("output", "threads", "device", "distributed", "processes", "local_mode", "micro_batch_tokens", "batching")

_CARD = """# Refiner fine-tuned from {base}

{what}.
Prompts: `{c.chunk_template}` and `{c.doc_template}`, as `spark_prox.json` says. Made by `jobs/train.py`, kind `sft`.

## Training

{steps} steps of {c.batch_examples} prompts, {millions} million tokens, {minutes} minutes. AdamW, cosine from
{c.learning_rate:g} to {c.final_learning_rate:g} after a rise over {c.warmup_share:.0%} of the steps, {c.precision}.
Loss on program tokens alone, each weighted by the square root of the words at stake in it (a word of content counts
{c.content_factor:g}, a word of boilerplate 1). The weights are those of step {best_step}, the best F1 on at most
{c.evaluate_pages} validation texts of each level.

## Data and split

{samples} training prompts. The split goes by a hash of the registered host: 15% test, 10% validation. Sources never
trained on: {excluded}.

{splits}

## Figures on validation hosts

{figures}

## Figures on hosts that training never saw

{mark}
"""


@dataclass(frozen=True, kw_only=True)
class SplitExamples:
    """Examples to learn from, examples to choose by, and a table of where they come from."""

    train: list[Example]
    validation: list[Example]
    table: list[str]


def split_examples(config: SftConfig) -> SplitExamples:
    """Read the examples and labelled pages of a configuration and split them by host.

    Raises:
        InputError: TOO_FEW_LABELS when a split is empty; EXAMPLES_MISSING, LABELS_MISSING and bad rows.
    """
    pages = [page for page in load_labelled_pages(config.labelled) if page.source not in config.exclude_sources]
    rows = [row for row in load_examples(config.examples) if row.source not in config.exclude_sources]
    found: dict[str, list[Example]] = {}
    for split in ("train", "validation"):
        own = pages_of_split(pages, split)
        found[split] = [
            *(page_example(page) for page in own),
            *document_examples(own, per_page=config.documents_per_page, seed=config.seed),
            *(row for row in rows if row.split == split),
        ]
        if not found[split]:
            raise InputError(
                "TOO_FEW_LABELS",
                f"{len(pages)} labelled pages and {len(rows)} examples leave the {split} split empty.",
                "Give texts of more hosts.",
            )
    table = split_table([*pages, *(row.as_page() for row in rows)])
    return SplitExamples(train=found["train"], validation=found["validation"], table=table)


def fine_tune(config: SftConfig, say: Say = lambda _: None) -> float:
    """Train or resume as one process of a group; the leading one writes everything and reports progress.

    Returns:
        The best F1 on validation hosts, in the leading process; -1 in the others.
    """
    device = _device(config.device)
    process_group = join_process_group(device)
    speak: Say = say if process_group.leads else lambda _: None
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    _check_same_run(config, output)
    split = split_examples(config)
    maker = SampleMaker(config)
    samples = [sample for example in split.train for sample in maker.samples(example)]
    if not samples:
        raise InputError("TOO_FEW_LABELS", "no training text fits a prompt.", "Raise max_prompt_tokens.")
    tuned = load_model(config, device)
    steps = total_steps(len(samples), config)
    validation = random.Random(config.seed).sample(split.validation, len(split.validation))
    trained = sum(parameter.numel() for parameter in tuned.trained)
    speak(
        f"{trained:,} parameters to train, {len(samples):,} prompts of {len(split.train):,} texts, "
        f"{sum(len(sample.ids) for sample in samples) / 1e6:.2f}M tokens an epoch, {steps:,} steps"
    )
    figures: list[SftFigures] = []

    def evaluate(folder: Path) -> float:
        figures.append(measure(folder, config, validation))
        speak(_figures(figures[-1]))
        return figures[-1].score

    log = fine_tune_samples(
        tuned,
        samples,
        config,
        evaluate=evaluate,
        report=lambda line: speak(progress_line(line, steps, score="F1")),
        process_group=process_group,
    )
    if not process_group.leads:
        return -1.0
    best = max((line for line in log if line.word_f1 is not None), key=lambda line: line.word_f1 or 0.0)
    draw_training_curve(log, output / "curve.png", title=f"Fine-tuning {Path(config.model).name}", score="F1")
    runnable = output / ("merged" if config.lora_rank else "model")
    measured = [found for found in figures if found.score == best.word_f1]  # none where an earlier process did it
    kept = measured[0] if measured else measure(runnable, config, validation)
    card = _card(config, split, len(samples), log, best, kept)
    (output / "model" / "README.md").write_text(card, encoding="utf-8")
    templates: dict[Level, str] = {"doc": config.doc_template, "chunk": config.chunk_template}
    trained_for = {example.stage for example in split.train}
    write_folder_settings(runnable, {level: name for level, name in templates.items() if level in trained_for})
    speak(f"best F1 {best.word_f1:.4f} at step {best.step}; the model is in {output / 'model'}")
    return float(best.word_f1 or 0.0)


def _check_same_run(config: SftConfig, output: Path) -> None:
    """Refuse to go on from a checkpoint that other settings made; settings that cannot change the result may differ."""
    settings = {name: value for name, value in asdict(config).items() if name not in _FREE}
    text, file = json.dumps(settings, indent=1), output / "settings.json"
    stored = file.read_text(encoding="utf-8") if file.exists() else ""
    if stored == text:
        return  # without writing: other processes of the process group read it now
    if stored and (output / "checkpoint.pt").exists():
        earlier = json.loads(stored)
        changed = [name for name, value in json.loads(text).items() if earlier.get(name) != value]
        raise ConfigError(
            "CHECKPOINT_OF_OTHER_RUN",
            f"{str(output)!r} holds a run with another {', '.join(changed)}.",
            "Choose another output, or remove that folder.",
        )
    file.write_text(text, encoding="utf-8")


def _device(name: str) -> str:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return name


def _figures(figures: SftFigures) -> str:
    parts = []
    if not math.isnan(figures.word_f1):
        parts.append(f"word F1 {figures.word_f1:.4f} (keep everything {figures.keep_f1:.4f})")
        parts.append(f"programs malformed or cut off {figures.failed:.2%}")
    if not math.isnan(figures.document_f1):
        parts.append(f"document F1 {figures.document_f1:.4f}")
    return ", ".join(parts)


def _card(
    config: SftConfig, split: SplitExamples, samples: int, log: list[LogLine], best: LogLine, figures: SftFigures
) -> str:
    adapter = (
        f"A LoRA adapter of rank {config.lora_rank} (set `model.path` to the base, `model.adapter` to this folder)"
    )
    return _CARD.format(
        c=config,
        base=Path(config.model).name,
        what=adapter if config.lora_rank else "All parameters were trained",
        steps=f"{log[-1].step:,}",
        millions=f"{log[-1].tokens / 1e6:.2f}",
        minutes=f"{log[-1].seconds / 60:.1f}",
        best_step=f"{best.step:,}",
        samples=f"{samples:,}",
        excluded=", ".join(config.exclude_sources) or "none",
        splits="\n".join(split.table),
        figures=_figures(figures),
        mark=FIGURES_MARK,
    )
