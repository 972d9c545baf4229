"""The only per-process state: the engine of this Python worker, loaded once and kept for all of its tasks.

Spark reuses a Python worker for many tasks. A cache in a function that Spark pickles by value would be emptied at each
of them; this module is imported by name, so its state lasts as long as the process. Knows engines by
the names in `spark_prox.engines.registry`.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Sequence

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Engine
from spark_prox.engines.registry import AUTO, ENGINES
from spark_prox.engines.supervised import SupervisedEngine
from spark_prox.errors import ModelError, SetupError
from spark_prox.models import is_line_encoder

__all__ = ["claim_gpus", "engine_for", "engine_name", "loaded_engine_id", "release_engines"]

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_engines: dict[ModelSpec, SupervisedEngine] = {}
_engine_ids: dict[ModelSpec, str] = {}
_loads = 0


def engine_for(spec: ModelSpec) -> Engine:
    """The engine of a model in this process; loaded at the first call, and again whenever it dies.

    The engines of other models stay, so that both refiners can be resident. They are released first where
    `spec.exclusive` says so, and where the model could not be loaded beside them: then there was no memory for it.

    Raises:
        ModelError: the model cannot be loaded, or its engine is not installed.
    """
    global _loads  # noqa: PLW0603 - this module is where per-process state lives
    with _lock:
        if spec not in _engines:
            started = time.monotonic()
            if spec.exclusive:
                _release_all()
            try:
                _engines[spec] = _supervised(spec)
            except ModelError as error:
                if error.code != "MODEL_UNLOADABLE" or not _engines:
                    raise
                _log.warning("%s; releasing the other engines of this worker and trying again", error)
                _release_all()
                _engines[spec] = _supervised(spec)
            _loads += 1
            _engine_ids[spec] = f"{os.uname().nodename}/{os.getpid()}/{_loads}"
            _log.info("loaded %s in %.1f s as %s", spec.path, time.monotonic() - started, _engine_ids[spec])
        return _engines[spec]


def loaded_engine_id(spec: ModelSpec) -> str:
    """host/process/count of an engine that `engine_for` has loaded: distinct values are distinct loads."""
    return _engine_ids[spec]


def release_engines() -> None:
    """Free the memory of every engine of this process; `engine_for` loads them again."""
    with _lock:
        _release_all()


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
    """Resolve "auto" on this machine: vllm where a GPU and vLLM are there, transformers otherwise.

    A line encoder has an engine of its own, whichever of these is asked for.
    """
    if spec.engine in (AUTO, "transformers", "vllm") and is_line_encoder(spec.path):
        return "encoder"
    if spec.engine != AUTO:
        return spec.engine
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        return "transformers"
    import torch

    return "vllm" if torch.cuda.is_available() else "transformers"


def _release_all() -> None:
    while _engines:
        spec, engine = _engines.popitem()
        engine.close()
        del engine
        _log.info("released %s", spec.path)
    gc.collect()


def _supervised(spec: ModelSpec) -> SupervisedEngine:
    return SupervisedEngine(lambda: _load(spec), stall_timeout_s=spec.stall_timeout_s)


def _load(spec: ModelSpec) -> Engine:
    return ENGINES[engine_name(spec)].maker()(spec)
