"""The README of a trained refiner: data, split, recipe, thresholds, figures. Plain text; knows no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from spark_prox.annotation.labels import SPLITS, LabelledPage, split_of
from spark_prox.training.embedded.loop import LogLine
from spark_prox.training.embedded.recipe import Thresholds
from spark_prox.training.embedded.settings import TrainConfig

__all__ = ["FIGURES_MARK", "model_card", "split_table", "write_figures"]

FIGURES_MARK = "<!-- figures: jobs/evaluate.py writes below this line -->"
_LICENCES = {
    "wcxb": "CC-BY-4.0 (Murrough-Foley/web-content-extraction-benchmark)",
    "cleaneval_en": "MIT repository (CleanEval, ACL SIGWAC 2007, states none of its own)",
    "fundus": "MIT (flairNLP/fundus)",
    "magic_html": "Apache-2.0 (opendatalab/magic-html)",
    "synthetic": "made by spark_prox",
}

_CARD = """# Embedded refiner

A Llama of {c.layers} layers, width {c.width}, {c.heads} heads of {c.head_width}, MLP {c.mlp_width}, vocabulary
{c.vocabulary}, in half precision, with both stages of ProX in one model. It is prompted by
`spark_prox.prompts.compact` and decodes nothing: each verdict is the next-token distribution at one prompt
position. `AutoModelForCausalLM.from_pretrained` loads the folder.

## Training

From scratch on a CPU by `jobs/train.py`: {steps} steps, {millions} million prompt tokens, {minutes} minutes with
{c.threads} threads a process. The weights are those of step {best_step}, the best word F1 on at most
{c.evaluate_pages} validation pages ({best_f1}).
Targets: {gold} human label, the rest the out-of-fold score of the line classifier; pages without labels have the
classifier's score alone. Documents for the document stage are made from the same pages (`document_labels`); human
document labels are for evaluation alone.
{opinion}
## Data and split

The split goes by a hash of the registered host: 15% test, 10% validation. Page texts stay their publishers'
property and are not in this folder. Sources never trained on: {excluded}.

{splits}

## Thresholds, chosen on validation hosts

`policy.min_remove_margin = {remove}`{short}, `policy.min_drop_margin = {drop}` (drops at most 0.3% of good content
there; AUC on made-up validation documents {document_auc}). The curve, with the margin for short lines as chosen:

{curve}

## Figures on hosts that training never saw

{mark}
"""


def split_table(pages: Sequence[LabelledPage]) -> list[str]:
    """Rows of a Markdown table: pages of each source in each split."""
    counts = Counter((page.source, split_of(page)) for page in pages)
    rows = ["| source | licence of the annotations | train | validation | test |", "|---|---|---|---|---|"]
    for source in sorted({page.source for page in pages}):
        cells = " | ".join(str(counts[source, split]) for split in SPLITS)
        rows.append(f"| {source} | {_LICENCES.get(source, 'see its provenance')} | {cells} |")
    return rows


def _curve_rows(thresholds: Thresholds) -> list[str]:
    rows = [
        "| min_remove_margin | word F1 | chunk F1 | word recall | words removed | worse than keeping everything on |"
    ]
    rows.append("|---|---|---|---|---|---|")
    for point in thresholds.curve:
        if point.margin % 0.5 == 0:
            worse = ", ".join(point.worse_than_keeping) or "-"
            mark = " **(chosen)**" if point.margin == thresholds.chunk.margin else ""
            rows.append(
                f"| {point.margin:g}{mark} | {point.word_f1:.3f} | {point.chunk_f1:.3f} "
                f"| {point.word_recall:.3f} "
                f"| {point.share_removed:.1%} | {worse} |"
            )
    return rows


_OPINION = """
## Second opinion

`second_opinion.npz` is the line classifier (`spark_prox.heuristics.line_classifier`), trained on the same training
hosts. A line's margin is {own:g} times the language model's and {other:g} times the classifier's, shares chosen on
validation hosts. Word F1 there is {both:.3f} with it and {alone:.3f} without, each at its best margins. A copy of this
folder without the two files `second_opinion.*` is the language model alone; it wants `min_remove_margin = {margin:g}`.
"""


def _opinion(thresholds: Thresholds) -> str:
    if thresholds.model_share == 1 or thresholds.alone is None:
        return ""
    return _OPINION.format(
        own=thresholds.model_share,
        other=round(1 - thresholds.model_share, 3),
        both=thresholds.chunk.word_f1,
        alone=thresholds.alone.word_f1,
        margin=thresholds.alone.margin,
    )


def model_card(
    config: TrainConfig, pages: Sequence[LabelledPage], log: Sequence[LogLine], thresholds: Thresholds
) -> str:
    """The card as Markdown; figures on test hosts are added by `jobs/evaluate.py`."""
    last, short = log[-1], thresholds.chunk.short_margin
    best = max((line for line in log if line.word_f1 is not None), key=lambda line: line.word_f1 or 0.0)
    return _CARD.format(
        c=config,
        steps=f"{last.step:,}",
        millions=f"{last.tokens / 1e6:.1f}",
        minutes=f"{last.seconds / 60:.0f}",
        best_step=f"{best.step:,}",
        best_f1=f"{best.word_f1:.3f}",
        gold=f"{config.gold_share:.0%}",
        opinion=_opinion(thresholds),
        excluded=", ".join(config.exclude_sources) or "none",
        splits="\n".join(split_table(pages)),
        remove=f"{thresholds.chunk.margin:g}",
        short="" if short is None else f", `min_remove_margin_short = {short:g}`",
        drop=f"{thresholds.min_drop_margin:g}",
        document_auc=f"{thresholds.document_auc:.3f}",
        curve="\n".join(_curve_rows(thresholds)),
        mark=FIGURES_MARK,
    )


def write_figures(card: str | Path, figures: str) -> None:
    """Put figures under the card's mark, in place of older ones."""
    path = Path(card)
    head, mark, _ = path.read_text(encoding="utf-8").partition(FIGURES_MARK)
    path.write_text(f"{head}{mark or FIGURES_MARK}\n\n{figures.strip()}\n", encoding="utf-8")
