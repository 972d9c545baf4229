"""The small files of a model's folder may be anything: every problem is one error that names the file."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from spark_prox.errors import ModelError
from spark_prox.models import matrix_parameters, model_fingerprint, model_token_ids, recommended_margins


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(safetensors({}))
    return tmp_path


def safetensors(header: object, size: int | None = None) -> bytes:
    data = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(data) if size is None else size) + data


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"nonsense", b"\xff\xfe{}", b"[" * 200_000, b'{"a":' * 100_000,
     b'{"eos_token_id": ' + b"9" * 5000 + b"}",
     b'{"eos_token_id": "</s>"}', b'{"eos_token_id": -1}', b'{"eos_token_id": 1.5}', b'{"eos_token_id": true}',
     b'{"eos_token_id": [2, null]}', b'{"eos_token_id": {"a": 1}}', b'{"eos_token_id": NaN}', b" " * (17 << 20)],
)  # fmt: skip
def test_a_configuration_that_is_none_is_an_error_with_a_code(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"MODEL_BAD_METADATA.*'config.json'"):
        model_token_ids(str(folder), "eos_token_id")


def test_token_ids_may_be_one_or_several(folder: Path) -> None:
    assert model_token_ids(str(folder), "eos_token_id") == ()
    (folder / "config.json").write_text('{"eos_token_id": 2, "bos_token_id": null}')
    assert model_token_ids(str(folder), "eos_token_id") == (2,)
    assert model_token_ids(str(folder), "bos_token_id") == ()
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')
    assert model_token_ids(str(folder), "eos_token_id") == (2, 7)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 7, b"\0" * 8, b"\xff" * 8, safetensors(b"{}", 1 << 40), safetensors(b"[" * 200_000), safetensors([]),
     safetensors({"a": []}), safetensors({"a": {"shape": "xx"}}), safetensors({"a": {"shape": [-1]}}),
     safetensors({"a": {"shape": [1.5]}}), safetensors({"a": {"shape": [10**30]}}),
     safetensors({"a": {"shape": [2**40] * 9}}),
     safetensors({"a": {"shape": [1] * 100_000}}), safetensors(b'{"a": {"shape": [' + b"9" * 5000 + b"]}}")],
)  # fmt: skip
def test_weights_with_a_false_header_are_an_error_with_a_code(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"MODEL_BAD_METADATA.*'model.safetensors'"):
        matrix_parameters(str(folder))


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"1"', "null", "true", "[1]", "1e999"])
def test_a_margin_that_is_no_number_is_an_error_with_a_code(folder: Path, value: str) -> None:
    (folder / "thresholds.json").write_text(f'{{"min_remove_margin": {value}}}')
    with pytest.raises(ModelError, match=r"MODEL_BAD_METADATA.*min_remove_margin"):
        recommended_margins(str(folder))


def test_a_pipe_among_the_files_blocks_nobody(folder: Path) -> None:
    os.mkfifo(folder / "extra.json")
    with pytest.raises(ModelError, match=r"MODEL_BAD_METADATA.*'extra.json'"):
        model_fingerprint(str(folder))
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(ModelError, match="MODEL_BAD_METADATA"):
        matrix_parameters(str(folder))
