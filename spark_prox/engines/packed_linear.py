"""Linear layers with weights laid out once for oneDNN, for engines on CPUs.

PyTorch's float32 product goes to MKL, which keeps its best kernels for one maker's CPUs, and lays weights out anew in
every call: on an AMD EPYC with AVX-512 it reached 110 GFLOP/s a core where oneDNN reaches 255, in true float32. The
operators are those that TorchInductor uses when it freezes a model. torch is imported inside the functions.
"""

from __future__ import annotations

from typing import Any, Literal

__all__ = ["pack_linear_layers", "packed_linear"]

_PROBE_ROWS = 3
_TOLERANCE = {"torch.float32": 1e-5, "torch.bfloat16": 2e-2}  # of the largest value of a product


def packed_linear(layer: Any, activation: Literal["none", "gelu"] = "none") -> Any | None:
    """The same layer on packed weights, which it no longer shares with the original; None if it cannot be packed.

    It works for float32 and bfloat16 on a CPU with oneDNN, and only if the outputs equal those of the original.

    Args:
        layer: a `torch.nn.Linear`.
        activation: what is done to the product in the same step.
    """
    import torch

    weight = layer.weight
    tolerance = _TOLERANCE.get(str(weight.dtype))
    if weight.device.type != "cpu" or tolerance is None or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    try:
        with torch.inference_mode():
            operators = torch.ops.mkldnn
            packed = _module(operators._reorder_linear_weight(weight.detach()), layer.bias, activation)
            probe = torch.linspace(-1, 1, _PROBE_ROWS * weight.shape[1], dtype=weight.dtype).reshape(_PROBE_ROWS, -1)
            expected, got = layer(probe).float(), packed(probe).float()
            if activation == "gelu":
                expected = torch.nn.functional.gelu(expected)
    except (AttributeError, RuntimeError, NotImplementedError):  # private operators: another PyTorch may lack them
        return None
    error = float((got - expected).abs().max() / expected.abs().max().clamp_min(1e-9))
    return packed if error < tolerance else None


def pack_linear_layers(model: Any) -> int:
    """Replace a model's linear layers by packed ones, but not its output embedding, whose rows are read.

    Returns:
        How many were replaced.
    """
    import torch

    head, replaced = model.get_output_embeddings(), 0
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear and layer is not head:
                packed = packed_linear(layer)
                if packed is not None:
                    setattr(parent, name, packed)
                    replaced += 1
    return replaced


def _module(weight: Any, bias: Any, activation: str) -> Any:
    import torch

    multiply = torch.ops.mkldnn._linear_pointwise

    class PackedLinear(torch.nn.Module):
        def forward(self, rows: Any) -> Any:
            return multiply(rows, weight, bias, activation, [], "none" if activation == "gelu" else "")

    return PackedLinear()
