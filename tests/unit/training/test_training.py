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
from spark_prox.prompts.templates import template_for
from spark_prox.training.embedded.loop import LogLine, learning_rate_factor
from spark_prox.training.embedded.recipe import Thresholds, load_pages, make_refiner
from spark_prox.training.embedded.settings import TrainConfig, load_train_config
from spark_prox.training.model_card import model_card, write_figures
from spark_prox.training.plots import draw_recall_curves, draw_training_curve
from spark_prox.training.synthetic import smoke_settings, synthetic_pages, write_pages
from tests.jobs import run_job

SHORT = ("steps=26", "evaluate_every=24", "batch_tokens=1024")
"""A run that is long enough for a line of the log between a checkpoint and the end."""
Trained = tuple[TrainConfig, list[LogLine], Thresholds]


def quiet(_: object) -> None:
    pass


def config_in(folder: Path, *overrides: str) -> TrainConfig:
    folder.mkdir(exist_ok=True)
    (folder / "empty.yaml").write_text("")
    return load_train_config(folder / "empty.yaml", [*smoke_settings(folder), *overrides])


def few_pages(folder: Path) -> str:
    """The setting for pages that are soon trained on and measured, where it does not matter what is learnt."""
    write_pages(synthetic_pages(40), folder / "few.jsonl.gz")
    return f"labelled=['{folder / 'few.jsonl.gz'}']"


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


def test_a_killed_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill_at(step: int) -> Callable[[LogLine], None]:
        def report(line: LogLine) -> None:
            if line.step >= step:
                raise KilledError

        return report

    few = few_pages(tmp_path)
    whole, killed = (config_in(tmp_path / name, few, *SHORT) for name in ("whole", "killed"))
    wanted, wanted_thresholds = make_refiner(whole, say=quiet, report=quiet)
    with pytest.raises(KilledError):
        make_refiner(killed, say=quiet, report=kill_at(25))  # one step after the checkpoint
    log, thresholds = make_refiner(killed, say=quiet, report=quiet)
    assert [line.step for line in wanted] == [24, 25, 26]
    assert [(line.step, line.loss, line.word_f1) for line in log] == [
        (line.step, line.loss, line.word_f1) for line in wanted
    ]
    assert thresholds == wanted_thresholds


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
    write_pages(pages, tmp_path / "pages.jsonl.gz")
    with pytest.raises(InputError, match="TOO_FEW_LABELS"):
        make_refiner(config, say=quiet, report=quiet)


@pytest.mark.parametrize(
    ("override", "code", "hint"),
    [
        ("step=5", "CONFIG_UNKNOWN_KEY", "'steps'"),
        ("steps=many", "CONFIG_BAD_VALUE", "a whole number"),
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


def test_the_jobs_finish_and_measure_a_trained_refiner(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained[0].output
    assert run_job("train", "--smoke", folder) == 0  # resumes at the last step: thresholds, card, curve
    assert "word F1" in capsys.readouterr().out
    assert (Path(folder) / "curve.png").exists()
    assert template_for("auto", "chunk", f"{folder}/model").name == "embedded-chunk"
    card = Path(folder) / "model" / "README.md"
    measured = run_job(
        "evaluate", "--model", f"{folder}/model", "--labelled", f"{folder}/pages.jsonl.gz",
        "--output", str(tmp_path), "--card", str(card),
    )  # fmt: skip
    assert measured == 0, capsys.readouterr().err
    figures = json.loads((tmp_path / "figures.json").read_text())["chunk"]
    by_writer = {row["writer"]: row["word_f1"] for row in figures if row["source"] == "all"}
    assert by_writer["model"] > by_writer["keep"]
    assert "line classifier" in by_writer
    assert "| all |" in card.read_text()
    assert (tmp_path / "recall.png").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("train", ["--config", "none.yaml"], "CONFIG_NOT_FOUND"),
        ("train", ["--config", "{conf}/train-embedded.yaml", "--set", "labelled=[none]"], "LABELS_MISSING"),
        ("evaluate", ["--labelled", "none", "--output", "{tmp}"], "LABELS_MISSING"),
    ],
)
def test_bad_input_gives_one_line_with_a_code(
    repository: Path, tmp_path: Path, name: str, arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = ["--set", f"output={tmp_path}"] if name == "train" else []
    places = {"{conf}": str(repository / "conf"), "{tmp}": str(tmp_path)}
    for mark, place in places.items():
        arguments = [word.replace(mark, place) for word in arguments]
    assert run_job(name, *arguments, *extra) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"[SPARK_PROX.{code}]" in said


def test_two_processes_train_the_same_model_as_one(repository: Path, tmp_path: Path) -> None:
    settings = (few_pages(tmp_path), "steps=6", "evaluate_every=6")
    words = [word for setting in settings for word in ("--set", setting)]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29713"]
    command = [*launch, str(repository / "jobs" / "train.py"), "--smoke", str(tmp_path / "two"), *words]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert run_job("train", "--smoke", str(tmp_path / "one"), *words) == 0
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("one", "two")]
    one, two = (json.loads(lines[-1]) for lines in logs)
    assert one["step"] == two["step"] == 6
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
