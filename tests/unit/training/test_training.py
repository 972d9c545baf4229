"""Training end to end on synthetic pages: it learns, it resumes, and what it writes is loaded by production code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_prox.annotation.labels import pages_of_split
from spark_prox.errors import ConfigError, InputError
from spark_prox.evaluation.metrics import mean
from spark_prox.evaluation.reading import open_reader
from spark_prox.evaluation.thresholds import score_at
from spark_prox.training.embedded.loop import LogLine, learning_rate_factor
from spark_prox.training.embedded.recipe import Thresholds, load_pages, make_refiner
from spark_prox.training.embedded.settings import TrainConfig, load_train_config
from spark_prox.training.model_card import model_card, write_figures
from spark_prox.training.plots import draw_recall_curves, draw_training_curve
from spark_prox.training.synthetic import smoke_settings, synthetic_pages

Trained = tuple[TrainConfig, list[LogLine], Thresholds]


def quiet(_: object) -> None:
    pass


def config_in(folder: Path, *overrides: str) -> TrainConfig:
    (folder / "empty.yaml").write_text("")
    return load_train_config(folder / "empty.yaml", [*smoke_settings(folder), *overrides])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    config = config_in(tmp_path_factory.mktemp("smoke"))
    log, thresholds = make_refiner(config, say=quiet, report=quiet)
    return config, log, thresholds


def test_it_learns_to_beat_keeping_everything_on_new_hosts(trained: Trained) -> None:
    config, _, thresholds = trained
    pages = synthetic_pages(30, seed=77)
    reader = open_reader(Path(config.output) / "model")
    margins = reader.line_margins([page.lines for page in pages])
    ours = mean(
        [score.words.f1 for score in score_at(pages, margins, thresholds.chunk.margin, thresholds.chunk.short_margin)]
    )
    keeping = mean([score.words.f1 for score in score_at(pages, margins, 1e9)])
    assert keeping < 0.93
    assert ours > keeping + 0.03


def test_its_loss_falls_and_is_logged(trained: Trained) -> None:
    config, log, _ = trained
    assert log[-1].step == config.steps
    assert log[-1].loss < 0.5 * log[0].loss
    assert len((Path(config.output) / "log.jsonl").read_text().splitlines()) == len(log)


def test_verdicts_are_the_likeliest_next_tokens(trained: Trained) -> None:
    """vLLM reports only the top log-probabilities of a prompt: both verdicts must be among them."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    from spark_prox.prompts.chunking import Chunk
    from spark_prox.prompts.compact import CompactPrompt

    folder = Path(trained[0].output) / "model"
    prompt = CompactPrompt(Tokenizer.from_file(str(folder / "tokenizer.json")))
    page = synthetic_pages(1, seed=3)[0]
    ids, read_at = prompt.chunk_prompt(page.lines, Chunk(chunk_index=0, first_line=0, lines=page.lines[:40]))
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, list(read_at)]
    assert set(logits.topk(2).indices.flatten().tolist()) <= {*prompt.chunk_read_tokens, prompt.document_read_tokens[1]}


def test_a_killed_run_ends_as_one_that_was_not(trained: Trained, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill_at(step: int) -> Callable[[LogLine], None]:
        def report(line: LogLine) -> None:
            if line.step >= step:
                raise KilledError

        return report

    config = config_in(tmp_path)
    with pytest.raises(KilledError):
        make_refiner(config, say=quiet, report=kill_at(50))
    log, thresholds = make_refiner(config, say=quiet, report=quiet)
    assert [(line.step, line.loss, line.word_f1) for line in log] == [
        (line.step, line.loss, line.word_f1) for line in trained[1]
    ]
    assert thresholds == trained[2]


def test_the_card_and_the_pictures_are_written(trained: Trained, tmp_path: Path) -> None:
    config, log, thresholds = trained
    card = tmp_path / "README.md"
    card.write_text(model_card(config, load_pages(config), log, thresholds))
    write_figures(card, "old figures")
    write_figures(card, "| new | figures |")
    text = card.read_text()
    assert "old figures" not in text
    assert text.rstrip().endswith("| new | figures |")
    assert f"min_remove_margin = {thresholds.chunk.margin:g}" in text
    draw_training_curve(log, tmp_path / "curve.png")
    draw_recall_curves({"a": thresholds.curve}, {"b": thresholds.chunk}, tmp_path / "recall.png")
    for name in ("curve.png", "recall.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    config = TrainConfig(labelled=("x",), output="y", steps=100, warmup_steps=10, decay_share=0.4)
    factors = [learning_rate_factor(step, config) for step in range(101)]
    assert factors[0] == 0.1
    assert factors[10:60] == [1.0] * 50
    assert factors[80] == 0.5
    assert factors[100] == 0.0


def test_splits_without_pages_are_refused(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    pages = pages_of_split(synthetic_pages(40), "train")[:3]
    from spark_prox.training.synthetic import write_pages

    write_pages(pages, tmp_path / "pages.jsonl.gz")
    with pytest.raises(InputError, match="TOO_FEW_LABELS"):
        make_refiner(config, say=quiet, report=quiet)


@pytest.mark.parametrize(
    ("override", "code", "hint"),
    [
        ("step=5", "CONFIG_UNKNOWN_KEY", "'steps'"),
        ("steps=many", "CONFIG_BAD_VALUE", "int"),
        ("steps=0", "CONFIG_BAD_VALUE", "positive"),
        ("precision=fp8", "CONFIG_BAD_VALUE", "bf16"),
        ("learning_rate=1", "", ""),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, override: str, code: str, hint: str) -> None:
    (tmp_path / "t.yaml").write_text("labelled: [pages]\noutput: out\n")
    if not code:
        assert load_train_config(tmp_path / "t.yaml", [override]).learning_rate == 1.0
        return
    with pytest.raises(ConfigError) as caught:
        load_train_config(tmp_path / "t.yaml", [override])
    assert caught.value.code == code
    assert hint in str(caught.value)


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("steps: 5\n")
    with pytest.raises(ConfigError, match=r"CONFIG_MISSING_KEY.*labelled, output"):
        load_train_config(tmp_path / "t.yaml")


def run_job(repository: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "jobs" / name), *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


def test_the_jobs_finish_and_measure_a_trained_refiner(trained: Trained, repository: Path, tmp_path: Path) -> None:
    folder = trained[0].output
    done = run_job(repository, "train.py", "--smoke", folder)  # resumes at the last step: thresholds, card, curve
    assert done.returncode == 0, done.stderr
    assert "word F1" in done.stdout
    assert (Path(folder) / "curve.png").exists()
    card = Path(folder) / "model" / "README.md"
    measured = run_job(
        repository, "evaluate.py", "--model", f"{folder}/model", "--labelled", f"{folder}/pages.jsonl.gz",
        "--output", str(tmp_path), "--card", str(card),
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())["chunk"]
    by_author = {row["author"]: row["word_f1"] for row in figures if row["source"] == "all"}
    assert by_author["model"] > by_author["keep"]
    assert "line classifier" in by_author
    assert "| all |" in card.read_text()
    assert (tmp_path / "recall.png").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("train.py", ["--config", "none.yaml"], "CONFIG_NOT_FOUND"),
        ("train.py", ["--set", "labelled=[none]"], "LABELS_MISSING"),
        ("evaluate.py", ["--labelled", "none", "--output", "OUT"], "LABELS_MISSING"),
    ],
)
def test_bad_input_gives_one_line_with_a_code(
    repository: Path, tmp_path: Path, name: str, arguments: list[str], code: str
) -> None:
    extra = ["--set", f"output={tmp_path}"] if name == "train.py" else []
    done = run_job(repository, name, *(str(tmp_path) if a == "OUT" else a for a in arguments), *extra)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"[SPARK_PROX.{code}]" in done.stderr


def test_two_processes_train_the_same_model_as_one(repository: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29713"]
    losses = []
    for name, start in (("one", [sys.executable]), ("two", launch)):
        folder = str(tmp_path / name)
        settings = ["--set", "steps=12", "--set", "evaluate_every=12"]
        command = [*start, str(repository / "jobs" / "train.py"), "--smoke", folder, *settings]
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        losses.append(json.loads((Path(folder) / "log.jsonl").read_text().splitlines()[-1])["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
