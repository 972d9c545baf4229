from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from spark_prox.errors import ModelError
from spark_prox.models import load_tokenizer, matrix_parameters, model_directory, model_fingerprint


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"MODEL_NOT_FOUND.*nowhere"):
        model_directory(str(tmp_path / "nowhere"))


def test_a_directory_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="MODEL_NO_CONFIG"):
        model_directory(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="MODEL_NO_WEIGHTS"):
        model_directory(str(tmp_path))


def test_a_broken_tokenizer_is_an_error_with_a_code(tiny_llama: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_llama, tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="MODEL_NO_TOKENIZER"):
        load_tokenizer(str(tmp_path / "m"))


def test_the_fingerprint_follows_the_weights(tiny_llama: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_llama, tmp_path / "same")
    shutil.copytree(tiny_llama, tmp_path / "other")
    weights = tmp_path / "other" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert model_fingerprint(str(tmp_path / "same")) == model_fingerprint(str(tiny_llama))
    assert model_fingerprint(str(tmp_path / "other")) != model_fingerprint(str(tiny_llama))


def test_parameters_are_counted_without_the_input_embedding(tiny_llama: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    everything = sum(p.numel() for p in model.parameters())
    assert matrix_parameters(str(tiny_llama)) == everything - model.get_input_embeddings().weight.numel()


def test_the_embedded_refiner_is_found_inside_a_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    from spark_prox.spark.shipping import build_zip

    archive = build_zip(tmp_path / "code.zip")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from spark_prox.models import model_directory, load_tokenizer; import spark_prox;"
        "assert '.zip' in spark_prox.__file__, spark_prox.__file__;"
        "print(model_directory('embedded')); load_tokenizer('embedded')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(archive)], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    folder = Path(done.stdout.strip())
    assert (folder / "model.safetensors.index.json").is_file()
    assert model_fingerprint(str(folder)) == model_fingerprint("embedded")
