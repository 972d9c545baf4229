"""The line encoder on disk: matrices in 8 bits a weight, piece embeddings in 4, in safetensors files of at most 15 MB.

A matrix is int8 with one float32 scale a row. Piece embeddings keep the pretrained model's own blocks of 32 weights: a
half-precision scale and 16 bytes, low nibbles first. Everything else is float32. A folder has the layout of Hugging
Face: config.json, model.safetensors.index.json, tokenizer.json.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_prox.engines.line_encoder import EncoderConfig
from spark_prox.errors import ModelError
from spark_prox.metadata import read_object
from spark_prox.models import LINE_ENCODER

if TYPE_CHECKING:
    import torch

__all__ = ["load_line_encoder", "read_config", "save_line_encoder"]

WORD = "word"
_INDEX = "model.safetensors.index.json"
_FILE_BYTES = 15_000_000
_BLOCK = 32


def save_line_encoder(
    folder: str | Path,
    config: EncoderConfig,
    weights: dict[str, torch.Tensor],
    word_blocks: tuple[torch.Tensor, torch.Tensor] | None,
) -> None:
    """Write config and weights.

    Args:
        weights: as of `spark_prox.engines.line_encoder`; "word" is taken from `word_blocks`.
        word_blocks: (scales, nibbles) of the piece embeddings, which training does not change; None leaves them out.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored: dict[str, torch.Tensor] = {}
    if word_blocks is not None:
        stored[f"{WORD}.scales"], stored[f"{WORD}.nibbles"] = (value.cpu().contiguous() for value in word_blocks)
    for name, value in weights.items():
        if name != WORD:
            stored |= _quantized(name, value.detach().float().cpu())
    files: list[dict[str, torch.Tensor]] = [{}]
    size = 0
    for name, value in stored.items():
        if size + value.nbytes > _FILE_BYTES and files[-1]:
            files.append({})
            size = 0
        files[-1][name] = value
        size += value.nbytes
    names = [f"model-{number + 1:05}-of-{len(files):05}.safetensors" for number in range(len(files))]
    for name, part in zip(names, files, strict=True):
        save_file(part, folder / name)
    where = {tensor: name for name, part in zip(names, files, strict=True) for tensor in part}
    index = {"metadata": {"total_size": sum(value.nbytes for value in stored.values())}, "weight_map": where}
    (folder / _INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    text = json.dumps({"model_type": LINE_ENCODER, **asdict(config)}, indent=1)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def read_config(folder: str | Path) -> EncoderConfig:
    """The sizes in a model folder.

    Raises:
        ModelError: MODEL_BAD_CONFIG, MODEL_BAD_METADATA.
    """
    names = {entry.name for entry in fields(EncoderConfig)}
    found = read_object(Path(folder) / "config.json")
    try:
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in found.items() if name in names
        }
        config = EncoderConfig(**known)
    except (ValueError, TypeError) as error:
        raise _bad(str(folder), type(error).__name__) from error
    sizes = (config.vocabulary, config.layers, config.width, config.window_tokens)
    if found.get("model_type") != LINE_ENCODER or not all(
        isinstance(size, int) and 0 < size < 1 << 24 for size in sizes
    ):
        raise _bad(str(folder), "sizes or model_type are wrong")
    return config


def load_line_encoder(folder: str | Path) -> tuple[EncoderConfig, dict[str, torch.Tensor]]:
    """Config and float32 weights.

    Raises:
        ModelError: MODEL_BAD_CONFIG, MODEL_BAD_METADATA, MODEL_UNLOADABLE.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    config = read_config(folder)
    stored: dict[str, Any] = {}
    try:
        where = read_object(folder / _INDEX)["weight_map"]
        for name in sorted({Path(file).name for file in where.values()}):
            stored |= load_file(folder / name)
    except Exception as error:
        raise ModelError(
            "MODEL_UNLOADABLE",
            f"The weights in {str(folder)!r} cannot be read: {type(error).__name__}.",
            "Copy it again.",
        ) from error
    return config, _restored(stored)


def _quantized(name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    import torch

    if value.ndim != 2 or not name.endswith(".weight") or min(value.shape) == 1:
        return {name: value.contiguous()}
    scale = value.abs().amax(1).clamp(min=1e-8) / 127
    return {f"{name}.scale": scale, f"{name}.int8": torch.round(value / scale[:, None]).to(torch.int8)}


def _restored(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    for name, value in stored.items():
        bare, _, kind = name.rpartition(".")
        if kind == "int8":
            weights[bare] = value.float() * stored[f"{bare}.scale"][:, None]
        elif kind == "nibbles":
            weights[bare] = _dequantized(stored[f"{bare}.scales"], value)
        elif kind not in ("scale", "scales"):
            weights[name] = value
    return weights


def _dequantized(scales: torch.Tensor, nibbles: torch.Tensor) -> torch.Tensor:
    """[rows, columns] of scales [rows, columns / 32] and bytes [rows, columns / 2]."""
    import torch

    raw = nibbles.view(len(nibbles), -1, _BLOCK // 2)
    values = torch.cat([(raw & 15).to(torch.int8), (raw >> 4).to(torch.int8)], -1).float() - 8
    return (values * scales.float()[..., None]).view(len(nibbles), -1)


def _bad(folder: str, what: str) -> ModelError:
    return ModelError(
        "MODEL_BAD_CONFIG", f"config.json in {folder!r} is not of a line encoder: {what}.", "Copy it again."
    )
