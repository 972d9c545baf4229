"""The line encoder as an engine: margins do not depend on what is read beside a page, and bad requests get a code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_prox.config.model import ModelSpec
from spark_prox.documents import LEVELS, Document
from spark_prox.engines.base import Request
from spark_prox.engines.encoder_engine import EncoderEngine, _of_like_length
from spark_prox.engines.line_calibration import LineCalibration, save_calibration
from spark_prox.engines.line_encoder import EncoderConfig, WindowBatch, encode_windows
from spark_prox.engines.line_encoder_files import load_line_encoder, save_line_encoder
from spark_prox.engines.window_batches import window_arrays
from spark_prox.engines.worker import engine_name
from spark_prox.errors import ModelError
from spark_prox.generation import generate_programs
from spark_prox.models import is_line_encoder, matrix_parameters
from spark_prox.prompts.builder import PromptBuilder, PromptSpec, builder_for
from spark_prox.prompts.page_builder import PagePromptBuilder
from spark_prox.prompts.templates import template_for
from tests.tiny_encoder import write_tiny_encoder

pytestmark = pytest.mark.model

PAGES = [
    "Home\nAbout\nThe long line of the page that is cut in the middle, and goes on and on.\n\nHome",
    "the and the",
    "\n".join(f"line {n} the and a lot of words: {n * n}" for n in range(90)),
    "",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def builder(folder: Path) -> PromptBuilder:
    return builder_for(
        PromptSpec(
            template=template_for("auto", "chunk", str(folder)),
            model_path=str(folder),
            max_prompt_tokens=2048,
            max_chunk_tokens=1500,
            max_new_tokens=8,
        )
    )


def requests(builder: PromptBuilder, texts: list[str]) -> list[Request]:
    found = []
    for text in texts:
        for _, prompt in builder.chunk_prompts(text):
            assert prompt is not None
            found.append(Request(request_id=len(found), prompt_token_ids=prompt.token_ids, read_at=prompt.read_at))
    return found


def test_margins_do_not_depend_on_the_pages_beside(folder: Path, builder: PromptBuilder) -> None:
    asked = requests(builder, PAGES)
    together = sorted(EncoderEngine(ModelSpec(path=str(folder))).complete(asked), key=lambda done: done.request_id)
    alone = list(EncoderEngine(ModelSpec(path=str(folder), max_batch_tokens=1)).complete(asked))
    assert [len(c.margins) for c in together] == [text.count("\n") + 1 for text in PAGES]
    for one, other in zip(together, alone, strict=True):
        assert one.finish_reason == "read"
        assert np.allclose(one.margins, other.margins, atol=1e-4)
    assert np.std(together[2].margins) > 0.01  # lines differ


def test_short_pages_are_not_padded_to_the_length_of_a_long_one(builder: PromptBuilder) -> None:
    asked = requests(builder, ["the and the"] * 200 + ["\n".join(["the"] * 1900)] + ["and\nthe"] * 50)
    groups = list(_of_like_length(asked))
    assert sorted(one.request_id for group in groups for one in group) == list(range(251))
    for group in groups:
        lines = max(len(one.read_at) for one in group)
        assert len(group) == 1 or len(group) * lines <= 1 << 15
    assert len(groups) == 2


def test_a_calibration_in_the_folder_corrects_the_margins_of_lines_alone(
    tmp_path: Path, builder: PromptBuilder
) -> None:
    folder = write_tiny_encoder(tmp_path)
    asked = requests(builder, PAGES[:1])
    (plain,) = EncoderEngine(ModelSpec(path=str(folder))).complete(asked)
    more = LineCalibration(
        intercept=0.5, per_prose=0, per_page=0, most=2, prose_length=99, title_lines=0, title_margin=0
    )
    save_calibration(folder, more)
    (corrected,) = EncoderEngine(ModelSpec(path=str(folder))).complete(asked)
    expected = np.add(plain.margins, 0.5)
    if max(plain.margins) <= 0:
        expected = np.maximum(expected, 0)
    assert np.allclose(corrected.margins, expected, atol=1e-5)
    page = Request(
        request_id=0, prompt_token_ids=asked[0].prompt_token_ids, read_at=(len(asked[0].prompt_token_ids) - 1,)
    )
    (of_page,) = EncoderEngine(ModelSpec(path=str(folder))).complete([page])
    (folder / "calibration.json").unlink()
    (of_plain_page,) = EncoderEngine(ModelSpec(path=str(folder))).complete([page])
    assert of_page.margins == of_plain_page.margins


def test_a_line_hears_of_the_page_beyond_its_window(folder: Path, builder: PromptBuilder) -> None:
    engine = EncoderEngine(ModelSpec(path=str(folder)))
    first, second = engine.complete(requests(builder, [PAGES[2], PAGES[2] + "\nHome\nHome\nHome"]))
    assert abs(first.margins[0] - second.margins[0]) > 1e-6


def test_bfloat16_gives_the_same_decisions_within_a_tenth(folder: Path, builder: PromptBuilder) -> None:
    asked = requests(builder, PAGES)
    exact = list(EncoderEngine(ModelSpec(path=str(folder))).complete(asked))
    half = list(EncoderEngine(ModelSpec(path=str(folder), dtype="bfloat16")).complete(asked))
    for one, other in zip(exact, half, strict=True):
        assert np.abs(np.subtract(one.margins, other.margins)).max() < 0.1


def test_a_bad_request_gets_a_code_and_the_others_their_margins(folder: Path, builder: PromptBuilder) -> None:
    good = requests(builder, PAGES[:1])[0]
    ids = good.prompt_token_ids
    bad = [
        Request(request_id=1, prompt_token_ids=(), read_at=(0,)),
        Request(request_id=2, prompt_token_ids=(*ids[:-1], 10**6), read_at=(1,)),
        Request(request_id=3, prompt_token_ids=(-1, *ids), read_at=(1,)),
        Request(request_id=4, prompt_token_ids=ids[:-1], read_at=good.read_at),
        Request(request_id=5, prompt_token_ids=ids, read_at=(0,)),
        Request(request_id=6, prompt_token_ids=ids, read_at=(len(ids),)),
        Request(request_id=7, prompt_token_ids=ids, max_new_tokens=4),
        Request(request_id=8, prompt_token_ids=(*ids[-8:], *ids), read_at=good.read_at),
    ]
    done = {c.request_id: c for c in EncoderEngine(ModelSpec(path=str(folder))).complete([*bad, good])}
    assert done[0].finish_reason == "read"
    codes = [done[number].error_code for number in range(1, 9)]
    assert codes == ["PROMPT_EMPTY", "TOKEN_UNKNOWN", "TOKEN_UNKNOWN", *["PROMPT_LAYOUT"] * 5]


def test_both_levels_come_as_rows_of_programs(folder: Path, builder: PromptBuilder) -> None:
    engine = EncoderEngine(ModelSpec(path=str(folder)))
    documents = [Document(doc_id=str(n), text=text) for n, text in enumerate(PAGES)]
    chunk_rows = list(generate_programs(documents, engine, builder, stage="chunk"))
    doc_rows = list(generate_programs(documents, engine, builder, stage="doc"))
    assert sorted(row.doc_id for row in chunk_rows) == sorted(row.doc_id for row in doc_rows) == list("0123")
    assert all(row.line_margins and len(row.line_margins) == row.line_count for row in chunk_rows)
    assert {row.program for row in doc_rows} <= {"keep_doc()", "drop_doc()"}


def test_one_pass_gives_the_margins_of_both_levels(folder: Path, builder: PromptBuilder) -> None:
    assert isinstance(builder, PagePromptBuilder)
    engine = EncoderEngine(ModelSpec(path=str(folder), max_batch_tokens=1))  # every page alone: the same numbers
    documents = [Document(doc_id=str(n), text=text) for n, text in enumerate([*PAGES, "the\n" * 2100])]
    apart = [row for stage in LEVELS for row in generate_programs(documents, engine, builder, stage=stage)]
    together = list(generate_programs(documents, engine, builder, stage="doc", whole=builder))
    of_long = {("4", 0), ("4", 1)}  # two chunks: the chunk level asks for them
    expected = {(row.doc_id, row.chunk_index): row for row in apart}
    found = {(row.doc_id, row.chunk_index): row for row in together}
    assert set(found) == set(expected) - of_long
    for place, row in found.items():
        assert replace(row, prompt_tokens=0) == replace(expected[place], prompt_tokens=0)


def test_text_never_becomes_a_shape_or_a_special_token(builder: PromptBuilder) -> None:
    prompt = next(iter(builder.chunk_prompts("<s> </s> <pad> <mask>\nthe")))[1]
    assert prompt is not None
    text = prompt.token_ids[: prompt.read_at[0]]
    assert min(text) > 3


def test_a_line_encoder_has_its_engine_whatever_is_asked_for(folder: Path) -> None:
    assert is_line_encoder(str(folder))
    for engine in ("auto", "transformers", "vllm"):
        assert engine_name(ModelSpec(path=str(folder), engine=engine)) == "encoder"  # type: ignore[arg-type]
    assert engine_name(ModelSpec(path=str(folder), engine="scripted")) == "scripted"
    per_layer = 4 * 32 * 32 + 2 * 32 * 64
    assert matrix_parameters(str(folder)) == 2 * per_layer


def test_weights_come_back_from_their_files_within_a_step_of_rounding(folder: Path, tmp_path: Path) -> None:
    config, weights = load_line_encoder(folder)
    save_line_encoder(tmp_path, config, weights, None)
    again = load_line_encoder(tmp_path)[1]
    assert set(weights) == {*again, "word"}
    for name, value in again.items():
        assert (value - weights[name]).abs().max() <= weights[name].abs().max() / 100, name


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("config.json", "{", "MODEL_BAD_METADATA"),
        ("config.json", '{"model_type": "spark_prox_line_encoder"}', "MODEL_BAD_CONFIG"),
        ("model.safetensors.index.json", '{"weight_map": {"a": "../../etc/passwd"}}', "MODEL_UNLOADABLE"),
        ("model-00001-of-00001.safetensors", "no weights", "MODEL_UNLOADABLE"),
    ],
)
def test_a_broken_folder_is_one_clear_error(folder: Path, tmp_path: Path, name: str, content: str, code: str) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelError) as caught:
        load_line_encoder(tmp_path)
    assert caught.value.code == code


def test_hidden_states_are_those_of_a_bert_model(folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel

    config, weights = load_line_encoder(folder)
    bert = BertModel(
        BertConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.mlp_width,
            max_position_embeddings=len(weights["place"]),
            layer_norm_eps=config.norm_eps,
        ),
        add_pooling_layer=False,
    ).eval()
    state = {
        "embeddings.word_embeddings.weight": weights["word"],
        "embeddings.position_embeddings.weight": weights["place"],
        "embeddings.token_type_embeddings.weight": torch.zeros(2, config.width),
        "embeddings.LayerNorm.weight": weights["embedding.norm.weight"],
        "embeddings.LayerNorm.bias": weights["embedding.norm.bias"],
    }
    theirs = {
        "attention.output.dense": "out",
        "attention.output.LayerNorm": "norm1",
        "intermediate.dense": "up",
        "output.dense": "down",
        "output.LayerNorm": "norm2",
    }
    for layer in range(config.layers):
        for kind in ("weight", "bias"):
            parts = weights[f"layer{layer}.qkv.{kind}"].chunk(3)
            for name, part in zip(("query", "key", "value"), parts, strict=True):
                state[f"encoder.layer.{layer}.attention.self.{name}.{kind}"] = part
            for name, own in theirs.items():
                state[f"encoder.layer.{layer}.{name}.{kind}"] = weights[f"layer{layer}.{own}.{kind}"]
    bert.load_state_dict(state, strict=False)
    ids = torch.randint(4, config.vocabulary, (3, 20))
    none = torch.zeros(0, dtype=torch.long)
    batch = WindowBatch(
        ids=ids,
        full=3,
        lengths=none,
        own_at=none,
        token_line=ids,
        shape_at=none,
        line_tokens=none,
        line_place=none,
        most_lines=1,
        page_lines=none,
        qualities=none,
    )
    with torch.inference_mode():
        assert torch.allclose(encode_windows(weights, config, batch), bert(ids).last_hidden_state, atol=1e-4)


CONFIG = EncoderConfig(vocabulary=10, shapes=6, forms=3, qualities=4, page_qualities=2, window_tokens=7)
LINES = st.lists(st.lists(st.integers(4, 9), max_size=12), min_size=1, max_size=9)


@settings(max_examples=80, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=4))
def test_every_token_stands_in_one_window_of_its_page(pages: list[list[list[int]]]) -> None:
    streams = [[*(token for line in page for token in (*line, 10 + len(line) % 6)), 16, 19] for page in pages]
    lengths = np.array([len(stream) for stream in streams])
    arrays = window_arrays(np.array([token for stream in streams for token in stream]), lengths, CONFIG)
    shown = [token for row in arrays["ids"] for token in row if token not in (0, 1)]
    assert sorted(shown) == sorted(token for stream in streams for token in stream)
    assert arrays["line_tokens"].tolist() == [len(line) + 1 for page in pages for line in page]
    assert arrays["page_lines"].tolist() == [len(page) for page in pages]
    flat = arrays["ids"].reshape(-1)
    assert [flat[place] for place in arrays["shape_at"]] == [10 + len(line) % 6 for page in pages for line in page]
    full = int(arrays["full"])
    assert (arrays["ids"][:full] != 1).all()
    assert len(arrays["lengths"]) == len(arrays["ids"]) - full
    for row, length in zip(arrays["ids"][full:], arrays["lengths"], strict=True):
        assert (row[:length] != 1).all()
        assert (row[length:] == 1).all()
    for number, line in enumerate(line for page in pages for line in page):
        assert list(flat[(arrays["token_line"] == number).reshape(-1)]) == [*line, 10 + len(line) % 6]


def test_an_adapter_is_refused_and_not_ignored(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"ADAPTER_UNLOADABLE.*smollm2"):
        EncoderEngine(ModelSpec(path=str(folder), adapter="embedded"))
