"""Engine of the line encoder: whole pages in, a margin for each of their lines and for the page out, one pass each.

A read position at a line's shape token gets the line's margin, one at a quality token the page's. Nothing is decoded.
Runs on a CPU (float32 on packed weights, or bfloat16) and on a GPU. Knows nothing of documents.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Completion, Request, failure, is_ready
from spark_prox.engines.line_calibration import load_calibration
from spark_prox.engines.line_encoder import WindowBatch, encode_windows, head_margins, own_embeddings, pool_lines
from spark_prox.engines.line_encoder_files import load_line_encoder
from spark_prox.engines.packed_linear import packed_linear
from spark_prox.engines.window_batches import window_arrays
from spark_prox.errors import ModelError
from spark_prox.models import model_directory

__all__ = ["EncoderEngine"]

_log = logging.getLogger(__name__)
_BATCH_TOKENS = {"cpu": 4096, "cuda": 131_072}
_MAX_PAGE_TOKENS = 1 << 17
_PADDED_LINES = 1 << 15


class EncoderEngine:
    """A line encoder from a model folder.

    Raises:
        ModelError: MODEL_BAD_CONFIG, MODEL_BAD_METADATA, MODEL_UNLOADABLE, ADAPTER_UNLOADABLE.
    """

    def __init__(self, spec: ModelSpec) -> None:
        import torch

        if spec.adapter:
            raise ModelError(
                "ADAPTER_UNLOADABLE",
                f"{spec.path!r} is a line encoder, which takes no adapter; model.adapter is {spec.adapter!r}.",
                "The adapter `embedded` is for model.path=smollm2, see conf/smollm2.yaml.",
            )
        if spec.threads:
            torch.set_num_threads(spec.threads)
        self._torch = torch
        self._device = _device(spec.device)
        dtype = getattr(torch, _dtype_name(spec.dtype, self._device))
        folder = model_directory(spec.path)
        self._config, stored = load_line_encoder(folder)
        self._calibration = load_calibration(folder)
        weights: dict[str, Any] = {name: value.to(self._device, dtype) for name, value in stored.items()}
        weights["own"] = own_embeddings(weights, self._config)
        if self._device == "cpu":
            weights |= _products(weights)
        self._weights = weights
        self._budget = spec.max_batch_tokens or _BATCH_TOKENS.get(self._device, _BATCH_TOKENS["cuda"])
        self._max_in_flight = spec.max_in_flight

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`. A pass takes pages until its token budget is full, and one page at least."""
        stream = iter(requests)
        waiting: list[Request] = []
        tokens = 0
        more = True
        while more or waiting:
            while more and tokens < self._budget and len(waiting) < self._max_in_flight:
                if waiting and not is_ready(stream):
                    break
                request = next(stream, None)
                if request is None:
                    more = False
                elif problem := self._problem(request):
                    yield problem
                else:
                    waiting.append(request)
                    tokens += len(request.prompt_token_ids)
            for pages in _of_like_length(waiting):
                yield from self._run(pages)
            waiting, tokens = [], 0

    def _problem(self, request: Request) -> Completion | None:
        import numpy as np

        config = self._config
        ids = np.array(request.prompt_token_ids, np.int64)
        if not len(ids):
            return failure(request, "PROMPT_EMPTY", "the prompt has no token")
        if len(ids) > _MAX_PAGE_TOKENS:
            return failure(request, "PROMPT_TOO_LONG", f"{len(ids)} tokens, at most {_MAX_PAGE_TOKENS}")
        first_quality = config.vocabulary + config.shapes
        if ids.min() < 0 or ids.max() >= first_quality + config.qualities:
            return failure(request, "TOKEN_UNKNOWN", "a token id that the model does not have")
        known = int((ids >= first_quality).sum())
        layout = known == config.page_qualities and bool((ids[-known:] >= first_quality).all())
        at = ids[list(request.read_at)] if request.read_at and max(request.read_at) < len(ids) else ids[:0]
        reads = len(at) == len(request.read_at) > 0 and bool((at >= config.vocabulary).all())
        if not layout or not reads or not (config.vocabulary <= ids[-known - 1] < first_quality):
            return failure(request, "PROMPT_LAYOUT", "not a page of lines, shapes and qualities")
        return None

    def _run(self, some: list[Request]) -> list[Completion]:
        """One pass; on an error halve it, until the request that causes it stands alone and gets a code."""
        try:
            return self._margins(some)
        except Exception as error:
            if "CUDA error" in str(error) and "out of memory" not in str(error).lower():
                raise  # the device's state is gone: whoever supervises this engine loads another one
            if len(some) == 1:
                code = "OUT_OF_MEMORY" if "out of memory" in str(error).lower() else "ENGINE_ERROR"
                return [failure(some[0], code, type(error).__name__)]
            _log.warning("a pass of %d pages failed with %s; halving it", len(some), type(error).__name__)
        middle = len(some) // 2
        return self._run(some[:middle]) + self._run(some[middle:])

    def _margins(self, some: list[Request]) -> list[Completion]:
        import numpy as np

        torch, config = self._torch, self._config
        streams = [np.array(request.prompt_token_ids, np.int64) for request in some]
        arrays = window_arrays(np.concatenate(streams), np.array([len(ids) for ids in streams], np.int64), config)
        full, most = int(arrays.pop("full")), int(arrays.pop("most_lines"))
        tensors = {name: torch.from_numpy(value).to(self._device) for name, value in arrays.items()}
        batch = WindowBatch(full=full, most_lines=most, **tensors)
        with torch.inference_mode():
            hidden = encode_windows(self._weights, config, batch)
            lines, pages = head_margins(self._weights, config, pool_lines(hidden, batch), batch)
        of_lines, of_pages = lines.float().cpu().numpy(), pages.float().cpu().tolist()
        done, start = [], 0
        for request, ids, page_margin in zip(some, streams, of_pages, strict=True):
            is_shape = (ids >= config.vocabulary) & (ids < config.vocabulary + config.shapes)
            values = np.full(len(ids), page_margin, np.float32)
            count = int(is_shape.sum())
            own = of_lines[start : start + count]
            if self._calibration is not None:
                lengths = (ids[is_shape] - config.vocabulary) // config.forms
                own = self._calibration.apply(own, lengths, page_margin)
            values[is_shape] = own
            start += count
            done.append(
                Completion(
                    request_id=request.request_id,
                    finish_reason="read",
                    prompt_tokens=len(ids),
                    margins=tuple(values[list(request.read_at)].tolist()),
                )
            )
        return done


def _of_like_length(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """The requests in groups whose lines, padded to the longest page of the group, are at most `_PADDED_LINES`.

    The convolutions take pages as rows of one length: a page of thousands of lines among hundreds of short ones would
    cost a gigabyte. A page alone may have more.
    """
    group: list[Request] = []
    for request in sorted(requests, key=lambda one: len(one.read_at)):
        if group and (len(group) + 1) * len(request.read_at) > _PADDED_LINES:
            yield group
            group = []
        group.append(request)
    if group:
        yield group


def _products(weights: dict[str, Any]) -> dict[str, Any]:
    """Linear layers on weights that oneDNN has laid out, where it can."""
    import torch

    found = {}
    for name, weight in weights.items():
        bare = name.removesuffix(".weight")
        if bare == name or weight.ndim != 2 or f"{bare}.bias" not in weights or min(weight.shape) == 1:
            continue
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
        layer.bias = torch.nn.Parameter(weights[f"{bare}.bias"], requires_grad=False)
        gelu = bare.endswith((".up", ".doc1"))
        packed = packed_linear(layer, "gelu" if gelu else "none")
        if packed is not None:
            found[f"{bare}.gelu_product" if gelu else f"{bare}.product"] = packed
    return found


def _device(name: str) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _dtype_name(name: str, device: str) -> str:
    """bfloat16 where the machine multiplies it in hardware, on a CPU with AMX: three times as fast there."""
    if name != "auto":
        return name
    import torch

    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return "bfloat16" if device == "cuda" or has_amx() else "float32"
