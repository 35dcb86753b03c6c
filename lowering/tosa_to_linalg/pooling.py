"""Pooling (TOSA 1.0, sections 2.2.1 and 2.2.9)."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, IntegerType, i32
from xdsl.ir import Attribute, SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, is_float, shape_of
from ...tosa.elements import numpy_dtype
from ..dialects.linalg import PoolingNhwcMaxOp, PoolingNhwcSumOp, affine_map, dims
from .body import Body
from .builder import Builder, CannotLower, Mapped, constant_scalar
from .elementwise import saturate
from .registry import lowers
from .windows import untrimmed


@lowers(tosa.MaxPool2DOp)
def _max_pool(op: tosa.MaxPool2DOp, b: Builder) -> SSAValue:
    element = element_of(op.input)
    least = least_value(element)
    source = untrimmed(op)
    if is_float(element) and op.plain("nan_mode") == "IGNORE":
        source = b.elementwise([source], shape_of(source), element, lambda b, x: b.maximum(x, b.like(least, x), True))
    return _pool(PoolingNhwcMaxOp, op, b, source, least, element)


@lowers(tosa.AvgPool2DOp)
def _avg_pool(op: tosa.AvgPool2DOp, b: Builder) -> SSAValue:
    """The sum of each window divided by the number of its elements that are not padding.

    Padding is with the zero point, so that each window of k taps sums to k * input_zp more than its differences.
    """
    shape, element = shape_of(op.output), element_of(op.output)
    input_zp, output_zp = constant_scalar(op.input_zp, "input_zp"), constant_scalar(op.output_zp, "output_zp")
    accumulator = i32 if isinstance(element, IntegerType) else op.acc_type
    sums = _pool(PoolingNhwcSumOp, op, b, untrimmed(op), input_zp, accumulator)
    counts = _window_counts(op)
    if is_float(element):
        divisors = _per_position(b, counts.astype(numpy_dtype(accumulator)))

        def divide(b: Body, total: SSAValue, count: SSAValue) -> SSAValue:
            return b.narrow(b.divide(total, count), element)

        return b.elementwise([sums, divisors], shape, element, divide)

    bias = int(np.prod(op.plain("kernel"))) * input_zp
    multipliers, shifts = zip(*(reciprocal_scale(int(count)) for count in counts.flat), strict=True)
    scales = [
        _per_position(b, np.array(values, dtype).reshape(counts.shape))
        for values, dtype in ((multipliers, np.int32), (shifts, np.int8))
    ]

    def scale(b: Body, total: SSAValue, multiplier: SSAValue, shift: SSAValue) -> SSAValue:
        differences = b.sub(total, b.constant(bias, i32)) if bias else total
        mean = b.apply_scale(differences, multiplier, shift, "SINGLE_ROUND")
        return saturate(b, b.add(mean, b.constant(output_zp, i32)) if output_zp else mean, element)

    return b.elementwise([sums, *scales], shape, element, scale)


def _pool(
    kind: type[PoolingNhwcMaxOp | PoolingNhwcSumOp],
    op: tosa.MaxPool2DOp | tosa.AvgPool2DOp,
    b: Builder,
    source: SSAValue,
    filler: int | float,
    accumulator: Attribute,
) -> SSAValue:
    """Pools `source`, padded with `filler`, onto zeros (sums) or `filler` (maxima)."""
    shape = shape_of(op.output)
    if DYNAMIC_INDEX in shape[1:]:
        raise CannotLower("its spatial extents and channels must be static: give all shapes with --shape")
    top, bottom, left, right = op.plain("pad")
    padded = b.pad(source, [0, top, left, 0], [0, bottom, right, 0], filler)
    window = b.empty(op.plain("kernel"), accumulator)
    start = filler if kind is PoolingNhwcMaxOp else 0
    init = b.full(start, shape, accumulator, {0: (padded, 0)})
    return b.insert(kind(padded, window, init, strides=op.plain("stride"))).result


def _window_counts(op: tosa.AvgPool2DOp) -> np.ndarray:
    """How many elements of each window [OH, OW] lie inside the image; [1, 1] where that is the same for all."""
    pad, kernel, stride = op.plain("pad"), op.plain("kernel"), op.plain("stride")
    if not any(pad):
        return np.array([[kernel[0] * kernel[1]]])
    extents, results = shape_of(op.input)[1:3], shape_of(op.output)[1:3]
    if DYNAMIC_INDEX in (*extents, *results):
        raise CannotLower("its spatial extents must be static: give all shapes with --shape")
    per_axis = []
    for axis in (0, 1):
        begin = np.arange(results[axis]) * stride[axis] - pad[2 * axis]
        per_axis.append(np.minimum(begin + kernel[axis], extents[axis]) - np.maximum(begin, 0))
    return np.outer(*per_axis)


def _per_position(b: Builder, values: np.ndarray) -> SSAValue | Mapped:
    """A scalar, or a constant [OH, OW] that is read at the position of the window."""
    _, oh, ow, _ = dims(4)
    value = b.constant(values)
    return value if values.size == 1 else (value, affine_map(4, oh, ow))


def reciprocal_scale(count: int) -> tuple[int, int]:
    """Multiplier and shift by which `tosa.apply_scale` divides by `count` (TOSA 1.0, section 1.8)."""
    bits = (count - 1).bit_length()
    return (((1 << 30) + 1) << bits) // count, 30 + bits


def least_value(element: Attribute) -> int | float:
    """What every other value of the type is at least: where a maximum starts."""
    if isinstance(element, IntegerType):
        return -(1 << (element.width.data - 1))
    return float("-inf")
