from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.tosa import dialect as tosa

from .equivalence import check_exact, check_sum, check_ulps, floats, integers, names, seeds

extents = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None)
@given(extents, st.integers(0, 3), seeds)
def test_reductions(shape: list[int], axis: int, seed: int) -> None:
    axis %= len(shape)
    numbers, integral, truths = floats(seed, *shape), integers(seed, np.int32, *shape), floats(seed, *shape) > 0
    for operator in (tosa.ReduceMaxOp, tosa.ReduceMinOp):
        check_exact([numbers], lambda x, operator=operator: operator(x, axis=axis))
        check_exact([integral], lambda x, operator=operator: operator(x, axis=axis))
    for operator in (tosa.ReduceAllOp, tosa.ReduceAnyOp):
        check_exact([truths], lambda x, operator=operator: operator(x, axis=axis))
    check_exact([integral], lambda x: tosa.ReduceSumOp(x, axis=axis))
    check_sum([numbers], lambda x: tosa.ReduceSumOp(x, axis=axis), shape[axis])
    check_ulps([numbers], lambda x: tosa.ReduceProductOp(x, axis=axis), shape[axis])
    check_exact([numbers], lambda x: tosa.ArgMaxOp(x, axis=axis))
    check_exact([integral % 3], lambda x: tosa.ArgMaxOp(x, axis=axis))


@pytest.mark.parametrize("mode", ["PROPAGATE", "IGNORE"])
@pytest.mark.parametrize("operator", [tosa.ReduceMaxOp, tosa.ReduceMinOp, tosa.ArgMaxOp])
def test_nan(operator: Any, mode: str) -> None:
    numbers = floats(1, 6, 7)
    numbers[1, 2] = numbers[2, 0] = numbers[3, 6] = np.nan
    numbers[4] = -np.inf
    check_exact([numbers], lambda x: operator(x, axis=1, nan_mode=mode))


@pytest.mark.parametrize("operator", [tosa.ReduceMaxOp, tosa.ReduceMinOp])
def test_the_extremum_of_nothing_but_nan_is_nan(operator: Any) -> None:
    check_exact([np.full((2, 3), np.nan, np.float32)], lambda x: operator(x, axis=1, nan_mode="IGNORE"))


def test_the_first_greatest_element_wins() -> None:
    check_exact([np.array([[3, 7, 7], [-(2**31)] * 3], np.int32)], lambda x: tosa.ArgMaxOp(x, axis=1))


def test_half_precision_sums_accumulate_in_f32() -> None:
    check_sum([floats(2, 4, 3000, dtype=np.float16)], lambda x: tosa.ReduceSumOp(x, axis=1), 3000)


def test_successive_reductions_become_one() -> None:
    """A global mean sums over height, then over width."""
    numbers = integers(3, np.int32, 2, 5, 6, 3) >> 8
    after = check_exact([numbers], lambda x: tosa.ReduceSumOp(tosa.ReduceSumOp(x, axis=1), axis=2))
    assert names(after).count("linalg.generic") == 1


def test_reductions_of_different_kinds_stay_apart() -> None:
    numbers = integers(4, np.int32, 2, 5, 6) >> 8
    after = check_exact([numbers], lambda x: tosa.ReduceMaxOp(tosa.ReduceSumOp(x, axis=1), axis=2))
    assert names(after).count("linalg.generic") == 2


def test_the_reduced_dimension_needs_no_reshape() -> None:
    after = check_exact([floats(5, 4, 5)], lambda x: tosa.ReduceMaxOp(x, axis=1))
    assert names(after) == ["arith.constant", "tensor.empty", "linalg.fill", "linalg.generic", "func.return"]
