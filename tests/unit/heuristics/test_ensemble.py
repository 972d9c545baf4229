"""A line classifier beside a model: stored and read as arrays, averaged with the model's margins, part of the key."""

from __future__ import annotations

import io
import json
import math
import os
import random
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from spark_prox.documents import Document
from spark_prox.engines.base import Completion, Request
from spark_prox.errors import ModelError
from spark_prox.generation import generate_programs
from spark_prox.heuristics.boosted_trees import BoostedTrees
from spark_prox.heuristics.ensemble import Ensemble, open_ensemble, store_ensemble
from spark_prox.heuristics.hashed_words import hash_lines
from spark_prox.heuristics.line_classifier import LineClassifier, train_line_classifier
from spark_prox.models import EMBEDDED, model_directory, model_fingerprint
from spark_prox.prompts.builder import PromptBuilder, PromptSpec, builder_for
from spark_prox.prompts.templates import TEMPLATES
from spark_prox.training.synthetic import synthetic_pages


@pytest.fixture(scope="module")
def classifier() -> LineClassifier:
    return train_line_classifier(synthetic_pages(40), folds=3)


def test_the_arrays_give_what_scikit_learn_gives() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    draw = np.random.default_rng(0)
    rows = draw.normal(size=(3000, 8)).astype(np.float32)
    labels = rows[:, 0] * rows[:, 1] + 0.3 * rows[:, 2] > 0
    model = HistGradientBoostingClassifier(max_iter=40, early_stopping=False, random_state=0).fit(rows, labels)
    ours = BoostedTrees.of_sklearn(model).log_odds(rows)
    assert np.allclose(ours, model.decision_function(rows), atol=1e-4)
    assert len({round(value, 3) for value in ours}) > 100


def test_hashing_is_the_same_everywhere_and_bounded() -> None:
    hashed = hash_lines(["Home", "", "home HOME", "x " * 10_000_000, "\ud800"])
    assert hashed.starts.tolist()[:3] == [0, 1, 1]
    assert hashed.buckets[0] == 0x71D60CD0 % (1 << 18)
    assert hashed.starts[4] - hashed.starts[3] == 2  # of 400 characters: the word and the pair
    lengths = [math.sqrt(sum(v * v for v in hashed.values[a:b])) for a, b in pairwise(hashed.starts)]
    assert lengths == pytest.approx([1, 0, 1, 1, 0])
    weights = np.arange(1 << 18, dtype=np.float32)
    assert np.allclose(hashed.dot(weights), hashed.matrix() @ weights)


def test_a_file_of_another_kind_is_one_error_and_runs_nothing(tmp_path: Path, classifier: LineClassifier) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "evil.npz", weights=np.array([Evil()], dtype=object))
    (tmp_path / "text.npz").write_text("no zip")
    classifier.save(tmp_path / "good.npz")
    content = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("weights.npy", "w") as entry,
    ):
        for _ in range(300):
            entry.write(bytes(1 << 20))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)})
    with zipfile.ZipFile(tmp_path / "shape.npz", "w") as file:
        file.writestr("weights.npy", header.getvalue())
    os.mkfifo(tmp_path / "pipe.npz")
    for name in ("evil", "text", "cut", "empty", "absent", "bomb", "shape", "pipe"):
        with pytest.raises(ModelError, match="CLASSIFIER_UNREADABLE"):
            LineClassifier.load(tmp_path / f"{name}.npz")
    assert not (tmp_path / "ran").exists()


def test_equal_classifiers_give_equal_files(tmp_path: Path, classifier: LineClassifier) -> None:
    classifier.save(tmp_path / "a.npz")
    LineClassifier.load(tmp_path / "a.npz").save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_long_document_is_judged_in_parts(classifier: LineClassifier) -> None:
    lines = [line for page in synthetic_pages(900, seed=3) for line in page.lines]
    assert len(lines) > 4096
    assert classifier.margins(lines) == classifier.margins(lines[:4096]) + classifier.margins(lines[4096:])


class ReadsAll:
    """Gives one margin for every line asked about, and knows what it gave."""

    def __init__(self) -> None:
        self.given: list[tuple[float, ...]] = []

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        source = random.Random(0)
        for request in requests:
            self.given.append(tuple(source.uniform(-3, 3) for _ in request.read_at))
            yield Completion(request_id=request.request_id, text="", finish_reason="read", margins=self.given[-1])


def compact_builder(model: Path) -> PromptBuilder:
    spec = PromptSpec(
        template=TEMPLATES["embedded-chunk"],
        model_path=str(model),
        max_prompt_tokens=600,
        max_chunk_tokens=300,
        max_new_tokens=0,
    )
    return builder_for(spec)


def test_margins_are_averaged_line_by_line_across_chunks(classifier: LineClassifier, compact_model: Path) -> None:
    lines: Sequence[str] = [line for page in synthetic_pages(6, seed=4) for line in page.lines]
    engine = ReadsAll()
    opinion = Ensemble(classifier=classifier, model_share=0.25)
    document = Document(doc_id="a", text="\n".join(lines))
    rows = list(generate_programs([document], engine, compact_builder(compact_model), stage="chunk", opinion=opinion))
    assert len(rows) > 2
    own = [margin for given in engine.given for margin in given]
    other = classifier.margins(lines)
    both = [margin for row in rows for margin in row.line_margins or ()]
    assert both == pytest.approx([0.25 * a + 0.75 * b for a, b in zip(own, other, strict=True)], abs=1e-4)
    removed = [number for number, margin in enumerate(both) if margin < 0]
    assert removed
    assert rows[0].program is not None
    assert rows[0].program.startswith(f"remove_lines(line_start={removed[0]},")


def test_a_models_folder_may_hold_one_and_it_is_part_of_the_revision(
    tmp_path: Path, classifier: LineClassifier
) -> None:
    model = tmp_path / "model"
    shutil.copytree(model_directory(EMBEDDED), model, ignore=shutil.ignore_patterns("second_opinion*"))
    alone = model_fingerprint(str(model))
    assert open_ensemble(str(model)) is None
    other = tmp_path / "other"
    shutil.copytree(model, other)
    store_ensemble(Ensemble(classifier=classifier, model_share=0.4), other)
    opened = open_ensemble(str(other))
    assert opened is not None
    assert opened.model_share == 0.4
    assert opened.classifier.margins(["Home", "About"]) == classifier.margins(["Home", "About"])
    assert model_fingerprint(str(other)) != alone
    store_ensemble(Ensemble(classifier=classifier, model_share=0.5), other)
    again = open_ensemble(str(other))
    assert again is not None
    assert again.model_share == 0.5  # a training job writes into a folder that it has read from
    third = tmp_path / "third"
    shutil.copytree(other, third)
    (third / "second_opinion.json").write_text(json.dumps({"share": 1}))
    with pytest.raises(ModelError, match="CLASSIFIER_UNREADABLE"):
        open_ensemble(str(third))
