"""What separates rounding from a forward pass that computes something else."""

from __future__ import annotations

import pytest
import torch

from spark_prox.engines.probes import probe_prompts, probes_differ

pytestmark = pytest.mark.model


def states(dtype: torch.dtype) -> list[torch.Tensor]:
    made = torch.Generator().manual_seed(0)
    return [torch.randn(size, 64, generator=made).to(dtype) for size in (9, 5)]


def test_probes_are_ordinary_tokens_of_any_vocabulary() -> None:
    for vocabulary in (64, 49_152):
        for ids in probe_prompts(vocabulary):
            assert vocabulary / 4 < min(ids) <= max(ids) < vocabulary * 4 / 5


def test_one_state_that_rounding_moved_far_is_no_difference() -> None:
    """As SmolLM2 gives them in bfloat16: most rows 3% off, one a third."""
    expected = states(torch.bfloat16)
    got = [value + value * 0.03 for value in expected]
    got[0][6] *= 1.4
    assert probes_differ(got, expected) is None


def test_what_rounding_is_allowed_is_no_excuse_in_float32() -> None:
    expected = states(torch.float32)
    assert probes_differ([value * 1.001 for value in expected], expected) is None
    assert probes_differ([value * 1.03 for value in expected], expected) == pytest.approx(0.03, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_prompt_that_saw_another_is_found(dtype: torch.dtype) -> None:
    expected = states(dtype)
    got = [expected[0], expected[1] + torch.randn(5, 64).to(dtype)]
    assert (probes_differ(got, expected) or 0) > 0.5


def test_no_number_is_a_difference() -> None:
    expected = states(torch.bfloat16)
    assert probes_differ([expected[0], expected[1] * float("nan")], expected) is not None
