"""Kernels for a GPU use its memory as they did, or better: whole sectors, and banks of their own."""

from __future__ import annotations

import pytest

from .traffic import golden, measure, worse
from .usage import CAPABILITIES


@pytest.mark.parametrize(
    "capability", [pytest.param(each, marks=[pytest.mark.slow] if each != "sm_80" else []) for each in CAPABILITIES]
)
def test_no_kernel_moves_more_than_it_did(capability: str) -> None:
    """Where one has to, `python -m tests.cuda.traffic` writes the golden anew, and the commit says why."""
    before, now = golden()[capability], measure(capability)
    assert now.keys() == before.keys()
    moved = {name: f"{now[name]}; it was {before[name]}" for name in now if worse(now[name], before[name])}
    assert not moved


@pytest.mark.parametrize("name", ["matmul_bf16/0", "matmul_i8/0", "convolution_f32/0", "attention_bf16/3"])
def test_fragments_are_whole_sectors_and_meet_no_bank_twice(name: str) -> None:
    """What operands of tensor cores and of CUDA cores are laid out for."""
    traffic = measure("sm_80")[name]
    assert traffic.sectors == traffic.fewest_sectors > 0
    assert traffic.wavefronts == traffic.fewest_wavefronts > 0
