"""Programs that multiply two matrices, as MLIR text, and what to multiply. No more than numpy is needed."""

from __future__ import annotations

from typing import Any

import numpy as np

RESULTS = {"f32": "f32", "f16": "f32", "bf16": "f32", "i8": "i32"}
"""The element types of operands, and that of their products."""


def matmul_text(shape: tuple[int, int, int], element: str, *, dynamic: bool = False, constant: Any = None) -> str:
    """A function `main` of linalg that multiplies [M, K] by [K, N]: `shape` is (M, K, N).

    `constant` is the array of the right side, which else is an argument. With `dynamic` only a call knows the sizes.
    """
    m, k, n = ("?" if dynamic else size for size in shape)
    result = RESULTS[element]
    left, right, out = (f"tensor<{a}x{b}x{t}>" for a, b, t in ((m, k, element), (k, n, element), (m, n, result)))
    arguments = f"%lhs: {left}" if constant is not None else f"%lhs: {left}, %rhs: {right}"
    lines = [f"func.func @main({arguments}) -> {out} {{"]
    if constant is not None:
        lines.append(f'%rhs = arith.constant dense<"0x{constant.tobytes().hex().upper()}"> : {right}')
    if dynamic:
        lines += ["%c0 = arith.constant 0 : index", "%c1 = arith.constant 1 : index"]
        lines += [f"%m = tensor.dim %lhs, %c0 : {left}", f"%n = tensor.dim %rhs, %c1 : {right}"]
    lines += [
        f"%zero = arith.constant {'0' if element == 'i8' else '0.0'} : {result}",
        f"%empty = tensor.empty({'%m, %n' if dynamic else ''}) : {out}",
        f"%init = linalg.fill ins(%zero : {result}) outs(%empty : {out}) -> {out}",
        f"%result = linalg.matmul ins(%lhs, %rhs : {left}, {right}) outs(%init : {out}) -> {out}",
        f"return %result : {out}",
        "}",
    ]
    return "\n".join(lines)


def operands(shape: tuple[int, int, int], element: str) -> tuple[Any, Any]:
    """Random left and right sides."""
    m, k, n = shape
    rng = np.random.default_rng(0)
    if element == "i8":
        return rng.integers(-128, 127, (m, k), dtype=np.int8), rng.integers(-128, 127, (k, n), dtype=np.int8)
    if element == "bf16":
        import ml_dtypes

        type: Any = ml_dtypes.bfloat16
    else:
        type = {"f32": np.float32, "f16": np.float16}[element]
    return rng.normal(size=(m, k)).astype(type), rng.normal(size=(k, n)).astype(type)
