"""Load a causal language model with transformers, and choose the engine that runs it on this machine.

Knows nothing of requests. torch and transformers are imported inside the functions.
"""

from __future__ import annotations

from typing import Any

from spark_prox import pretrained
from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Engine
from spark_prox.engines.lora import merge_adapter
from spark_prox.errors import ModelError, reason_of
from spark_prox.models import model_directory, model_token_ids

__all__ = ["device_name", "load_causal_model", "load_transformers_engine", "stop_ids"]


def load_transformers_engine(spec: ModelSpec) -> Engine:
    """The fastest engine of this package that the model fits: on a GPU `CudaEngine`, else `TransformersEngine`.

    Raises:
        ModelError: as `TransformersEngine`.
    """
    model = load_causal_model(spec)
    if device_name(spec.device) == "cuda":
        from spark_prox.engines.cuda.build import cuda_engine

        engine = cuda_engine(spec, model)
        if engine is not None:
            return engine
    from spark_prox.engines.transformers_engine import TransformersEngine

    return TransformersEngine(spec, model)


def load_causal_model(spec: ModelSpec) -> Any:
    """The model on its device, in evaluation mode, with the adapter merged.

    Raises:
        ModelError: MODEL_UNLOADABLE when the files are not a causal language model that transformers knows;
            ADAPTER_UNLOADABLE.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    directory = model_directory(spec.path)
    if spec.threads:
        torch.set_num_threads(spec.threads)
    device = device_name(spec.device)
    try:
        model = pretrained.load_causal_model(directory, dtype=_dtype(spec.dtype, device))
        model = model.to(device).eval()
    except Exception as error:
        raise ModelError(
            "MODEL_UNLOADABLE",
            f"{spec.path!r} cannot be loaded as a causal language model. {reason_of(error)}",
            "Check config.json and that the weights are complete.",
        ) from error
    if spec.adapter:
        merge_adapter(model, spec.adapter)
    return model


def stop_ids(path: str) -> list[int]:
    """The tokens that end a text, from the model's configuration."""
    return list(model_token_ids(path, "eos_token_id"))


def device_name(name: str) -> str:
    """Resolve "auto" to a device of this machine."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _dtype(name: str, device: str) -> Any:
    import torch

    if name == "auto":
        name = "bfloat16" if device == "cuda" else "float32"
    return getattr(torch, name)
