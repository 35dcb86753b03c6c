"""Simplifications of single operators, each exact for every input.

A rule takes an operator of its class and returns what takes its place: a value of the same type, new operations of
which the last one's result is meant, or None where it does not apply. `canonicalize` applies them until none does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerType
from xdsl.ir import Operation, SSAValue

from . import dialect as tosa
from .dialect import TosaOp, constant, constant_shape
from .dialect.types import element_of, shape_of, tensor_type
from .numerics import integer_limits
from .tables import tabulate

Replacement: TypeAlias = SSAValue | Sequence[Operation] | None
Rule: TypeAlias = Callable[[Any], Replacement]
_Rule = TypeVar("_Rule", bound=Rule)

RULES: dict[type[TosaOp], list[Rule]] = {}


def rule(*classes: type[TosaOp]) -> Callable[[_Rule], _Rule]:
    """Register a rule for operators of `classes`."""

    def register(function: _Rule) -> _Rule:
        for cls in classes:
            RULES.setdefault(cls, []).append(function)
        return function

    return register


def _is_static(value: SSAValue) -> bool:
    return tensor_type(value).has_static_shape()


def _is_filled(value: SSAValue, number: float) -> bool:
    """Whether `value` is a constant whose elements all equal `number`."""
    array = constant(value)
    return array is not None and bool((array == number).all())


@rule(tosa.IdentityOp)
def remove_identity(op: tosa.IdentityOp) -> Replacement:
    return op.input1


@rule(tosa.CastOp)
def remove_cast_to_own_type(op: tosa.CastOp) -> Replacement:
    return op.input if op.input.type == op.output.type else None


@rule(tosa.ReshapeOp)
def simplify_reshape(op: tosa.ReshapeOp) -> Replacement:
    """A reshape to the same static shape is nothing; of two in a row the last one counts."""
    if op.input1.type == op.output.type and _is_static(op.output):
        return op.input1
    source = op.input1.owner
    if isinstance(source, tosa.ReshapeOp):
        return [tosa.ReshapeOp(source.input1, op.shape, result_types=[op.output.type])]
    return None


@rule(tosa.TransposeOp)
def simplify_transpose(op: tosa.TransposeOp) -> Replacement:
    """Compose two transposes; one that moves only dimensions of extent 1 past others moves no element: a reshape."""
    perms, shape = op.plain("perms"), shape_of(op.input1)
    if perms == tuple(range(len(perms))):
        return op.input1
    source = op.input1.owner
    if isinstance(source, tosa.TransposeOp):
        inner = source.plain("perms")
        composed = [inner[dimension] for dimension in perms]
        return [tosa.TransposeOp(source.input1, perms=composed, result_types=[op.output.type])]
    moved = [dimension for dimension in perms if shape[dimension] != 1]
    if moved == sorted(moved) and _is_static(op.output):
        extents = tosa.ConstShapeOp(shape_of(op.output))
        return [extents, tosa.ReshapeOp(op.input1, extents)]
    return None


@rule(tosa.ConcatOp)
def remove_concat_of_one(op: tosa.ConcatOp) -> Replacement:
    """Operands without elements add nothing; one operand alone is the result."""
    axis = op.plain("axis")
    kept = [value for value in op.input1 if shape_of(value)[axis] != 0]
    if len(kept) == 1:
        return kept[0]
    if kept and len(kept) < len(op.input1):
        return [tosa.ConcatOp(kept, axis=axis, result_types=[op.output.type])]
    return None


@rule(tosa.SliceOp)
def simplify_slice(op: tosa.SliceOp) -> Replacement:
    """A slice of everything is nothing; a slice of a slice is one slice."""
    if op.input1.type == op.output.type and _is_static(op.output):
        return op.input1
    source = op.input1.owner
    if isinstance(source, tosa.SliceOp):
        outer, inner = constant_shape(source.start), constant_shape(op.start)
        if outer is not None and inner is not None:
            start = tosa.ConstShapeOp([first + second for first, second in zip(outer, inner, strict=True)])
            return [start, tosa.SliceOp(source.input1, start, op.size, result_types=[op.output.type])]
    return None


@rule(tosa.PadOp)
def remove_empty_pad(op: tosa.PadOp) -> Replacement:
    padding = constant_shape(op.padding)
    return op.input1 if padding is not None and not any(padding) else None


@rule(tosa.TileOp)
def remove_single_tile(op: tosa.TileOp) -> Replacement:
    multiples = constant_shape(op.multiples)
    return op.input1 if multiples is not None and set(multiples) <= {1} else None


@rule(tosa.ReverseOp)
def remove_reverse_of_one(op: tosa.ReverseOp) -> Replacement:
    return op.input1 if shape_of(op.input1)[op.plain("axis")] == 1 else None


@rule(
    tosa.ReduceAllOp,
    tosa.ReduceAnyOp,
    tosa.ReduceMaxOp,
    tosa.ReduceMinOp,
    tosa.ReduceProductOp,
    tosa.ReduceSumOp,
)
def remove_reduction_of_one(op: tosa.ReduceSumOp) -> Replacement:
    return op.input if shape_of(op.input)[op.plain("axis")] == 1 else None


@rule(tosa.ClampOp)
def merge_clamps(op: tosa.ClampOp) -> Replacement:
    """clamp(clamp(x, a, b), c, d) is one clamp, from clamp(a, c, d) to clamp(b, c, d)."""
    source = op.input.owner
    if not isinstance(source, tosa.ClampOp) or source.nan_mode != op.nan_mode:
        return None
    low, high = op.min_val.value.data, op.max_val.value.data
    least, greatest = (min(max(limit.value.data, low), high) for limit in (source.min_val, source.max_val))
    return [tosa.ClampOp(source.input, least, greatest, op.nan_mode, result_types=[op.output.type])]


@rule(tosa.ClampOp)
def remove_clamp_of_everything(op: tosa.ClampOp) -> Replacement:
    """Limits that no value of the type exceeds; a clamp that ignores NaN replaces it and so does something."""
    element = element_of(op.input)
    if isinstance(op.min_val, FloatAttr):
        everything = op.min_val.value.data == -math.inf and op.max_val.value.data == math.inf
        return op.input if everything and op.nan_mode.data == "PROPAGATE" else None
    return op.input if (op.min_val.value.data, op.max_val.value.data) == integer_limits(element) else None


@rule(tosa.RescaleOp)
def remove_rescale_by_one(op: tosa.RescaleOp) -> Replacement:
    """multiplier / 2**shift == 1 with equal zero points and types maps every value to itself."""
    multiplier, shift = constant(op.multiplier), constant(op.shift)
    input_zp, output_zp = constant(op.input_zp), constant(op.output_zp)
    if multiplier is None or shift is None or input_zp is None or output_zp is None:
        return None
    same_reading = op.input.type == op.output.type and op.plain("input_unsigned") == op.plain("output_unsigned")
    # A multiplier is at most 31 bits wide; a larger shift always scales down.
    by_one = (shift < 31).all() and (multiplier == np.int64(1) << shift.astype(np.int64)).all()
    return op.input if same_reading and by_one and (input_zp == output_zp).all() else None


rule(tosa.RescaleOp, tosa.TableOp, tosa.ClampOp)(tabulate)


@rule(tosa.AddOp, tosa.SubOp)
def remove_zero_term(op: tosa.AddOp) -> Replacement:
    """x - 0 is x. So is x + 0 for integers; in floating point -0 + 0 is +0."""
    integer = isinstance(element_of(op.output), IntegerType)
    if (integer or isinstance(op, tosa.SubOp)) and op.input1.type == op.output.type and _is_filled(op.input2, 0):
        return op.input1
    if integer and isinstance(op, tosa.AddOp) and op.input2.type == op.output.type and _is_filled(op.input1, 0):
        return op.input2
    return None


@rule(tosa.MulOp)
def remove_factor_of_one(op: tosa.MulOp) -> Replacement:
    if not _is_filled(op.shift, 0):
        return None
    for value, factor in ((op.input1, op.input2), (op.input2, op.input1)):
        if value.type == op.output.type and _is_filled(factor, 1):
            return value
    return None


@rule(tosa.SelectOp)
def choose_constant_branch(op: tosa.SelectOp) -> Replacement:
    condition = constant(op.input1)
    if condition is None or not condition.size:
        return None
    for truth, value in ((True, op.input2), (False, op.input3)):
        if value.type == op.output.type and (condition == truth).all():
            return value
    return None


@rule(tosa.NegateOp, tosa.LogicalNotOp, tosa.BitwiseNotOp)
def cancel_double_inversion(op: tosa.NegateOp) -> Replacement:
    """-(-x), not not x and ~~x are x; a quantised negation may saturate and stays."""
    source = op.input1.owner
    if type(source) is not type(op):
        return None
    if isinstance(op, tosa.NegateOp) and isinstance(element_of(op.output), IntegerType):
        return None
    assert isinstance(source, tosa.NegateOp | tosa.LogicalNotOp | tosa.BitwiseNotOp)
    return source.input1


@rule(tosa.AvgPool2DOp, tosa.MaxPool2DOp)
def remove_pool_of_single_elements(op: tosa.AvgPool2DOp | tosa.MaxPool2DOp) -> Replacement:
    """A 1x1 window that visits every element yields it; an integer mean also moves the zero point."""
    if set(op.plain("kernel") + op.plain("stride")) != {1} or any(op.plain("pad")):
        return None
    if isinstance(op, tosa.AvgPool2DOp) and isinstance(element_of(op.input), IntegerType):
        input_zp, output_zp = constant(op.input_zp), constant(op.output_zp)
        if input_zp is None or output_zp is None or (input_zp != output_zp).any():
            return None
    return op.input


@rule(tosa.DimOp)
def resolve_static_dimension(op: tosa.DimOp) -> Replacement:
    extent = shape_of(op.input1)[op.plain("axis")]
    return [tosa.ConstShapeOp([extent])] if extent >= 0 else None
