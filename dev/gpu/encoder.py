"""Train line encoders on a GPU within a budget: a teacher with all layers, then smaller ones that learn from it too.

    python dev/gpu/encoder.py --data .gpu --seconds 330 --output OUT

Results, models and a log are written as they come.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from spark_prox.engines.line_encoder import EncoderConfig, initial_head
from spark_prox.engines.line_encoder_files import load_line_encoder, save_line_encoder
from spark_prox.prompts.line_shape import FORMS
from spark_prox.prompts.page_prompt import QUALITY_TOKENS, SHAPE_TOKENS
from spark_prox.training.encoder.base_model import BaseModel
from spark_prox.training.encoder.batches import BatchMaker, BatchSettings
from spark_prox.training.encoder.loop import LoopSettings, Teacher, fit, margins_of
from spark_prox.training.encoder.packed_pages import PackedPages

WEIGHTS = {
    "wcxb": 2.0,
    "cleaneval_en": 1.5,
    "fundus": 4.0,
    "magic_html": 4.0,
    "wcxb_dev": 1.0,
    "made": 0.6,
    "unlabelled": 0.5,
}


def scores(weights, config, maker, packed, device, pages):
    """Line-word F1 on validation pages by source, at the best of some thresholds, and recall of short kept lines."""
    found: dict[str, list] = {}
    for number, margins, document in margins_of(weights, config, maker, pages, device):
        page = maker.page(number)
        words = packed.words[page.lines].astype(float)
        found.setdefault(str(packed.sources[packed.source[number]]), []).append(
            (margins, page.keep > 0, words, document)
        )
    rows = {}
    for threshold in (-2.0, -1.5, -1.0, -0.5, 0.0):
        by_source = {}
        for source, scored in found.items():
            f1s = []
            for margins, keep, words, _ in scored:
                kept = margins >= threshold
                both = words[kept & keep].sum()
                f1s.append(2 * both / max(1e-9, words[kept].sum() + words[keep].sum()))
            short = [(margins[(words < 8) & keep] >= threshold) for margins, keep, words, _ in scored]
            first = [margins[np.flatnonzero(keep)[0]] >= threshold for margins, keep, words, _ in scored if keep.any()]
            by_source[source] = [round(float(np.mean(values)), 4) for values in (f1s, np.concatenate(short), first)]
        rows[threshold] = by_source
    return rows


def main() -> None:  # noqa: PLR0915 - a script
    """Parse, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="FOLDER")
    parser.add_argument("--output", required=True, metavar="FOLDER")
    parser.add_argument("--seconds", type=float, default=330)
    parser.add_argument("--layers", type=int, nargs="+", default=[12, 6, 4, 3], help="the first one is the teacher")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.37, 0.25, 0.2, 0.18])
    parser.add_argument(
        "--start", metavar="FOLDER", help="a model folder to go on from; the first of --layers has its layers"
    )
    parser.add_argument("--pages", type=int, default=48)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--vary-share", type=float, default=0.6)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    started = time.monotonic()
    data, output, device = Path(arguments.data), Path(arguments.output), arguments.device
    output.mkdir(parents=True, exist_ok=True)
    results: dict[str, object] = {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu"}

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} {text}", flush=True)

    packed = PackedPages.load(data / "pages.npz")
    base = BaseModel.load(data / "base.npz")
    plain = {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in base.weights().items()}
    torch.manual_seed(0)
    if arguments.start:
        config, stored = load_line_encoder(arguments.start)
        plain |= stored
    else:
        config = EncoderConfig(
            vocabulary=len(plain["word"]),
            shapes=SHAPE_TOKENS,
            forms=FORMS,
            qualities=QUALITY_TOKENS,
            layers=base.sizes["layers"],
        )
        plain |= initial_head(config, plain["word"], 0)
    start = {name: value.to(device) for name, value in plain.items()}
    batches = BatchSettings(pages=arguments.pages, source_weights=WEIGHTS, vary_share=arguments.vary_share)
    budget = arguments.seconds - (time.monotonic() - started) - 10
    teacher: Teacher | None = None
    say(f"loaded; {budget:.0f} s to train on {results['device']}")
    for layers, share in zip(arguments.layers, arguments.shares, strict=True):
        own = config.with_layers(layers)
        maker = BatchMaker(packed, own, batches, seed=layers)
        base_weights = start if teacher is None else teacher.weights
        names = [n for n in base_weights if not n.startswith("layer") or int(n.split(".")[0][5:]) < layers]
        weights = {name: base_weights[name].clone() if name != "word" else base_weights[name] for name in names}
        try:
            clock = time.monotonic()
            settings = LoopSettings(
                seconds=share * budget - 4,
                rate=arguments.rate,
                head_rate=6 * arguments.rate,
                workers=arguments.workers,
                half=True,
            )
            trained = fit(weights, own, maker, settings, device=device, teacher=teacher, say=say)
            folder = output / f"layers{layers}"
            save_line_encoder(folder, own, trained, None)
            loaded = {name: value.to(device) for name, value in load_line_encoder(folder)[1].items()}
            figures = scores({**loaded, "word": start["word"]}, own, maker, packed, device, maker.pages_of(1))
            results[f"layers{layers}"] = {"seconds": time.monotonic() - clock, "validation": figures}
            (output / "encoder.json").write_text(json.dumps(results, indent=1))
            for threshold, row in figures.items():
                say(f"layers {layers} threshold {threshold} {row}")
            seen = scores({**loaded, "word": start["word"]}, own, maker, packed, device, maker.pages_of(0)[::10])
            say(f"layers {layers} on pages it was trained on, threshold -0.5 {seen[-0.5]}")
            if teacher is None:
                teacher = Teacher(config=own, weights={name: value.detach() for name, value in trained.items()})
        except Exception:  # noqa: BLE001 - the other models are still worth their time
            say(traceback.format_exc())
            results[f"layers{layers}"] = {"error": traceback.format_exc()[-2000:]}
            (output / "encoder.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
