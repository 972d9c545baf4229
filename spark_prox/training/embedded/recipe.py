"""Make an embedded refiner from labelled pages, step by step; the output folder keeps each step's result.

Splits by host, trains the teacher and the tokenizer, trains the model, chooses thresholds on validation
hosts and writes the model card. A run that was killed goes on with what is there.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_prox.annotation.document_labels import content_quality, labelled_document
from spark_prox.annotation.labels import LabelledPage, load_labelled_pages, pages_of_split
from spark_prox.errors import InputError
from spark_prox.evaluation.metrics import auc, mean
from spark_prox.evaluation.reading import Reader, open_reader
from spark_prox.evaluation.thresholds import MarginPoint, choose_margins, drop_margin, score_at
from spark_prox.folder_settings import write_folder_settings
from spark_prox.heuristics.ensemble import Ensemble, store_ensemble
from spark_prox.heuristics.line_classifier import LineClassifier, out_of_fold_scores, train_line_classifier
from spark_prox.prompts.compact import CompactPrompt
from spark_prox.training.embedded.data import TrainingData, load_unlabelled_texts, mix_labels, teacher_pages
from spark_prox.training.embedded.llama import MAX_PROMPT_TOKENS, build_model
from spark_prox.training.embedded.loop import LogLine, train
from spark_prox.training.embedded.settings import TrainConfig
from spark_prox.training.embedded.tokenizer import save_tokenizer, train_tokenizer
from spark_prox.training.process_group import SOLO, ProcessGroup

__all__ = ["Thresholds", "choose_thresholds", "load_pages", "make_refiner", "store_verdicts"]

Say = Callable[[str], None]
_MAX_LINE_CHARS = 400
_SELECTION_MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0)
_MODEL_SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The margins chosen on validation hosts, and their figures.

    Attributes:
        chunk: the chosen margin of the chunk level.
        curve: what other choices would give.
        min_drop_margin: the chosen margin of the document level.
        document_auc: of made-up documents on validation hosts.
        model_share: weight of the model's margins beside those of a line classifier; 1 without one.
        alone: the chosen margin of the chunk level if the model had no line classifier beside it.
    """

    chunk: MarginPoint
    curve: tuple[MarginPoint, ...]
    min_drop_margin: float
    document_auc: float
    model_share: float = 1.0
    alone: MarginPoint | None = None


def load_pages(config: TrainConfig) -> list[LabelledPage]:
    """All labelled pages of the configuration but those of excluded sources."""
    pages = [page for page in load_labelled_pages(config.labelled) if page.source not in config.exclude_sources]
    if not pages:
        raise InputError("NO_LABELS", "no labelled page is left after exclude_sources.", "Check `labelled`.")
    return pages


def _teacher(train_pages: Sequence[LabelledPage], output: Path, say: Say) -> LineClassifier:
    file = output / "line_classifier.npz"
    if not file.exists():
        say(f"training the line classifier on {len(train_pages)} pages")
        train_line_classifier(train_pages, say=say).save(file)
    return LineClassifier.load(file)


def _soft_scores(train_pages: Sequence[LabelledPage], output: Path, say: Say) -> list[list[float]]:
    file = output / "soft_labels.json"
    if not file.exists():
        say("scoring the training pages out of fold")
        scores = out_of_fold_scores(train_pages, say=say)
        file.write_text(json.dumps([[round(value, 4) for value in page] for page in scores]))
    loaded: list[list[float]] = json.loads(file.read_text())
    return loaded


def _training_pages(train_pages: list[LabelledPage], config: TrainConfig, output: Path, say: Say) -> list[LabelledPage]:
    """Labelled pages with mixed targets, those of `repeat_sources` twice, and pages that the teacher labels."""
    if config.gold_share >= 1 and not config.unlabelled and not config.clean:
        return train_pages
    teacher = _teacher(train_pages, output, say)
    pages = mix_labels(train_pages, _soft_scores(train_pages, output, say), gold_share=config.gold_share)
    pages += [page for page in pages if page.source in config.repeat_sources]
    say("labelling pages without labels")
    pages += teacher_pages(load_unlabelled_texts(config.unlabelled, config.text_keys), teacher)
    clean = teacher_pages(load_unlabelled_texts(config.clean, config.text_keys), teacher)
    # Refined corpora have little left to remove: the teacher's doubt counts half.
    pages += [dataclasses.replace(page, keep=tuple(0.5 + 0.5 * value for value in page.keep)) for page in clean]
    return pages


def _tokenizer_texts(pages: Sequence[LabelledPage]) -> Iterator[str]:
    for page in pages:
        for line in dict.fromkeys(page.lines):
            yield line[:_MAX_LINE_CHARS]


def _prepare_tokenizer(pages: Sequence[LabelledPage], config: TrainConfig, output: Path, say: Say) -> CompactPrompt:
    from tokenizers import Tokenizer

    file = output / "model" / "tokenizer.json"
    if not file.exists():
        say("training the tokenizer")
        tokenizer = train_tokenizer(_tokenizer_texts(pages), vocabulary=config.vocabulary)
        for folder in ("latest", "model"):
            save_tokenizer(tokenizer, output / folder, max_tokens=MAX_PROMPT_TOKENS)
    return CompactPrompt(Tokenizer.from_file(str(file)))


def _validation_f1(pages: Sequence[LabelledPage], config: TrainConfig) -> Callable[[Path], float]:
    """Mean word F1 at the best of a few margins. Checkpoints are chosen by it."""
    stride = max(1, len(pages) // config.evaluate_pages) if config.evaluate_pages else 1
    chosen = [page for page in pages[::stride] if len(page.lines) <= 900]

    def evaluate(folder: Path) -> float:
        reader = open_reader(
            folder, dtype="bfloat16" if config.precision == "bf16" else "float32", threads=config.threads
        )
        margins = reader.line_margins([page.lines for page in chosen])
        return max(
            mean([score.words.f1 for score in score_at(chosen, margins, choice)]) for choice in _SELECTION_MARGINS
        )

    return evaluate


def choose_thresholds(
    pages: Sequence[LabelledPage], reader: Reader, *, classifier: LineClassifier | None = None, seed: int = 0
) -> Thresholds:
    """Margins of both levels, and the model's share beside a line classifier, from the pages of validation hosts.

    Args:
        classifier: for an ensemble with the model; it must not have seen these pages.
    """
    margins = dataclasses.replace(reader, opinion=None).line_margins([page.lines for page in pages])
    share, (chosen, curve) = 1.0, choose_margins(pages, margins)
    alone = chosen
    if classifier is not None:
        others = [classifier.margins(page.lines) for page in pages]
        for candidate in _MODEL_SHARES:
            opinion = Ensemble(classifier=classifier, model_share=candidate)
            both = [opinion.combine(own, other) for own, other in zip(margins, others, strict=True)]
            point, points = choose_margins(pages, both)
            if point.word_f1 > chosen.word_f1:
                share, chosen, curve = candidate, point, points
    source = random.Random(f"{seed}/documents")
    made = [labelled_document(page, source) for page in pages for _ in range(3)]
    contents = [[line for line, keep in zip(page.lines, page.keep, strict=True) if keep >= 0.5] for page in pages]
    good = [lines for lines in contents if content_quality(lines) >= 0.7] + [
        page.lines for page, lines in zip(pages, contents, strict=True) if content_quality(lines) >= 0.7
    ]
    return Thresholds(
        chunk=chosen,
        curve=tuple(curve),
        min_drop_margin=drop_margin(reader.document_margins(good)),
        document_auc=auc([keep >= 0.5 for _, keep in made], reader.document_margins([lines for lines, _ in made])),
        model_share=share,
        alone=alone,
    )


def make_refiner(
    config: TrainConfig, *, say: Say, report: Callable[[LogLine], None], process_group: ProcessGroup = SOLO
) -> tuple[list[LogLine], Thresholds | None]:
    """Train to the end and choose thresholds. The model is in `output/model` afterwards.

    Returns:
        The training log and the thresholds, which are also in `output/thresholds.json` and, short, beside
        the model; no thresholds in processes that do not lead the process group.
    """
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    pages = load_pages(config)
    train_pages, validation = pages_of_split(pages, "train"), pages_of_split(pages, "validation")
    if not train_pages or not validation:
        raise InputError("TOO_FEW_LABELS", f"{len(pages)} pages leave a split empty.", "Give pages of more hosts.")
    if not process_group.leads:
        process_group.wait()  # the leading process stores teacher, soft labels and tokenizer first
    mixed = _training_pages(train_pages, config, output, say)
    prompt = _prepare_tokenizer([*train_pages, *mixed[len(train_pages) :]], config, output, say)
    if process_group.leads:
        process_group.wait()
    data = TrainingData(
        mixed,
        prompt,
        batch_tokens=config.batch_tokens,
        augment_share=config.augment_share,
        documents_per_page=config.documents_per_page,
        seed=config.seed,
    )
    model = build_model(config, config.vocabulary)
    say(f"training {sum(p.numel() for p in model.parameters()):,} parameters on {len(mixed)} pages")
    log = train(
        model,
        data,
        config,
        keep_id=prompt.chunk_read_tokens[0],
        evaluate=_validation_f1(validation, config),
        report=report,
        process_group=process_group,
    )
    if not process_group.leads:
        return log, None
    say("choosing thresholds on validation hosts")
    classifier = _teacher(train_pages, output, say) if config.second_opinion else None
    reader = open_reader(output / "model", threads=config.threads)
    thresholds = choose_thresholds(validation, reader, classifier=classifier, seed=config.seed)
    (output / "thresholds.json").write_text(json.dumps(dataclasses.asdict(thresholds), indent=1) + "\n")
    store_verdicts(thresholds, classifier, output / "model")
    return log, thresholds


def store_verdicts(thresholds: Thresholds, classifier: LineClassifier | None, model: Path) -> None:
    """Store the choices made on validation hosts beside the model: recommended margins, and the ensemble."""
    if classifier is not None and thresholds.model_share < 1:
        store_ensemble(Ensemble(classifier=classifier, model_share=thresholds.model_share), model)
    chosen = {"min_remove_margin": thresholds.chunk.margin, "min_drop_margin": thresholds.min_drop_margin}
    if thresholds.chunk.short_margin is not None:
        chosen["min_remove_margin_short"] = thresholds.chunk.short_margin
    (model / "thresholds.json").write_text(json.dumps(chosen) + "\n")
    write_folder_settings(model, {"doc": "embedded-doc", "chunk": "embedded-chunk"}, margins=chosen)
