"""Calls with bound arrays of programs whose sizes are not known, which the host program runs."""

from __future__ import annotations

import numpy as np
import pytest
import tosaic.lowering
import tosaic.tosa
from tosaic.runtime import load
from tosaic.runtime.errors import ArgumentError

DOUBLE = b"""func.func @main(%a: tensor<?xf32>) -> tensor<?xf32> {
  %0 = arith.addf %a, %a : tensor<?xf32>
  return %0 : tensor<?xf32>
}"""


def test_arrays_of_unknown_sizes_are_bound_too() -> None:
    a, doubled = np.arange(5, dtype=np.float32), np.zeros(5, np.float32)
    with load(tosaic.lowering.compile(tosaic.tosa.read(DOUBLE), devices=["cpu:1"])) as program:
        invocation = program.bind([a], [doubled])
        invocation()
        a += 1
        invocation()
        np.testing.assert_array_equal(doubled, 2 * a)
        with pytest.raises(ArgumentError, match="bind an array of the size that it will have"):
            program.bind([a])
        with pytest.raises(ArgumentError, match=r"is float32\[5\], bound is an array of \(4,\)"):
            program.bind([a], [np.zeros(4, np.float32)])()
