"""A short run of the fuzzer of formats; CONTRIBUTING.md tells the long one."""

from __future__ import annotations

import pytest

from .formats import FORMATS, mutants, outcome


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused(name: str) -> None:
    """`outcome` raises whatever is no TosaicError of one line, and where the time limit is exceeded."""
    format = FORMATS[name]
    assert {outcome(format, make()) for _, make in mutants(format, 60, seed=0)} >= {"read", "MalformedFileError"}


@pytest.mark.parametrize("name", FORMATS)
def test_seeds_are_read(name: str) -> None:
    assert {outcome(FORMATS[name], seed) for seed in FORMATS[name].seeds()} == {"read"}
