"""The yardstick: learns separable pages, is honest out of fold, and needs no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spark_prox.annotation.labels import LabelledPage
from spark_prox.errors import InputError
from spark_prox.heuristics.line_classifier import LineClassifier, out_of_fold_scores, train_line_classifier
from spark_prox.heuristics.line_features import line_features
from spark_prox.training.synthetic import synthetic_pages


@pytest.fixture(scope="module")
def classifier() -> LineClassifier:
    return train_line_classifier(synthetic_pages(60), folds=3)


def accuracy(pages: list[LabelledPage], scores: list[list[float]]) -> float:
    right = [
        (score >= 0.5) == (keep >= 0.5)
        for page, row in zip(pages, scores, strict=True)
        for keep, score in zip(page.keep, row, strict=True)
    ]
    return sum(right) / len(right)


def test_it_tells_content_from_menus_on_new_pages(classifier: LineClassifier) -> None:
    pages = synthetic_pages(20, seed=9)
    assert accuracy(pages, [classifier.score(page.lines) for page in pages]) > 0.97


def test_it_comes_back_from_its_file_as_it_was(classifier: LineClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "c.npz")
    lines = synthetic_pages(1, seed=5)[0].lines
    assert LineClassifier.load(tmp_path / "c.npz").score(lines) == classifier.score(lines)


def test_out_of_fold_scores_cannot_remember_labels() -> None:
    source = synthetic_pages(40)
    noise = [
        LabelledPage(page_id=p.page_id, source="s", url=p.url, lines=("same line",) * 6, keep=(float(n % 2),) * 6)
        for n, p in enumerate(source)
    ]
    assert accuracy(noise, out_of_fold_scores(noise, folds=2)) < 0.7


def test_no_lines_no_scores(classifier: LineClassifier) -> None:
    assert classifier.score([]) == []
    assert len(classifier.score([""])) == 1


def test_labels_of_one_kind_are_refused() -> None:
    pages = [LabelledPage(page_id=str(n), source="s", lines=("a",), keep=(1.0,)) for n in range(9)]
    with pytest.raises(InputError, match="TOO_FEW_LABELS"):
        train_line_classifier(pages)


def test_features_are_finite_for_odd_lines() -> None:
    import numpy as np

    features = line_features(["", "   ", "\ud800", "日本語" * 3000, "x" * 100_000, "مرحبا"])
    assert features.shape[0] == 6
    assert np.isfinite(features).all()


def test_nothing_heavy_is_imported_with_the_modules_about_refiners() -> None:
    root = Path(__file__).parents[3]
    folders = ("heuristics", "prompts", "annotation", "training", "evaluation")
    files = [file for folder in folders for file in (root / "spark_prox" / folder).rglob("*.py")]
    names = [".".join(file.relative_to(root).with_suffix("").parts) for file in files if file.stem != "__init__"]
    assert len(names) > 40
    code = (
        "import importlib, sys\n"
        f"[importlib.import_module(name) for name in {names!r}]\n"
        "print([m for m in ('torch', 'sklearn', 'transformers', 'numpy', 'matplotlib', 'pyspark') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
