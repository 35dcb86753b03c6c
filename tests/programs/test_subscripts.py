"""Subscripts with divisions, paddings of any amount, and floats told apart, against numpy; what is wrong is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tosaic.runtime.errors import ArgumentError

from .programs import call


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5, 33), (2, 0)])
def test_rows_repeat(shape: tuple[int, int]) -> None:
    a = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    (result,) = call("subscripts", "doubled_rows", a)
    np.testing.assert_array_equal(result, np.repeat(a, 2, 0))


@pytest.mark.parametrize("size", [0, 1, 6, 33])
def test_a_third_as_many_elements(size: int) -> None:
    a = np.arange(-(-size // 3), dtype=np.float32)
    (result,) = call("subscripts", "thirds", a, np.zeros(size, np.float32))
    np.testing.assert_array_equal(result, np.repeat(a, 3)[:size])


def test_a_subscript_outside_of_the_tensor_is_told() -> None:
    with pytest.raises(ArgumentError, match="reads index 2 of dimension 0 of operand 0, whose size is 2"):
        call("subscripts", "thirds", np.zeros(2, np.float32), np.zeros(7, np.float32))


def test_padding() -> None:
    (result,) = call("subscripts", "padded", np.arange(4, dtype=np.float32), np.asarray(3))
    np.testing.assert_array_equal(result, [0, 0, 0, 0, 1, 2, 3])
    with pytest.raises(ArgumentError, match="the padding -2 is less than 0"):
        call("subscripts", "padded", np.arange(4, dtype=np.float32), np.asarray(-2))


def test_what_is_no_number_and_the_complement_of_the_error_function() -> None:
    x = np.array([0.0, np.nan, -1.5, 4.0, np.inf], np.float32)
    nans, complements = call("subscripts", "classified", x)
    np.testing.assert_array_equal(nans, np.isnan(x))
    np.testing.assert_allclose(complements, [math.erfc(value) for value in x], rtol=2.0**-22)
