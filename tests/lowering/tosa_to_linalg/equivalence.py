"""Runs one operator before and after tosa-to-linalg, on the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tosaic.lowering import tosa_to_linalg
from tosaic.lowering.meaning import evaluate
from tosaic.tosa import dialect as tosa
from tosaic.tosa.elements import element_type_of
from tosaic.tosa.interpreter import evaluate as evaluate_tosa
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Constant:
    """An operand that is a `tosa.const` rather than an argument of the function."""

    array: Array


def constant(value: Any, dtype: Any) -> Constant:
    return Constant(np.array(value, dtype))


def zero_point(value: int, dtype: Any) -> Constant:
    return Constant(np.array([value], dtype))


def shape(*extents: int) -> Operation:
    """A `!tosa.shape` operand."""
    return tosa.ConstShapeOp(extents)


def build(operands: Sequence[Array | Constant | Operation], make: Callable[..., Operation]) -> ModuleOp:
    """A module whose function `main` returns the results of `make(*values)`.

    An array is an argument of `main`; `make` may return an operator whose operands are other new ones.
    """
    arguments = [operand for operand in operands if isinstance(operand, np.ndarray)]
    types = [TensorType(element_type_of(array.dtype), array.shape) for array in arguments]
    function = FuncOp("main", (types, []))
    block = function.body.block
    remaining = iter(block.args)
    values: list[SSAValue] = []
    for operand in operands:
        if isinstance(operand, np.ndarray):
            values.append(next(remaining))
            continue
        operation = tosa.ConstOp(operand.array) if isinstance(operand, Constant) else operand.clone()
        block.add_op(operation)
        values.append(operation.results[0])
    _insert(block, make(*values))
    last = block.last_op
    assert last is not None
    block.add_op(ReturnOp(*last.results))
    function.update_function_type()
    module = ModuleOp([function])
    module.verify()
    return module


def _insert(block: Any, operation: Operation) -> None:
    for operand in operation.operands:
        if isinstance(operand.owner, Operation) and operand.owner.parent is None:
            _insert(block, operand.owner)
    block.add_op(operation)


def lowered(module: ModuleOp) -> ModuleOp:
    clone = module.clone()
    tosa_to_linalg.run(clone)
    clone.verify()
    left = [op.name for op in clone.walk() if op.name.startswith("tosa.")]
    assert set(left) <= {"tosa.const", "tosa.apply_scale"}, left
    return clone


def inputs_of(operands: Sequence[Array | Constant | Operation]) -> list[Array]:
    return [operand for operand in operands if isinstance(operand, np.ndarray)]


def check_exact(operands: Sequence[Array | Constant | Operation], make: Callable[..., Operation]) -> ModuleOp:
    """Both forms must give equal results, NaN for NaN; returns the lowered module."""
    module = build(operands, make)
    after = lowered(module)
    for expected, actual in zip(
        evaluate_tosa(module, "main", inputs_of(operands)), evaluate(after, "main", inputs_of(operands)), strict=True
    ):
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)
    return after


def check_ulps(
    operands: Sequence[Array | Constant | Operation], make: Callable[..., Operation], ulps: float
) -> ModuleOp:
    """The lowered form must be within `ulps` units in the last place of the operator evaluated in f64."""
    module = build(operands, make)
    after = lowered(module)
    for exact, actual in zip(
        evaluate_tosa(module, "main", inputs_of(operands), float64=True),
        evaluate(after, "main", inputs_of(operands)),
        strict=True,
    ):
        rounded = exact.astype(actual.dtype)
        unit = np.spacing(np.abs(rounded)).astype(np.float64)
        same = (exact == actual) | (np.isnan(exact) & np.isnan(actual)) | (rounded == actual)
        with np.errstate(invalid="ignore"):
            wrong = ~same & ~(np.abs(actual.astype(np.float64) - exact) <= ulps * unit)
        assert not wrong.any(), f"{actual[wrong][:5]} for {exact[wrong][:5]}"
    return after


def check_sum(operands: Sequence[Array | Constant | Operation], make: Callable[..., Operation], terms: int) -> ModuleOp:
    """For an operator that sums `terms` products: |error| <= (terms + 1) * 2**-24 * sum |product|, whatever the order.

    That is the standard bound of a recursive sum (Higham, Accuracy and Stability, section 3.1), in f32; the sum of
    magnitudes is the same operator on magnitudes. A half-precision result is rounded once more.
    """
    module = build(operands, make)
    magnitudes = [Constant(np.abs(part.array)) if isinstance(part, Constant) else part for part in operands]
    magnitudes = [np.abs(part) if isinstance(part, np.ndarray) else part for part in magnitudes]
    after = lowered(module)
    exact = evaluate_tosa(module, "main", inputs_of(operands), float64=True)
    scale = evaluate_tosa(build(magnitudes, make), "main", inputs_of(magnitudes), float64=True)
    for reference, magnitude, actual in zip(exact, scale, evaluate(after, "main", inputs_of(operands)), strict=True):
        bound = (terms + 1) * 2.0**-24 * magnitude
        if actual.dtype != np.float32:
            bound = bound + np.spacing(np.abs(reference).astype(actual.dtype)).astype(np.float64)
        assert (np.abs(actual.astype(np.float64) - reference) <= bound).all()
    return after


def names(module: ModuleOp) -> list[str]:
    """The names of the operations of a module, without its function and the bodies of generics."""
    (function,) = module.ops
    return [op.name for op in function.regions[0].block.ops]


seeds = st.integers(0, 2**32 - 1)


def floats(seed: int, *extents: int, dtype: Any = np.float32) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(extents)).astype(dtype)


def integers(seed: int, dtype: Any, *extents: int) -> Array:
    limits = np.iinfo(dtype)
    return np.asarray(np.random.default_rng(seed).integers(limits.min, limits.max, extents, dtype, endpoint=True))
