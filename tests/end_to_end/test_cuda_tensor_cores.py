"""Whole programs whose products run on emulated tensor cores, of sizes that only a call knows and in each precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tosaic.lowering
import tosaic.runtime
from tosaic.runtime.artifact import Artifact
from tosaic.tosa.text import parse

_PRODUCT = """
device.declare @gpu = "cuda-emulator@{capability}"
func.func @main(%a: tensor<?x?x{element}>, %b: tensor<?x?x{element}>) -> tensor<?x?x{sums}> {{
  %zero = arith.constant {zero} : {sums}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %a, %c0 : tensor<?x?x{element}>
  %n = tensor.dim %b, %c1 : tensor<?x?x{element}>
  %empty = tensor.empty(%m, %n) : tensor<?x?x{sums}>
  %init = linalg.fill ins(%zero : {sums}) outs(%empty : tensor<?x?x{sums}>) -> tensor<?x?x{sums}>
  %product = linalg.matmul ins(%a, %b : tensor<?x?x{element}>, tensor<?x?x{element}>)
    outs(%init : tensor<?x?x{sums}>) -> tensor<?x?x{sums}>
  return %product : tensor<?x?x{sums}>
}}
"""


def _product(capability: str, element: str, sums: str, zero: str, precision: str | None = None) -> Artifact:
    text = _PRODUCT.format(capability=capability, element=element, sums=sums, zero=zero)
    return tosaic.lowering.compile(parse(text, "product"), precision=precision)


def _sides(dtype: Any, sizes: tuple[int, int, int]) -> list[Any]:
    rng, (m, n, k) = np.random.default_rng(0), sizes
    return [(20 * rng.standard_normal(shape)).astype(dtype) for shape in ((m, k), (k, n))]


SIZES = [(16, 32, 16), (70, 33, 50), (1, 5, 7), (0, 3, 4), (3, 4, 0), (33, 65, 129)]


@pytest.mark.parametrize("capability", ["sm_75", "sm_80"])
def test_bytes_of_any_size(capability: str) -> None:
    with tosaic.runtime.load(_product(capability, "i8", "i32", "0")) as program:
        for sizes in SIZES:
            a, b = _sides(np.int8, sizes)
            np.testing.assert_array_equal(program.run([a, b])[0], a.astype(np.int32) @ b.astype(np.int32))


@pytest.mark.parametrize(
    ("element", "dtype", "precision", "unit"),
    [
        ("f16", np.float16, None, 0.0),
        ("f32", np.float32, "tf32", 2.0**-11),
        ("f32", np.float32, "bf16", 2.0**-8),
    ],
)
def test_floats_of_any_size(element: str, dtype: Any, precision: str | None, unit: float) -> None:
    with tosaic.runtime.load(_product("sm_80", element, "f32", "0.0", precision)) as program:
        for sizes in SIZES:
            a, b = _sides(dtype, sizes)
            wide = [side.astype(np.float64) for side in (a, b)]
            # Both sides are rounded by a relative `unit` at most, the sums of k products by k times f32's.
            relative = 2 * unit + unit**2 + sizes[2] * np.finfo(np.float32).eps
            error = np.abs(program.run([a, b])[0] - wide[0] @ wide[1])
            assert np.all(error <= relative * (np.abs(wide[0]) @ np.abs(wide[1])))
            if unit and sizes == SIZES[1]:
                assert error.max() > unit / 16  # it was rounded
