"""Running the hand-written programs of this folder: each is compiled once, its functions are called with arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import tosaic.lowering
import tosaic.tosa
from tosaic.runtime import Program, load

Array: TypeAlias = np.ndarray[Any, Any]

FOLDER = Path(__file__).parent

SIZES = (0, 1, 2, 7, 16, 33, 65)
"""Extents that no tile divides, and those that are nothing or one."""

DTYPES = {
    **{name: np.dtype(name) for name in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "bool")},
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


DEVICES = os.environ.get("TOSAIC_TEST_DEVICES", "cpu:2").split(",")
"""Where the programs run; what holds of them holds on every device."""


@cache
def program(name: str) -> Program:
    """The program in `NAME.mlir`, compiled for DEVICES."""
    module = tosaic.tosa.read(FOLDER / f"{name}.mlir")
    return load(tosaic.lowering.compile(module, devices=DEVICES))


def call(name: str, function: str, *inputs: Any) -> list[Array]:
    """The results of a function of `NAME.mlir`."""
    return program(name).function(function).run([np.asarray(value) for value in inputs])


def shapes(rank: int, count: int, seed: int) -> list[tuple[int, ...]]:
    """Shapes of `rank` dimensions drawn from SIZES; the first are all zeros and all ones."""
    rng = np.random.default_rng(seed)
    drawn = [tuple(int(size) for size in rng.choice(SIZES, rank)) for _ in range(count - 2)]
    return [(0,) * rank, (1,) * rank, *drawn]


def integers(*shape: int, dtype: Any = np.float32, seed: int = 0) -> Array:
    """Small whole numbers, of which sums and products are exact in every type and in any order."""
    low, high = (0, 2) if np.dtype(dtype) == np.bool_ else (-3, 4)
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype(dtype)


def assert_equal(got: Sequence[Array], expected: Sequence[Array]) -> None:
    """Element types, shapes and elements are those expected, exactly."""
    assert len(got) == len(expected)
    for index, (have, want) in enumerate(zip(got, expected, strict=True)):
        assert have.dtype == want.dtype, f"result {index}"
        np.testing.assert_array_equal(have, want, err_msg=f"result {index}", strict=True)
