"""Read the files of `pack_model.py`: SmolLM2's weights as float32, under transformers' names. Needs numpy and torch."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from packs import read_packs

from spark_prox.gguf import q4_1
from spark_prox.smollm2 import llama_name, rotary_rows

__all__ = ["load_packed_model"]


def q4_1_parts(nibbles: np.ndarray, scales: np.ndarray, minima: np.ndarray) -> np.ndarray:
    """The weights of a matrix's blocks, from the parts that `pack_model.layer_streams` makes."""
    predicted = (np.float32(-7.5) * scales.view(np.float16).astype(np.float32)).astype(np.float16).view(np.uint16)
    head = np.stack([scales, minima + predicted], axis=1)
    return q4_1(np.concatenate([head.view(np.uint8), nibbles], axis=1))


def embedding(found: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    """The embedding; a row that was not packed is the mean of those that were."""
    weights = np.full(shape, np.nan, np.float32)
    scales = found["embedding/exact/scales"].view(np.float16).astype(np.float32)
    rows = found["embedding/exact/values"].astype(np.float32) * scales
    weights[found["embedding/exact/rows"]] = rows.reshape(len(rows), -1)
    for name in ("fine", "coarse"):
        step = found[f"embedding/{name}/steps"].astype(np.float32)[:, None]
        weights[found[f"embedding/{name}/rows"]] = found[f"embedding/{name}/values"].astype(np.float32) * step
    absent = np.isnan(weights[:, 0])
    weights[absent] = weights[~absent].mean(axis=0)
    return weights


def load_packed_model(folder: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The model's configuration and its state in float32; the output shares the embedding."""
    found = read_packs(folder, "model-*.pack")
    config = json.loads(found["config"])
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}

    def weights(name: str) -> tuple[str, torch.Tensor]:
        if name + "/nibbles" not in found:
            return llama_name(name), torch.tensor(found[name])
        values = q4_1_parts(*(found[f"{name}/{part}"] for part in ("nibbles", "scales", "minima")))
        values = values.reshape(tuple(found[f"{name}/shape"]))
        part = name.split(".")[-2]
        values = rotary_rows(values, heads[part]) if part in heads else values
        return llama_name(name), torch.tensor(values)

    names = {
        re.sub("/(nibbles|scales|minima|shape)$", "", name) for name in found if name.endswith(("weight", "/shape"))
    }
    names = {name for name in names if not name.startswith("embedding")}
    with ThreadPoolExecutor() as threads:
        state = dict(threads.map(weights, sorted(names)))
    state["model.embed_tokens.weight"] = torch.tensor(embedding(found, (config["vocab_size"], config["hidden_size"])))
    return config, state
