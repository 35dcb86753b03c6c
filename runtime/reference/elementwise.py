"""Scalar operations of arith, math and TOSA, on scalars, on tensors and on whole iteration spaces at once.

arith is signless: arrays hold the signed value, and the unsigned operations look at the same bits as unsigned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import numerics
from .evaluator import Array, Scope, evaluate_operation, meaning_of
from .records import Operation, ValueType, width_of

_SIGNED: dict[str, Callable[..., Array]] = {
    "arith.addi": np.add,
    "arith.subi": np.subtract,
    "arith.muli": np.multiply,
    "arith.divsi": numerics.truncating_divide,
    "arith.floordivsi": numerics.floor_divide,
    "arith.ceildivsi": numerics.ceiling_divide,
    "arith.remsi": numerics.remainder,
    "arith.maxsi": np.maximum,
    "arith.minsi": np.minimum,
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "arith.shli": np.left_shift,
    "arith.shrsi": np.right_shift,
    "math.absi": np.abs,
    "math.ipowi": numerics.power,
}

_UNSIGNED: dict[str, Callable[..., Array]] = {
    "arith.divui": np.floor_divide,
    "arith.ceildivui": numerics.ceiling_divide_unsigned,
    "arith.remui": numerics.remainder,
    "arith.maxui": np.maximum,
    "arith.minui": np.minimum,
    "arith.shrui": np.right_shift,
    "math.ctpop": numerics.population,
}

_COUNTS = {"math.ctlz": numerics.leading_zeros, "math.cttz": numerics.trailing_zeros}

_FLOAT: dict[str, Callable[..., Array]] = {
    "arith.addf": np.add,
    "arith.subf": np.subtract,
    "arith.mulf": np.multiply,
    "arith.divf": np.divide,
    "arith.negf": np.negative,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax,
    "arith.minnumf": np.fmin,
    "math.absf": np.abs,
    "math.ceil": np.ceil,
    "math.copysign": np.copysign,
    "math.floor": np.floor,
    "math.fma": numerics.fused_multiply_add,
    "math.isfinite": np.isfinite,
    "math.isinf": np.isinf,
    "math.isnan": np.isnan,
    "math.isnormal": numerics.is_normal,
    "math.round": numerics.round_half_away,
    "math.roundeven": np.rint,
    "math.trunc": np.trunc,
}

_TRANSCENDENTAL: dict[str, Callable[..., Array]] = {
    "math.acos": np.arccos,
    "math.acosh": np.arccosh,
    "math.asin": np.arcsin,
    "math.asinh": np.arcsinh,
    "math.atan": np.arctan,
    "math.atan2": np.arctan2,
    "math.atanh": np.arctanh,
    "math.cbrt": np.cbrt,
    "math.cos": np.cos,
    "math.cosh": np.cosh,
    "math.erf": numerics.erf,
    "math.erfc": numerics.erfc,
    "math.exp": np.exp,
    "math.exp2": np.exp2,
    "math.expm1": np.expm1,
    "math.fpowi": np.power,
    "math.log": np.log,
    "math.log10": np.log10,
    "math.log1p": np.log1p,
    "math.log2": np.log2,
    "math.powf": np.power,
    "math.rsqrt": lambda x: np.reciprocal(np.sqrt(x)),
    "math.sin": np.sin,
    "math.sinh": np.sinh,
    "math.sqrt": np.sqrt,
    "math.tan": np.tan,
    "math.tanh": np.tanh,
}
"""Half precision takes these in f32 and rounds once."""

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

_OPERANDS = {"math.absi": 1, "math.ctpop": 1, "math.fma": 3, "math.copysign": 2, "math.atan2": 2}
_TWO_FLOATS = ("addf", "subf", "mulf", "divf", "maximumf", "minimumf", "maxnumf", "minnumf")
_OPERANDS |= dict.fromkeys(["math.fpowi", "math.powf", *(f"arith.{name}" for name in _TWO_FLOATS)], 2)

INTEGER_FUNCTIONS = {name: _OPERANDS.get(name, 2) for name in (*_SIGNED, *_UNSIGNED)} | dict.fromkeys(_COUNTS, 1)
FLOAT_FUNCTIONS = {name: _OPERANDS.get(name, 1) for name in (*_FLOAT, *_TRANSCENDENTAL)}
"""The operations that are a function of elements, with the number of their operands."""

REDUCERS: dict[str, np.ufunc] = {
    "arith.addi": np.add,
    "arith.addf": np.add,
    "arith.muli": np.multiply,
    "arith.mulf": np.multiply,
    "arith.maxsi": np.maximum,
    "arith.maximumf": np.maximum,
    "arith.maxnumf": np.fmax,
    "arith.minsi": np.minimum,
    "arith.minimumf": np.minimum,
    "arith.minnumf": np.fmin,
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
}
"""The associative operations, which numpy accumulates over whole dimensions in one call (not for i1, see `signed`)."""


def signed(values: Array, width: int) -> Array:
    """The values as signed integers: the only bit of an i1 is its sign."""
    return -values.astype(np.int8) if width == 1 else values


def unsigned(values: Array, width: int) -> Array:
    """The same bits as unsigned integers."""
    if width == 1:
        return values.astype(np.uint8)
    bits = np.asarray(values).view(f"u{values.dtype}")
    return bits & bits.dtype.type((1 << width) - 1) if width < bits.dtype.itemsize * 8 else bits


def wrap(values: Array, type: ValueType) -> Array:
    """Integers reduced to the low bits of `type`, also where its width (i1, i4, i48) is not a dtype's."""
    width = width_of(type.element)
    if width == 1:
        return np.asarray((values & 1).astype(np.bool_))
    wrapped = np.asarray(values.astype(type.dtype, copy=False))
    spare = type.dtype.itemsize * 8 - width
    return (wrapped << spare) >> spare if spare else wrapped


def apply(name: str, type: ValueType, *operands: Array) -> Array:
    """An operation of arith or math on values of one type."""
    operation = Operation(name, (), (), [type], {"element": type.element})
    return np.asarray(evaluate_operation(operation, operands, Scope())[0])


def cast(values: Array, element: str, type: ValueType, zero_extended: bool = False) -> Array:
    """Elements called `element` as those of `type`; integers are signed, or unsigned with `zero_extended`."""
    if element == type.element:
        return values
    integer, wanted = width_of(element), width_of(type.element)
    if integer:
        values = (unsigned if zero_extended else signed)(values, integer)
        return wrap(values, type) if wanted else values.astype(type.dtype)
    if not wanted:
        return values.astype(type.dtype)
    return wrap(values.astype(np.uint64 if zero_extended else np.int64).view(np.int64), type)


@meaning_of(*_SIGNED)
def _signed_arithmetic(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    (type,) = operation.types
    width = width_of(type.element)
    function = _SIGNED[operation.name]
    if width in (8, 16, 32, 64):
        return (np.asarray(function(*operands)),)
    return (wrap(function(*(signed(operand, width) for operand in operands)), type),)


@meaning_of(*_UNSIGNED)
def _unsigned_arithmetic(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    (type,) = operation.types
    width = width_of(type.element)
    return (wrap(np.asarray(_UNSIGNED[operation.name](*(unsigned(operand, width) for operand in operands))), type),)


@meaning_of(*_COUNTS)
def _count_zeros(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    (type,) = operation.types
    width = width_of(type.element)
    return (wrap(np.asarray(_COUNTS[operation.name](unsigned(operands[0], width), width)), type),)


@meaning_of(*_FLOAT)
def _float_arithmetic(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    return (np.asarray(_FLOAT[operation.name](*operands)),)


@meaning_of(*_TRANSCENDENTAL)
def _transcendental(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    dtype = operation.types[0].dtype
    wide = np.float32 if dtype.itemsize == 2 else dtype
    return (np.asarray(_TRANSCENDENTAL[operation.name](*(x.astype(wide, copy=False) for x in operands))).astype(dtype),)


@meaning_of("arith.select")
def _select(_: Operation, operands: Sequence[Array], __: Scope) -> Sequence[Array]:
    return (np.where(*operands),)


@meaning_of("arith.constant", "tosa.const")
def _constant(operation: Operation, _: Sequence[Array], __: Scope) -> Sequence[Array]:
    """`value` is a number, or an array of a dense constant."""
    return (constant(operation.types[0], operation.attributes["value"]),)


def constant(type: ValueType, value: Any) -> Array:
    """A number as the scalar or splat of `type`; an array as it is."""
    if isinstance(value, np.ndarray):
        return value
    # By way of i64, as 255 and true are ways to write the i8 and the i1 of all ones.
    scalar = wrap(np.asarray(value).astype(np.int64), type) if width_of(type.element) else np.asarray(value, type.dtype)
    return scalar if type.shape is None else np.full([size or 0 for size in type.shape], scalar)


@meaning_of("arith.cmpi")
def _compare_integers(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    predicate = _INTEGER_PREDICATES[operation.attributes["predicate"]]
    width = width_of(operation.attributes["element"])
    view = unsigned if predicate.startswith("u") else signed
    return (np.asarray(_COMPARISONS[predicate[-2:]](*(view(operand, width) for operand in operands))),)


@meaning_of("arith.cmpf")
def _compare_floats(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    predicate = (*_ORDERED_PREDICATES, *_UNORDERED_PREDICATES)[operation.attributes["predicate"]]
    if predicate in ("true", "false"):
        return (np.full(np.broadcast_shapes(*(operand.shape for operand in operands)), predicate == "true"),)
    first, second = operands
    unordered = np.isnan(first) | np.isnan(second)
    if predicate in ("ord", "uno"):
        return (np.asarray(unordered if predicate == "uno" else ~unordered),)
    holds = _COMPARISONS[predicate[1:]](first, second)
    return (np.asarray(holds | unordered if predicate[0] == "u" else holds & ~unordered),)


_ZERO_EXTENDING = frozenset({"arith.uitofp", "arith.fptoui", "arith.extui", "arith.index_castui"})


@meaning_of(
    *("arith.extf", "arith.truncf", "arith.sitofp", "arith.fptosi", "arith.extsi", "arith.trunci", "arith.index_cast"),
    *_ZERO_EXTENDING,
)
def _cast(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    zero_extended = operation.name in _ZERO_EXTENDING
    return (cast(operands[0], operation.attributes["element"], operation.types[0], zero_extended),)


@meaning_of("arith.bitcast", "tensor.bitcast")
def _bitcast(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    return (np.asarray(operands[0]).view(operation.types[0].dtype),)


@meaning_of("arith.addui_extended")
def _add_with_carry(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    width = width_of(operation.types[0].element)
    first, second = (unsigned(operand, width) for operand in operands)
    total = unsigned(wrap(first + second, operation.types[0]), width)
    return wrap(total, operation.types[0]), np.asarray(total < first)


@meaning_of("arith.mulsi_extended", "arith.mului_extended")
def _multiply_extended(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    width = width_of(operation.types[0].element)
    view = signed if operation.name == "arith.mulsi_extended" else unsigned
    first, second = (view(operand, width).astype(object) for operand in operands)
    product = np.asarray(first * second, dtype=object)
    mask = (1 << width) - 1
    halves = (np.asarray(part & mask, dtype=object) for part in (product, product >> width))
    return [wrap(half.astype(np.uint64), type) for half, type in zip(halves, operation.types, strict=True)]


@meaning_of("tosa.apply_scale")
def _apply_scale(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    scaled = numerics.apply_scale_32(*operands, double_round=operation.attributes["double_round"])
    return (scaled.astype(np.int32),)
