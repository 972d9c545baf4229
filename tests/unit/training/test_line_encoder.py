"""Making a line encoder: from a pretrained file to a model folder, and on after a kill."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from spark_prox.annotation.labels import LabelledPage, split_of
from spark_prox.engines.line_encoder import EncoderConfig
from spark_prox.engines.line_encoder_files import load_line_encoder
from spark_prox.errors import ConfigError, InputError, ModelError
from spark_prox.models import recommended_margins
from spark_prox.prompts.chunking import Chunk
from spark_prox.prompts.line_shape import FORMS
from spark_prox.prompts.page_prompt import QUALITY_TOKENS, SHAPE_TOKENS, PagePrompt
from spark_prox.training.encoder.base_model import read_base_model
from spark_prox.training.encoder.batches import BatchMaker, BatchSettings
from spark_prox.training.encoder.margins import choose_encoder_margins
from spark_prox.training.encoder.packed_pages import pack_pages
from spark_prox.training.encoder.recipe import EncoderTrainConfig, make_line_encoder
from spark_prox.training.synthetic import synthetic_pages, write_pages
from tests.tiny_encoder import write_base_file

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base_file(tmp_path_factory.mktemp("base") / "base.bin")


@pytest.fixture(scope="module")
def settings(base: Path, tmp_path_factory: pytest.TempPathFactory) -> EncoderTrainConfig:
    folder = tmp_path_factory.mktemp("pages")
    write_pages(synthetic_pages(60), folder / "pages.jsonl.gz")
    return EncoderTrainConfig(
        labelled=(str(folder / "pages.jsonl.gz"),),
        output=str(folder / "whole"),
        base=str(base),
        vocabulary=52,
        layers=1,
        documents=20,
        steps=30,
        frozen_steps=4,
        pages=4,
        rate=1e-3,
        head_rate=1e-2,
        checkpoint_every=10,
        threads=1,
        precision="fp32",
    )


def test_it_learns_and_goes_on_after_a_kill_as_if_there_had_been_none(
    settings: EncoderTrainConfig, tmp_path: Path
) -> None:
    chosen = make_line_encoder(settings)
    assert chosen.word_f1 > 0.8
    parts = dataclasses.replace(settings, output=str(tmp_path))
    said: list[str] = []

    def killed(text: str) -> None:
        said.append(text)
        if "hosts read" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # the training is done, the model stored, nothing chosen yet
        make_line_encoder(parts, killed)
    assert not (tmp_path / "model" / "thresholds.json").exists()
    again = make_line_encoder(parts, said.append)
    assert again == chosen
    assert "going on from step 30" in said
    one, other = load_line_encoder(Path(settings.output) / "model"), load_line_encoder(tmp_path / "model")
    assert all(np.allclose(one[1][name], value) for name, value in other[1].items())
    (tmp_path / "model" / "thresholds.json").unlink()
    assert recommended_margins(str(tmp_path / "model")) == chosen.policy()  # from spark_prox.json


def test_a_batch_shows_what_the_prompt_of_production_shows(base: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    (tmp_path / "t.json").write_text(read_base_model(base, vocabulary=52).tokenizer_json(), encoding="utf-8")
    tokenizer = Tokenizer.from_file(str(tmp_path / "t.json"))
    lines = (
        "Home",
        "a rather long line of the page and the words that it has, cut in its middle",
        "Home",
        "",
        "the end.",
    )
    page = LabelledPage(page_id="p", source="s", lines=lines, keep=(0, 1, 0, 0, 1), url=_training_url())
    packed = pack_pages([page], tokenizer, documents=0, seed=0, say=lambda _: None)
    config = EncoderConfig(
        vocabulary=tokenizer.get_vocab_size(),
        shapes=SHAPE_TOKENS,
        forms=FORMS,
        qualities=QUALITY_TOKENS,
        window_tokens=500,
        head_pieces=6,
        tail_pieces=3,
    )
    maker = BatchMaker(packed, config, BatchSettings(), seed=0)
    batch = maker.assemble([maker.page(0)])
    prompt = PagePrompt(tokenizer, head_pieces=6, tail_pieces=3)
    ids, read_at = prompt.chunk_prompt(lines, Chunk(chunk_index=0, first_line=0, lines=lines))
    shown = batch["ids"][0][1 : len(ids) + 1].tolist()
    assert shown == list(ids)
    assert [place - 1 for place in batch["shape_at"]] == list(read_at)
    assert batch["weight"].sum() == pytest.approx(1)


def _training_url() -> str:
    for number in range(100):
        url = f"https://host{number}.example/"
        if split_of(LabelledPage(page_id="p", source="s", lines=(), keep=(), url=url)) == "train":
            return url
    raise AssertionError


def test_rare_pieces_fall_apart_and_special_ones_never_come_from_text(base: Path) -> None:
    from tokenizers import Tokenizer

    cut = read_base_model(base, vocabulary=50)
    assert [piece for piece, _ in cut.pieces][:4] == ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer.from_str(cut.tokenizer_json())
    assert tokenizer.encode("the <s>", add_special_tokens=False).tokens == ["▁", "t", "h", "e", "▁", "<", "s", ">"]


def test_margins_keep_short_lines_where_words_do_not_care() -> None:
    lines = ("Title of it", *(["a line of many more words than eight, which is content"] * 9), "Menu", "Foot")
    keep = (1.0,) * 10 + (0.0, 0.0)
    page = LabelledPage(page_id="p", source="s", lines=lines, keep=keep)
    margins = [-1.2, *[3.0] * 9, -4.0, -4.0]
    chosen = choose_encoder_margins([page], [margins])
    assert chosen.short_margin > 1.2
    assert chosen.first_kept == 1
    assert chosen.word_f1 > 0.98


def test_wrong_settings_and_files_are_one_clear_error(settings: EncoderTrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bf16 or fp32"):
        dataclasses.replace(settings, precision="int8")
    with pytest.raises(ConfigError, match="must be positive"):
        dataclasses.replace(settings, steps=0)
    (tmp_path / "no.bin").write_bytes(json.dumps({}).encode())
    with pytest.raises(ModelError, match="BASE_UNREADABLE"):
        make_line_encoder(dataclasses.replace(settings, base=str(tmp_path / "no.bin"), output=str(tmp_path / "o")))
    write_pages(synthetic_pages(1), tmp_path / "one.jsonl.gz")
    with pytest.raises(InputError, match="TOO_FEW_LABELS"):
        make_line_encoder(dataclasses.replace(settings, labelled=(str(tmp_path / "one.jsonl.gz"),)))
