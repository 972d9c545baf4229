"""Fine-tuning end to end on small models: it learns to write programs, resumes exactly, engines load what it writes."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Request
from spark_prox.engines.transformers_engine import TransformersEngine
from spark_prox.errors import ConfigError, ModelError
from spark_prox.folder_settings import folder_settings
from spark_prox.training.kinds import load_kind
from spark_prox.training.sft.batches import epoch_batches, forward_passes, weighted_loss
from spark_prox.training.sft.examples import load_examples
from spark_prox.training.sft.loop import learning_rate, load_model, total_steps
from spark_prox.training.sft.lora import merged_model
from spark_prox.training.sft.recipe import fine_tune
from spark_prox.training.sft.samples import SampleMaker, SftSample
from spark_prox.training.sft.settings import SftConfig
from spark_prox.training.sft.validation import measure
from spark_prox.training.synthetic import synthetic_pages, write_pages
from tests.jobs import run_job
from tests.unit.training.sft_models import obvious_examples, small_config, write_examples, write_small_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("base") / "model", obvious_examples(200))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(obvious_examples(60, seed=2), tmp_path_factory.mktemp("few") / "few.jsonl")


@pytest.fixture(scope="module")
def samples(base: Path, few: Path) -> list[SftSample]:
    maker = SampleMaker(small_config(base, few.parent, few))
    return [sample for example in load_examples([few])[:12] for sample in maker.samples(example)]


def weights_in(folder: Path) -> dict[str, list[float]]:
    from safetensors.torch import load_file

    return {name: tensor.flatten().tolist() for name, tensor in load_file(folder / "model.safetensors").items()}


def killed_at(text: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if line.startswith(text):
            raise KeyboardInterrupt

    return say


def test_it_learns_an_obvious_rule_and_writes_what_a_run_needs(base: Path, tmp_path: Path) -> None:
    examples = write_examples(obvious_examples(400), tmp_path / "examples.jsonl")
    config = small_config(base, tmp_path / "out", examples, epochs=12, evaluate_every=228)
    said: list[str] = []
    best = fine_tune(config, said.append)
    assert best > 0.9
    unseen = load_examples([write_examples(obvious_examples(60, seed=99), tmp_path / "unseen.jsonl")])
    figures = measure(tmp_path / "out" / "model", config, unseen)
    assert figures.word_f1 > 0.85
    assert figures.keep_f1 < 0.7
    assert figures.failed < 0.05
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < 0.1 * log[0]["loss"]
    assert max(line["word_f1"] or 0.0 for line in log) == best
    assert any("min left" in line and "tokens" in line for line in said)
    assert (tmp_path / "out" / "curve.png").read_bytes().startswith(b"\x89PNG")
    card = (tmp_path / "out" / "model" / "README.md").read_text()
    assert "All parameters were trained" in card
    assert "| examples |" in card
    assert "word F1" in card
    settings = folder_settings(tmp_path / "out" / "model")
    assert settings is not None
    assert settings.templates == {"chunk": config.chunk_template}  # no example was of the document level


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(base: Path, few: Path, tmp_path: Path) -> None:
    def run(folder: str) -> SftConfig:
        return small_config(
            base, tmp_path / folder, few, epochs=2, checkpoint_every=2, report_every=1, evaluate_every=5,
            evaluate_pages=4,
        )  # fmt: skip

    fine_tune(run("whole"))
    for step in ("step 4/", "step 9/"):  # the second time at a step whose checkpoint is not written yet
        with pytest.raises(KeyboardInterrupt):
            fine_tune(run("killed"), killed_at(step))
    fine_tune(run("killed"))
    for folder in ("latest", "model"):
        assert weights_in(tmp_path / "killed" / folder) == weights_in(tmp_path / "whole" / folder)
    with pytest.raises(ConfigError, match=r"CHECKPOINT_OF_OTHER_RUN.* another seed\."):
        fine_tune(dataclasses.replace(run("killed"), seed=1, threads=2))
    for name in ("whole", "killed"):
        assert json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[-1])["step"] == 12


@pytest.mark.parametrize("packing", [False, True])
def test_a_prompt_learns_the_same_alone_and_beside_others(
    base: Path, few: Path, samples: list[SftSample], packing: bool
) -> None:
    import torch

    model = load_model(small_config(base, few.parent, few), "cpu").model

    def loss(batch: list[SftSample]) -> float:
        with torch.no_grad():
            return sum(
                float(weighted_loss(model, rows, total_weight=1.0, precision="fp32", device="cpu"))
                for rows in forward_passes(batch, most_tokens=700, packing=packing)
            )

    assert loss(samples) == pytest.approx(sum(loss([sample]) for sample in samples), rel=1e-5)


def test_forward_passes_keep_to_their_budget_and_lose_nothing(samples: list[SftSample]) -> None:
    for packing in (False, True):
        passes = forward_passes(samples, most_tokens=400, packing=packing)
        held = [sample for rows in passes for row in rows for sample in row]
        assert sorted(s.ids for s in held) == sorted(s.ids for s in samples)
        for rows in passes:
            assert len(rows) * max(sum(len(s.ids) for s in row) for row in rows) <= 400
    assert len(forward_passes(samples, most_tokens=400, packing=True)) < len(samples)


def test_every_epoch_has_an_order_of_its_own_and_every_sample(samples: list[SftSample]) -> None:
    epochs = [epoch_batches(samples, size=5, epoch=epoch, seed=0) for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    assert sorted(s.ids for batch in epochs[0] for s in batch) == sorted(s.ids for s in samples)


def test_the_loss_is_that_of_program_tokens_by_weight(base: Path, few: Path, samples: list[SftSample]) -> None:
    import torch

    model, sample = load_model(small_config(base, few.parent, few), "cpu").model, samples[0]
    ids = torch.tensor([sample.ids])
    with torch.no_grad():
        found = float(weighted_loss(model, [[sample]], total_weight=3.0, precision="fp32", device="cpu"))
        each = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="none")
    expected = (each[sample.prompt_tokens - 1 :] * torch.tensor(sample.weights)).sum() / 3.0
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_adapters_leave_the_base_alone_and_load_merged_or_beside_it(base: Path, few: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    before = weights_in(base)
    config = small_config(base, tmp_path / "out", few, lora_rank=8, lora_alpha=16.0, evaluate_pages=4)
    tuned = load_model(config, "cpu")
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        plain = load_model(small_config(base, tmp_path / "out", few), "cpu").model(ids).logits
        assert torch.equal(tuned.model(ids).logits, plain)  # B starts at 0
    assert 0.05 < sum(p.numel() for p in tuned.trained) / tuned.model.num_parameters() < 0.4
    fine_tune(config)
    assert weights_in(base) == before
    adapters = load_file(tmp_path / "out" / "model" / "adapter_model.safetensors")
    settings = json.loads((tmp_path / "out" / "model" / "adapter_config.json").read_text())
    assert (settings["peft_type"], settings["r"], settings["lora_alpha"]) == ("LORA", 8, 16)
    assert len(adapters) == 2 * 7 * 3
    merged = load_file(tmp_path / "out" / "merged" / "model.safetensors")
    name = "model.layers.1.mlp.down_proj"
    down, up = (adapters[f"base_model.model.{name}.{part}.weight"] for part in ("lora_A", "lora_B"))
    assert up.abs().max() > 0
    expected = load_file(base / "model.safetensors")[f"{name}.weight"] + 2.0 * up @ down
    torch.testing.assert_close(merged[f"{name}.weight"], expected)
    request = Request(request_id=0, prompt_token_ids=tuple(range(3, 60)), read_at=(20, 56), read_tokens=(70, 90))
    (beside,), (whole,), (without,) = (
        tuple(TransformersEngine(ModelSpec(path=path, adapter=adapter)).complete([request]))
        for path, adapter in (
            (str(base), str(tmp_path / "out" / "model")),
            (str(tmp_path / "out" / "merged"), ""),
            (str(base), ""),
        )
    )
    assert beside.margins == pytest.approx(whole.margins, abs=1e-4)
    assert without.margins != pytest.approx(whole.margins, abs=1e-2)
    assert "LoRA adapter of rank 8" in (tmp_path / "out" / "model" / "README.md").read_text()


def test_the_merged_model_answers_as_the_one_with_adapters(base: Path, few: Path, tmp_path: Path) -> None:
    import torch

    config = small_config(base, tmp_path, few, lora_rank=4, lora_targets=("q_proj", "up_proj"))
    tuned, plain = load_model(config, "cpu").model, load_model(small_config(base, tmp_path, few), "cpu").model
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.1)
        ids = torch.arange(3, 40)[None]
        adapted = tuned(ids).logits
        assert (adapted - plain(ids).logits).abs().max() > 0.01
        torch.testing.assert_close(merged_model(tuned)(ids).logits, adapted)
        torch.testing.assert_close(tuned(ids).logits, adapted)  # merging changed the copy alone


def test_adapters_without_peft_say_what_to_install(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"PEFT_MISSING.*spark_prox\[train\]"):
        load_model(small_config(base, tmp_path, few, lora_rank=4), "cpu")


def test_adapters_without_a_layer_to_sit_on_are_an_error(base: Path, few: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="LORA_NO_TARGET"):
        load_model(small_config(base, tmp_path, few, lora_rank=4, lora_targets=("nowhere",)), "cpu")


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"batching": "packed", "lora_rank": 4}])
def test_other_families_and_precisions_train(few: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    model = write_small_model(tmp_path / "qwen", obvious_examples(60), family="Qwen2")
    config = small_config(model, tmp_path / "out", few, epochs=2, evaluate_every=99, evaluate_pages=3, **changes)
    fine_tune(config)
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < log[0]["loss"]


def test_both_stages_are_learnt_and_chosen_by_together(base: Path, tmp_path: Path) -> None:
    write_pages(synthetic_pages(60, seed=4), tmp_path / "pages.jsonl.gz")
    config = small_config(
        base, tmp_path / "out", tmp_path, examples=(), labelled=(str(tmp_path / "pages.jsonl.gz"),),
        documents_per_page=1.0, max_prompt_tokens=400, max_chunk_tokens=300, max_steps=4, evaluate_pages=3,
    )  # fmt: skip
    said: list[str] = []
    assert 0 <= fine_tune(config, said.append) <= 1
    assert any("document F1 0." in line or "document F1 1." in line for line in said)


def test_the_learning_rate_rises_and_follows_a_cosine() -> None:
    config = SftConfig(model="m", output="o", examples=("e",), warmup_share=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(1e-6)
    assert max(rates) == pytest.approx(1e-5)
    assert rates[-1] == pytest.approx(1e-6)
    assert rates[54] == pytest.approx(5.5e-6, rel=0.02)
    assert total_steps(130, config) == 3 * 3


def test_the_paper_s_recipe_is_the_default() -> None:
    config = SftConfig(model="m", output="o", examples=("e",))
    assert (config.epochs, config.batch_examples, config.learning_rate, config.final_learning_rate) == (
        3, 64, 1e-5, 1e-6,
    )  # fmt: skip
    assert (config.lora_rank, config.max_prompt_tokens, config.max_chunk_tokens) == (0, 2048, 1500)


@pytest.mark.parametrize("name", ["train-sft.yaml", "train-lora.yaml", "train-classifier.yaml", "train-embedded.yaml"])
def test_the_configurations_are_read(repository: Path, name: str) -> None:
    load_kind(repository / "conf" / name)
    assert load_kind(repository / "conf" / name, ["output=elsewhere"]).output == "elsewhere"


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("kind: magic\n")
    with pytest.raises(ConfigError, match="embedded, line_encoder, sft, line_classifier"):
        load_kind(tmp_path / "t.yaml")


def test_the_job_trains_the_line_classifier_alone(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pages(synthetic_pages(60), tmp_path / "pages.jsonl.gz")
    settings = ["--set", f"labelled={tmp_path / 'pages.jsonl.gz'}", "--set", f"output={tmp_path / 'out'}"]
    assert run_job("train", "--config", str(repository / "conf" / "train-classifier.yaml"), *settings) == 0
    said = capsys.readouterr().out
    assert "word F1 0.9" in said or "word F1 1.0" in said
    assert (tmp_path / "out" / "line_classifier.npz").exists()
    assert "| test |" in (tmp_path / "out" / "README.md").read_text()
