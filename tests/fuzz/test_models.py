"""A short run of the fuzzer; CONTRIBUTING.md tells the long one."""

from __future__ import annotations

import pytest

from .models import mutants, outcome, seed_models


@pytest.mark.parametrize("seed", range(4))
def test_mutants_import_or_are_refused(seed: int) -> None:
    """`outcome` raises whatever is no TosaicError, and where the time limit is exceeded."""
    outcomes = {outcome(mutant) for _, mutant in mutants(seed_models(), 100, seed)}
    assert {"imported", "MalformedFileError"} <= outcomes


def test_seed_models_import() -> None:
    assert {outcome(model) for model in seed_models()} == {"imported"}
