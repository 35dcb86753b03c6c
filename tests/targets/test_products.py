"""Products by instructions that take two rows at once (`smmla`, `bfmmla`), under qemu-user: odd rows, any size."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from tosaic.lowering import compile
from tosaic.lowering.target import resolve_target
from tosaic.tosa.text import parse

from .device import run_emulated

SHAPES = [(9, 5, 8), (10, 24, 33), (23, 12, 64), (49, 40, 7)]


def product(m: int, n: int, k: int, operand: str, result: str, values: str) -> str:
    zero = "0" if result == "i32" else "0.0"
    return f"""
func.func @main(%a: tensor<{m}x{k}x{operand}>) -> tensor<{m}x{n}x{result}> {{
  %w = "tosa.const"() <{{values = dense<{values}> : tensor<{k}x{n}x{operand}>}}> : () -> tensor<{k}x{n}x{operand}>
  %zero = arith.constant {zero} : {result}
  %empty = tensor.empty() : tensor<{m}x{n}x{result}>
  %init = linalg.fill ins(%zero : {result}) outs(%empty : tensor<{m}x{n}x{result}>) -> tensor<{m}x{n}x{result}>
  %0 = linalg.matmul ins(%a, %w : tensor<{m}x{k}x{operand}>, tensor<{k}x{n}x{operand}>)
    outs(%init : tensor<{m}x{n}x{result}>) -> tensor<{m}x{n}x{result}>
  return %0 : tensor<{m}x{n}x{result}>
}}
"""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("operand", ["i8", "bf16"])
def test_two_rows_at_once(shape: tuple[int, int, int], operand: str) -> None:
    m, n, k = shape
    rng = np.random.default_rng(k)
    left, right = (rng.integers(-9, 10, size) for size in ((m, k), (k, n)))  # every sum is exact in either type
    dtype, result = (np.int8, "i32") if operand == "i8" else (ml_dtypes.bfloat16, "f32")
    suffix = "" if operand == "i8" else ".0"
    values = str([[f"{value}{suffix}" for value in row] for row in right.tolist()]).replace("'", "")
    target = resolve_target("neoverse-v1")
    assert target.has("i8mm") and target.has("bf16")
    artifact = compile(parse(product(m, n, k, operand, result, values), "product"), devices=["cpu:1"], target=target)
    (step,) = artifact.variants[0].images[0].segments[0].steps
    assert step.description.endswith("x8 i8" if operand == "i8" else "x4 bf16")
    (got,) = run_emulated(artifact, target, [left.astype(dtype)])
    np.testing.assert_array_equal(got, left @ right)
