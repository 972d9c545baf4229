"""The only per-process state: the engine of this Python worker, loaded once and kept for all of its tasks.

Spark reuses a Python worker for many tasks. A cache in a function that Spark pickles by value would be emptied at each
of them; this module is imported by name, so its state lasts as long as the process. Knows engines by name and imports
torch and vLLM only when it loads one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence

from spark_prox.engines.base import Engine
from spark_prox.engines.spec import ModelSpec
from spark_prox.errors import ModelError, SetupError

__all__ = ["claim_gpus", "engine_for", "engine_name", "loaded_engine_id"]

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_engines: dict[ModelSpec, Engine] = {}
_engine_ids: dict[ModelSpec, str] = {}
_loads = 0


def engine_for(spec: ModelSpec) -> Engine:
    """The engine of a model in this process; loaded at the first call.

    Raises:
        ModelError: the model cannot be loaded, or its engine is not installed.
    """
    global _loads  # noqa: PLW0603 - this module is where per-process state lives
    with _lock:
        if spec not in _engines:
            started = time.monotonic()
            _engines[spec] = _load(spec)
            _loads += 1
            _engine_ids[spec] = f"{os.uname().nodename}/{os.getpid()}/{_loads}"
            _log.info("loaded %s in %.1f s as %s", spec.path, time.monotonic() - started, _engine_ids[spec])
        return _engines[spec]


def loaded_engine_id(spec: ModelSpec) -> str:
    """host/process/count of an engine that `engine_for` has loaded: distinct values are distinct loads."""
    return _engine_ids[spec]


def claim_gpus(addresses: Sequence[str]) -> None:
    """Make the GPUs that Spark assigned to this task the only ones that torch and vLLM see in this process.

    Must come before either is imported; Spark itself never sets CUDA_VISIBLE_DEVICES.

    Raises:
        SetupError: GPU_CHANGED when this worker holds an engine on another GPU.
    """
    wanted = ",".join(sorted(addresses))  # the same GPUs in another order are the same GPUs
    held = os.environ.get("SPARK_PROX_GPUS")
    if held is not None and held != wanted and _engines:
        raise SetupError(
            "GPU_CHANGED",
            f"This worker's engine sits on GPU {held} and the task was given {wanted}.",
            "Give each executor one GPU (spark.executor.resource.gpu.amount=1).",
        )
    os.environ["SPARK_PROX_GPUS"] = wanted
    os.environ["CUDA_VISIBLE_DEVICES"] = wanted


def engine_name(spec: ModelSpec) -> str:
    """What "auto" means on this machine: vllm where a GPU and vLLM are there, transformers otherwise."""
    if spec.engine != "auto":
        return spec.engine
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        return "transformers"
    import torch

    return "vllm" if torch.cuda.is_available() else "transformers"


def _load(spec: ModelSpec) -> Engine:
    name = engine_name(spec)
    if name == "scripted":
        from spark_prox.engines.scripted import ScriptedEngine

        return ScriptedEngine(spec.script, spec.script_margin)
    if name == "transformers":
        from spark_prox.engines.transformers_engine import TransformersEngine

        return TransformersEngine(spec)
    if name == "vllm":
        from spark_prox.engines.vllm_engine import VllmEngine

        return VllmEngine(spec)
    if name == "openai":
        from spark_prox.engines.openai_engine import OpenAIEngine

        return OpenAIEngine(spec)
    raise ModelError(
        "ENGINE_UNKNOWN", f"There is no engine {name!r}.", "Use auto, transformers, vllm, openai, scripted."
    )
