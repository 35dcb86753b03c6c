"""NVIDIA's assembler takes every kind of dispatch, spills nothing, and needs no more than it did."""

from __future__ import annotations

import pytest

from .ptxas import version
from .usage import CAPABILITIES, golden, measure


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_no_kernel_spills(capability: str) -> None:
    spilling = {name: str(usage) for name, usage in measure(capability).items() if usage.spilled}
    assert not spilling


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_no_kernel_needs_more_than_it_did(capability: str) -> None:
    """Where one has to, `python -m tests.cuda.usage` writes the golden anew, and the commit says why."""
    assembler, before = golden()
    if assembler != version():
        pytest.skip(f"the golden is of ptxas {assembler}, this is {version()}")
    now = measure(capability)
    assert now.keys() == before[capability].keys()
    worse = {
        name: f"{usage}; it was {before[capability][name]}"
        for name, usage in now.items()
        if not usage.no_worse_than(before[capability][name])
    }
    assert not worse
