"""Meanings of scalar operations: the bodies of generics evaluated on whole arrays at once, and scalars outside them.

arith is signless: arrays hold the signed value, and the unsigned operations look at the same bits as unsigned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Attribute, Operation

from ...tosa.elements import numpy_dtype
from ...tosa.numerics import apply_scale_32, count_leading_zeros, erf, truncating_divide
from ..dialects.scalar import ApplyScaleOp
from .interpreter import Array, Values, meaning_of


def _unsigned(values: Array) -> Array:
    return values.view(np.dtype(f"u{values.dtype}")) if values.dtype.kind == "i" else values


def _as_unsigned(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    return lambda a, b: function(_unsigned(a), _unsigned(b)).view(a.dtype)


def _ceiling_divide(dividend: Array, divisor: Array) -> Array:
    return -np.floor_divide(-dividend, divisor)


def _round_half_away(values: Array) -> Array:
    return np.trunc(values + np.copysign(np.nextafter(values.dtype.type(0.5), values.dtype.type(0)), values))


_FUNCTIONS: dict[type[Operation], Callable[..., Array]] = {
    arith.AddiOp: np.add,
    arith.SubiOp: np.subtract,
    arith.MuliOp: np.multiply,
    arith.DivSIOp: truncating_divide,
    arith.DivUIOp: _as_unsigned(np.floor_divide),
    arith.FloorDivSIOp: np.floor_divide,
    arith.CeilDivSIOp: _ceiling_divide,
    arith.RemSIOp: np.fmod,
    arith.RemUIOp: _as_unsigned(np.remainder),
    arith.MaxSIOp: np.maximum,
    arith.MinSIOp: np.minimum,
    arith.MaxUIOp: _as_unsigned(np.maximum),
    arith.MinUIOp: _as_unsigned(np.minimum),
    arith.AndIOp: np.bitwise_and,
    arith.OrIOp: np.bitwise_or,
    arith.XOrIOp: np.bitwise_xor,
    arith.ShLIOp: np.left_shift,
    arith.ShRSIOp: np.right_shift,
    arith.ShRUIOp: _as_unsigned(np.right_shift),
    arith.AddfOp: np.add,
    arith.SubfOp: np.subtract,
    arith.MulfOp: np.multiply,
    arith.DivfOp: np.divide,
    arith.NegfOp: np.negative,
    arith.MaximumfOp: np.maximum,
    arith.MinimumfOp: np.minimum,
    arith.MaxnumfOp: np.fmax,
    arith.MinnumfOp: np.fmin,
    arith.SelectOp: np.where,
    math.AbsFOp: np.abs,
    math.AbsIOp: np.abs,
    math.CeilOp: np.ceil,
    math.FloorOp: np.floor,
    math.TruncOp: np.trunc,
    math.RoundOp: _round_half_away,
    math.RoundEvenOp: np.rint,
    math.CountLeadingZerosOp: count_leading_zeros,
    math.CosOp: np.cos,
    math.SinOp: np.sin,
    math.ErfOp: erf,
    math.ExpOp: np.exp,
    math.Exp2Op: np.exp2,
    math.ExpM1Op: np.expm1,
    math.LogOp: np.log,
    math.Log1pOp: np.log1p,
    math.Log2Op: np.log2,
    math.PowFOp: np.power,
    math.RsqrtOp: lambda x: np.reciprocal(np.sqrt(x)),
    math.SqrtOp: np.sqrt,
    math.TanhOp: np.tanh,
    math.FmaOp: lambda a, b, c: a * b + c,
}

_COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_INTEGER_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
_ORDERED_PREDICATES = ("false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord")
_UNORDERED_PREDICATES = ("ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true")

REDUCERS: dict[type[Operation], np.ufunc] = {
    arith.AddiOp: np.add,
    arith.AddfOp: np.add,
    arith.MuliOp: np.multiply,
    arith.MulfOp: np.multiply,
    arith.MaxSIOp: np.maximum,
    arith.MaximumfOp: np.maximum,
    arith.MaxnumfOp: np.fmax,
    arith.MinSIOp: np.minimum,
    arith.MinimumfOp: np.minimum,
    arith.MinnumfOp: np.fmin,
    arith.AndIOp: np.bitwise_and,
    arith.OrIOp: np.bitwise_or,
}
"""The associative operations, which numpy accumulates over whole dimensions in one call."""


@meaning_of(*_FUNCTIONS)
def _arithmetic(operation: Operation, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    return (np.asarray(_FUNCTIONS[type(operation)](*operands)),)


@meaning_of(arith.ConstantOp)
def _constant(operation: arith.ConstantOp, _: Sequence[Array], __: Values) -> Sequence[Array]:
    value: Any = operation.value
    return (np.asarray(value.value.data).astype(numpy_dtype(value.type)),)


@meaning_of(arith.CmpiOp)
def _compare_integers(operation: arith.CmpiOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    predicate = _INTEGER_PREDICATES[operation.predicate.value.data]
    if predicate.startswith("u"):
        operands = [_unsigned(operand) for operand in operands]
    return (np.asarray(_COMPARISONS[predicate[-2:]](*operands)),)


@meaning_of(arith.CmpfOp)
def _compare_floats(operation: arith.CmpfOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    predicate = (*_ORDERED_PREDICATES, *_UNORDERED_PREDICATES)[operation.predicate.value.data]
    if predicate in ("true", "false"):
        return (np.full(np.broadcast_shapes(*(operand.shape for operand in operands)), predicate == "true"),)
    first, second = operands
    unordered = np.isnan(first) | np.isnan(second)
    if predicate in ("ord", "uno"):
        return (np.asarray(unordered if predicate == "uno" else ~unordered),)
    holds = _COMPARISONS[predicate[1:]](first, second)
    return (np.asarray(holds | unordered if predicate[0] == "u" else holds & ~unordered),)


@meaning_of(arith.ExtFOp, arith.TruncFOp, arith.SIToFPOp, arith.FPToSIOp, arith.IndexCastOp)
def _convert(operation: Operation, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    return (operands[0].astype(numpy_dtype(operation.results[0].type)),)


@meaning_of(arith.UIToFPOp, arith.ExtUIOp)
def _convert_unsigned(operation: Operation, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    return (_unsigned(operands[0]).astype(numpy_dtype(operation.results[0].type)),)


@meaning_of(arith.FPToUIOp)
def _convert_to_unsigned(operation: Operation, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    dtype = numpy_dtype(operation.results[0].type)
    return (operands[0].astype(np.uint64).astype(dtype),)


@meaning_of(arith.ExtSIOp)
def _extend(operation: arith.ExtSIOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    extended = operands[0].astype(numpy_dtype(operation.result.type))
    return (-extended if operands[0].dtype == np.bool_ else extended,)  # the sign bit of an i1 is its only bit


@meaning_of(arith.TruncIOp)
def _truncate(operation: arith.TruncIOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    return (wrap(operands[0], operation.result.type),)


@meaning_of(arith.BitcastOp)
def _bitcast(operation: arith.BitcastOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    return (operands[0].view(numpy_dtype(operation.result.type)),)


@meaning_of(ApplyScaleOp)
def _apply_scale(operation: ApplyScaleOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    return (apply_scale_32(*operands, double_round=operation.double_round).astype(np.int32),)


def wrap(values: Array, element_type: Attribute) -> Array:
    """Integers reduced to the low bits of `element_type`, also where its width (i1, i4, i48) is not a dtype's."""
    assert isinstance(element_type, IntegerType)
    width = element_type.width.data
    dtype = numpy_dtype(element_type)
    if width == 1:
        return (values & 1).astype(np.bool_)
    spare = dtype.itemsize * 8 - width
    wrapped = values.astype(dtype)
    return (wrapped << spare) >> spare if spare else wrapped
