"""Scalar arithmetic of the TOSA 1.0 specification on numpy arrays: for operators and for kernels."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import IntegerType, Signedness
from xdsl.ir import Attribute

from ..runtime.reference.numerics import apply_scale_32 as apply_scale_32
from ..runtime.reference.numerics import erf as erf
from ..runtime.reference.numerics import leading_zeros
from ..runtime.reference.numerics import truncating_divide as truncating_divide

Array: TypeAlias = np.ndarray[Any, Any]


def integer_limits(type: Attribute, unsigned: bool = False) -> tuple[int, int]:
    """The least and greatest value of an integer type of any width."""
    assert isinstance(type, IntegerType)
    width = type.width.data
    if unsigned or type.signedness.data == Signedness.UNSIGNED:
        return 0, (1 << width) - 1
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def saturate(values: Array, type: Attribute, unsigned: bool = False) -> Array:
    """`values` limited to the range of `type`; the dtype stays."""
    return np.clip(values, *integer_limits(type, unsigned))


def clamp(values: Array, low: float, high: float, ignore_nan: bool = False) -> Array:
    """min(max(values, low), high); a NaN stays, or becomes `low` where NaN is ignored."""
    lower, upper = values.dtype.type(low), values.dtype.type(high)
    if ignore_nan:
        return np.fmin(np.fmax(values, lower), upper)
    return np.minimum(np.maximum(values, lower), upper)


def sigmoid(values: Array) -> Array:
    """1 / (1 + exp(-x)), by the branch whose exponential cannot overflow."""
    decay = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + decay), decay / (1 + decay)).astype(values.dtype)


def count_leading_zeros(values: Array) -> Array:
    """Leading zero bits of i32 values; 32 for 0."""
    return leading_zeros(values.view(np.uint32), 32).astype(np.int32)


def table_lookup(values: Array, table: Array) -> Array:
    """TOSA 1.0: a 256-entry table for i8; for i16 a 513-entry one, interpolated with 7 fraction bits to i32."""
    if values.dtype == np.int8:
        return table[values.astype(np.int32) + 128]
    wide = values.astype(np.int32)
    index, fraction = (wide >> 7) + 256, wide & 0x7F
    base = table[index].astype(np.int32)
    slope = table[index + 1].astype(np.int32) - base
    return (base << 7) + slope * fraction


def reciprocal_scale(counts: Array) -> tuple[Array, Array]:
    """TOSA 1.0: the multiplier and shift for `apply_scale_32` that divide by `counts`, each at least 1."""
    bits = 32 - count_leading_zeros((counts - 1).astype(np.int32)).astype(np.int64)
    numerator = np.int64((1 << 30) + 1) << bits
    return numerator // counts, 30 + bits


def apply_scale_16(values: Array, multiplier: Array, shift: Array) -> Array:
    """TOSA 1.0: the same for i48 values and a 16-bit multiplier; the product fits in 63 bits."""
    values, multiplier, shift = (operand.astype(np.int64) for operand in (values, multiplier, shift))
    return (values * multiplier + (np.int64(1) << (shift - 1))) >> shift
