"""The measurements of `speed.py`, one function a part; each gives a mapping of figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from random_model import TOY, XS, write_random_model

from spark_prox.engines.base import Request

if TYPE_CHECKING:
    from speed import Bench


def peak(bench: Bench) -> dict[str, Any]:
    """A large bf16 product and a large copy: what the card can do."""
    import torch

    size = 256 if bench.toy else 8192
    dtype = torch.float32 if bench.device == "cpu" else torch.bfloat16
    a, b = (torch.randn(size, size, device=bench.device, dtype=dtype) for _ in range(2))
    seconds = median_s(bench, lambda: torch.mm(a, b), 5 if bench.toy else 20)
    source = torch.empty(1 << (16 if bench.toy else 31), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    copied = median_s(bench, lambda: target.copy_(source), 5)
    bench.peak = 2 * size**3 / seconds
    return {
        "size": size,
        "tflop_s": round(bench.peak / 1e12, 2),
        "copy_tb_s": round(2 * source.numel() / copied / 1e12, 3),
    }


def model(bench: Bench) -> dict[str, Any]:
    """Write the random model, load it, build the fast forward pass."""
    from spark_prox.engines.cuda.build import packed_llama
    from spark_prox.engines.loading import load_causal_model
    from spark_prox.models import matrix_parameters

    began = time.perf_counter()
    write_random_model(bench.folder, TOY if bench.toy else XS, device=bench.device, dtype=bench.spec.dtype)
    written = time.perf_counter()
    parameters = matrix_parameters(bench.spec.path)
    bench.flop = 2.0 * (parameters or 0)
    loaded = load_causal_model(bench.spec)
    at = time.perf_counter()
    bench.packed = packed_llama(loaded)
    found = {"write_s": round(written - began, 1), "load_s": round(at - written, 1),
             "build_s": round(time.perf_counter() - at, 1), "matrix_parameters": parameters}  # fmt: skip
    if bench.packed is None:
        return {**found, "fast_forward": "refused"}
    attention = bench.packed.attention
    return {
        **found, "attention": attention.name, "attention_candidates_ms": dict(attention.measured_ms),
        "ops": bench.packed.ops.name,
    }  # fmt: skip


def engine(bench: Bench, *, packed: Any = None, **changed: Any) -> Any:
    """Our GPU engine over the model that is loaded."""
    from spark_prox.engines.cuda.engine import CudaEngine
    from spark_prox.models import load_tokenizer

    settings = {
        "batch_tokens": bench.spec.max_batch_tokens, "max_in_flight": bench.spec.max_in_flight,
        "lanes": bench.spec.max_decoding, "request_timeout_s": 900.0, **changed,
    }  # fmt: skip
    return CudaEngine(
        packed or bench.packed, tokenizer=load_tokenizer(bench.spec.path), stop_ids=(), device=bench.device, **settings
    )


def read_ours(bench: Bench) -> dict[str, Any]:
    """Reads through our engine, three times."""
    made = engine(bench, lanes=1)
    requests = bench.requests(8 if bench.toy else 352)
    first = bench.rate(made, requests[: 4 if bench.toy else 44])
    rounds = [bench.rate(made, requests) for _ in range(3)]
    rounds.sort(key=lambda found: found["prompt_tok_s"])
    return {**rounds[1], "rounds": [found["prompt_tok_s"] for found in rounds], "warm_up_s": first["seconds"]}


def generate_ours(bench: Bench) -> dict[str, Any]:
    """Programs of 48 tokens through our engine."""
    made = engine(bench)
    requests = bench.requests(8 if bench.toy else 512, new=bench.new)
    first = bench.rate(made, requests[: 4 if bench.toy else 256])
    found = bench.rate(made, requests)
    return {**found, "warm_up_s": first["seconds"], "graphs": made._lanes.graphs, "cache_rows": made._cache.rows}


def correct(bench: Bench) -> dict[str, Any]:
    """Margins and greedy tokens against transformers in float32 on the same weights."""
    import torch

    from spark_prox import pretrained
    from spark_prox.engines.loading import load_causal_model

    reads, writes = bench.requests(8, seed=5), bench.requests(8, seed=6, new=bench.new)
    made = engine(bench, lanes=8)
    got = {c.request_id: c.margins for c in made.complete(reads)}
    texts = {c.request_id: [int(word[1:]) for word in c.text.split()] for c in made.complete(writes)}
    exact = pretrained.load_causal_model(bench.spec.path, dtype=torch.float32).to(bench.device).eval()
    plain = load_causal_model(bench.spec)
    ours, theirs, sizes = [], [], []
    agree, regrets = [], []
    with torch.inference_mode():
        for request in reads:
            margins = [_margins(reference, request, bench.device) for reference in (exact, plain)]
            expected = margins[0]
            ours.append(float((torch.tensor(got[request.request_id]) - expected).abs().max()))
            theirs.append(float((margins[1] - expected).abs().max()))
            sizes.append(float(expected.std()))
        for request in writes:
            written = texts[request.request_id]
            ids = torch.tensor([[*request.prompt_token_ids, *written]], device=bench.device)
            logits = exact(ids).logits[0, len(request.prompt_token_ids) - 1 : -1].float().log_softmax(-1)
            chosen = torch.tensor(written, device=bench.device)
            best = logits.max(-1)
            agree += (best.indices == chosen).tolist()
            regrets += (best.values - logits.gather(1, chosen[:, None])[:, 0]).tolist()
    return {
        "margin_std": round(statistics.mean(sizes), 4), "margin_max_difference": round(max(ours), 5),
        "transformers_same_type_max_difference": round(max(theirs), 5), "tokens": len(agree),
        "tokens_agree": round(sum(agree) / len(agree), 4), "max_regret_nats": round(max(regrets), 5),
    }  # fmt: skip


def _margins(reference: Any, request: Request, device: str) -> Any:
    import torch

    logits = reference(torch.tensor([request.prompt_token_ids], device=device), use_cache=False).logits[0]
    rows = logits[list(request.read_at)].float().cpu()
    return rows[:, request.read_tokens[0]] - rows[:, request.read_tokens[1]]


def upstream_read(bench: Bench, *, mixed: bool = False) -> dict[str, Any]:
    """transformers alone: padded batches, all logits, one after the other."""
    import torch

    from spark_prox.engines.loading import load_causal_model

    plain = load_causal_model(bench.spec)
    size = 4 if bench.toy else 16
    requests = bench.requests(size * (2 if bench.toy else 8), mixed=mixed)

    def run(batch: list[Request]) -> None:
        ids, mask = _padded(batch, bench.device)
        with torch.inference_mode():
            logits = plain(input_ids=ids, attention_mask=mask, use_cache=False).logits
            for row, request in enumerate(batch):
                at = [len(ids[row]) - len(request.prompt_token_ids) + position for position in request.read_at]
                (logits[row, at, request.read_tokens[0]] - logits[row, at, request.read_tokens[1]]).tolist()

    run(requests[:size])
    return _batches(bench, requests, size, run, 0)


def upstream_generate(bench: Bench) -> dict[str, Any]:
    """transformers alone: padded batches through `generate`."""
    import torch

    from spark_prox.engines.loading import load_causal_model

    plain = load_causal_model(bench.spec)
    size = 4 if bench.toy else 32
    requests = bench.requests(size * 2, new=bench.new)

    def run(batch: list[Request]) -> None:
        ids, mask = _padded(batch, bench.device)
        with torch.inference_mode():
            plain.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=bench.new, min_new_tokens=bench.new,
                do_sample=False, pad_token_id=0,
            ).tolist()  # fmt: skip

    run(requests[: size // 4])
    return _batches(bench, requests, size, run, bench.new)


def _padded(batch: list[Request], device: str) -> tuple[Any, Any]:
    import torch

    width = max(len(request.prompt_token_ids) for request in batch)
    ids, mask = (torch.zeros(len(batch), width, dtype=torch.long) for _ in range(2))
    for row, request in enumerate(batch):
        ids[row, width - len(request.prompt_token_ids) :] = torch.tensor(request.prompt_token_ids)
        mask[row, width - len(request.prompt_token_ids) :] = 1
    return ids.to(device), mask.to(device)


def _batches(
    bench: Bench, requests: list[Request], size: int, run: Callable[[list[Request]], None], new: int
) -> dict[str, Any]:
    bench.sync()
    began = time.perf_counter()
    for start in range(0, len(requests), size):
        run(requests[start : start + size])
    bench.sync()
    seconds = time.perf_counter() - began
    tokens = sum(len(request.prompt_token_ids) for request in requests)
    return {**bench.figures(tokens, new * len(requests), seconds, len(requests)), "batch": size}


def before(bench: Bench) -> dict[str, Any]:
    """The engine that runs on transformers' layers: packed, attention sequence by sequence."""
    from spark_prox.engines.transformers_engine import TransformersEngine

    spec = replace(bench.spec, max_decoding=4 if bench.toy else 64, max_batch_tokens=200 if bench.toy else 16_384)
    made = TransformersEngine(spec)
    reads, writes = bench.requests(8 if bench.toy else 110), bench.requests(4 if bench.toy else 64, new=bench.new)
    bench.rate(made, reads[:11])
    found = {"read": bench.rate(made, reads)}
    bench.record.say(f"before: {found}")
    if bench.record.left() > 30:
        found["generate"] = bench.rate(made, writes)
    return found


def profile_read(bench: Bench) -> dict[str, Any]:
    """GPU time of one pass by kernel, and how long the CPU needs to launch it."""
    from torch.profiler import ProfilerActivity, profile

    from spark_prox.engines.cuda.passes import launch_pass

    made = engine(bench, lanes=1)
    batch = [(request, None) for request in bench.requests(4 if bench.toy else 21)]
    launch_pass(bench.packed, made._cache, batch, bench.device)
    bench.sync()
    began = time.perf_counter()
    launch_pass(bench.packed, made._cache, batch, bench.device)
    launched = time.perf_counter() - began
    bench.sync()
    waited = time.perf_counter() - began
    kinds = [ProfilerActivity.CUDA if bench.device == "cuda" else ProfilerActivity.CPU]
    with profile(activities=kinds) as profiler:
        launch_pass(bench.packed, made._cache, batch, bench.device)
        bench.sync()
    rows = []
    for event in profiler.key_averages():
        microseconds = getattr(event, "self_device_time_total", 0) or getattr(event, "self_cuda_time_total", 0)
        microseconds = microseconds or (event.self_cpu_time_total if bench.device == "cpu" else 0)
        rows.append((round(microseconds / 1000, 3), event.count, event.key[:90]))
    rows.sort(reverse=True)
    return {
        "tokens": sum(len(request.prompt_token_ids) for request, _ in batch), "launch_ms": round(launched * 1e3, 2),
        "pass_ms": round(waited * 1e3, 2), "kernels_ms": round(sum(row[0] for row in rows), 2), "kernels": rows[:24],
    }  # fmt: skip


def products(bench: Bench) -> dict[str, Any]:
    """Each matrix product of a layer alone, in TFLOP/s, and the kernels between them, in TB/s."""
    import torch
    from torch.nn.functional import linear

    w, ops = bench.packed.weights, bench.packed.ops
    layer, found = w.layers[0], {}
    for tokens in (64,) if bench.toy else (16_384, 32_768, 65_536):
        x = torch.randn(tokens, w.embedding.shape[1], device=bench.device, dtype=w.embedding.dtype)
        inner = torch.randn(tokens, layer.down.shape[1], device=bench.device, dtype=x.dtype)
        with torch.inference_mode():
            runs = {
                "qkv": (layer.qkv, lambda x=x: linear(x, layer.qkv)),
                "out": (layer.out, lambda x=x: x.addmm_(x, layer.out.t())),
                "gate_up": (layer.gate_up, lambda x=x: linear(x, layer.gate_up)),
                "down": (layer.down, lambda x=x, inner=inner: x.addmm_(inner, layer.down.t())),
            }
            for name, (weight, run) in runs.items():
                x.normal_()
                seconds = median_s(bench, run, 10)
                found[f"{name}_{tokens}_tflop_s"] = round(2 * tokens * weight.numel() / seconds / 1e12, 2)
            x.normal_()
            wide = linear(x, layer.gate_up)
            size = x.element_size()
            found[f"norm_{tokens}_tb_s"] = round(
                2 * x.numel() * size / median_s(bench, lambda x=x: ops.rms_norm(x, w.norm, w.eps), 10) / 1e12, 3
            )
            found[f"swiglu_{tokens}_tb_s"] = round(
                1.5 * wide.numel() * size / median_s(bench, lambda wide=wide: ops.swiglu(wide), 10) / 1e12, 3
            )
    return found


def tokens_per_pass(bench: Bench) -> dict[str, Any]:
    """Reads with smaller and larger passes."""
    requests = bench.requests(8 if bench.toy else 264)
    found = {}
    for tokens in (50, 200) if bench.toy else (8192, 16_384, 49_152, 65_536, 131_072):
        made = engine(bench, lanes=1, batch_tokens=tokens)
        bench.rate(made, requests[: 4 if bench.toy else 88])
        found[str(tokens)] = bench.rate(made, requests)["prompt_tok_s"]
    return found


def decode_steps(bench: Bench) -> dict[str, Any]:
    """Milliseconds of one decoding step by lanes, with and without CUDA graphs."""
    found: dict[str, Any] = {}
    lanes = 4 if bench.toy else 256
    for graphs in (True, False):
        made = engine(bench, lanes=lanes, graphs=graphs)
        for width in (2, 4) if bench.toy else (16, 64, 128, 256):
            starts = [32 + number * (bench.prompt + 64) for number in range(width)]
            positions = [bench.prompt] * width
            made._lanes.burst(starts, positions, 8)
            seconds = median_s(bench, lambda s=starts, p=positions, m=made: m._lanes.burst(s, p, 8), 5) / 8
            found[f"{width}_{'graphs' if made._lanes.graphs else 'launches'}_ms"] = round(seconds * 1e3, 3)
        del made
    return found


def _plain_ops(bench: Bench) -> dict[str, Any]:
    from spark_prox.engines.cuda.forward import PackedLlama
    from spark_prox.engines.cuda.ops import plain_ops

    return {"packed": PackedLlama(bench.packed.weights, bench.packed.attention, plain_ops())}


def _loop_attention(bench: Bench) -> dict[str, Any]:
    from spark_prox.engines.cuda.attention import loop_attention
    from spark_prox.engines.cuda.forward import PackedLlama

    return {"packed": PackedLlama(bench.packed.weights, loop_attention, bench.packed.ops)}


def _all_logits(bench: Bench) -> dict[str, Any]:
    from spark_prox.engines.cuda.forward import PackedLlama

    class AllLogits(PackedLlama):
        def hidden(self, step: Any, cache: Any | None = None) -> Any:
            rows, step.rows = step.rows, None
            hidden = super().hidden(step, cache)
            self.logits(hidden)
            return hidden if rows is None else hidden[rows]

    return {"packed": AllLogits(bench.packed.weights, bench.packed.attention, bench.packed.ops)}


WITHOUT: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "fused_kernels": ("read", _plain_ops),
    "varlen_attention": ("read", _loop_attention),
    "needed_rows_only": ("read", _all_logits),
    "running_ahead": ("read", lambda _: {"ahead": 0}),
    "graphs": ("generate", lambda _: {"graphs": False}),
    "running_ahead_generate": ("generate", lambda _: {"ahead": 0}),
    "many_lanes": ("generate", lambda bench: {"lanes": 2 if bench.toy else 64}),
}
"""By name, what a variant leaves out: the kind of requests, and the engine's changed settings."""


def without(bench: Bench, name: str) -> dict[str, Any]:
    """The engine with one idea left out."""
    kind, change = WITHOUT[name]
    if kind == "read":
        requests, settings = bench.requests(8 if bench.toy else 132), {"lanes": 1}
    else:
        requests, settings = bench.requests(8 if bench.toy else 384, new=bench.new), {}
    made = engine(bench, **{**settings, **change(bench)})
    bench.rate(made, requests[: len(requests) // 3])
    return bench.rate(made, requests)


def mixed_lengths(bench: Bench) -> dict[str, Any]:
    """Prompts of 187 to 1,500 tokens: what padding costs upstream and not us."""
    made = engine(bench, lanes=1)
    requests = bench.requests(8 if bench.toy else 512, mixed=True)
    bench.rate(made, requests[: len(requests) // 4])
    return {"ours": bench.rate(made, requests), "upstream": upstream_read(bench, mixed=True)}


def attention_kinds(bench: Bench) -> dict[str, Any]:
    """Milliseconds of one layer's attention over 21 prompts, by what computes it."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention as attend

    from spark_prox.engines.cuda.attention import Step
    from spark_prox.engines.cuda.choice import prompt_candidates

    w = bench.packed.weights
    count, length = (2, bench.prompt) if bench.toy else (21, bench.prompt)

    def random(heads: int) -> Any:
        return torch.randn(count * length, heads, w.head_width, device=bench.device, dtype=w.embedding.dtype)

    q, k, v = random(w.heads), random(w.kv_heads), random(w.kv_heads)
    bounds = torch.arange(count + 1, device=bench.device, dtype=torch.int32) * length
    step = Step(ids=None, positions=None, cu_queries=bounds, max_queries=length)
    flop = 4 * w.heads * w.head_width * length * (length + 1) / 2 * count
    four = [t.view(count, length, -1, w.head_width).transpose(1, 2) for t in (q, k, v)]

    def backend(kind: Any) -> Callable[[], Any]:
        def run() -> Any:
            with sdpa_kernel(kind):
                return attend(*four, is_causal=True, scale=w.scale, enable_gqa=True)

        return run

    def candidate(attend: Any) -> Callable[[], Any]:
        return lambda: attend(q, k, v, step, w.scale)

    ours = bench.packed.attention
    runs = {
        ours.name: candidate(ours.prompts),
        **({} if bench.toy else {name: candidate(attend) for name, attend in prompt_candidates(w.head_width)}),
        "sdpa_flash_equal_lengths": backend(SDPBackend.FLASH_ATTENTION),
        "sdpa_cudnn_equal_lengths": backend(SDPBackend.CUDNN_ATTENTION),
        "cudnn_varlen": lambda: torch.ops.aten._cudnn_attention_forward(
            q, k, v, None, bounds, bounds, length, length, False, 0.0, True, False, scale=w.scale
        )[0],
    }
    found: dict[str, Any] = {}
    expected = None
    for name, run in runs.items():
        try:
            with torch.inference_mode():
                answer = run()
                answer = answer.transpose(1, 2).reshape(q.shape) if answer.dim() == 4 else answer
                expected = answer if expected is None else expected
                seconds = median_s(bench, run, 10)
            found[name] = {
                "ms": round(seconds * 1e3, 3), "tflop_s": round(flop / seconds / 1e12, 1),
                "difference": float((answer.float() - expected.float()).abs().max()),
            }  # fmt: skip
        except Exception as error:  # noqa: BLE001 - not every build has every kernel
            found[name] = f"{type(error).__name__}: {str(error)[:160]}"
        bench.record.say(f"{name}: {found[name]}")
    return found


def compiled(bench: Bench) -> dict[str, Any]:
    """torch.compile over the plain operators, in the place of the Triton kernels."""
    import torch

    from spark_prox.engines.cuda import ops
    from spark_prox.engines.cuda.forward import PackedLlama

    began = time.perf_counter()
    made = ops.Ops(
        name="compiled",
        rms_norm=torch.compile(ops.rms_norm, dynamic=True),
        rotate_and_store=torch.compile(ops.rotate_and_store, dynamic=True),
        swiglu=torch.compile(ops.swiglu, dynamic=True),
    )
    fast = engine(bench, lanes=1, packed=PackedLlama(bench.packed.weights, bench.packed.attention, made))
    requests = bench.requests(8 if bench.toy else 132)
    bench.rate(fast, requests[: len(requests) // 3])
    compile_s = round(time.perf_counter() - began, 1)
    return {**bench.rate(fast, requests), "first_pass_s": compile_s}


def median_s(bench: Bench, run: Callable[[], Any], times: int) -> float:
    """Median seconds of a call, each waited for; the first three are not counted."""
    seconds: list[float] = []
    for number in range(times + 3):
        bench.sync()
        began = time.perf_counter()
        run()
        bench.sync()
        if number >= 3:
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
