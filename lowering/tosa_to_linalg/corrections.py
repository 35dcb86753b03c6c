"""What follows a contraction: zero-point corrections, bias and the rounding to the type of the result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ...tosa.dialect import constant
from ...tosa.dialect.types import element_of, shape_of
from ..dialects.linalg import PoolingNhwcSumOp, affine_map, dims
from .body import Body
from .builder import Builder, Mapped, last_dim_map
from .reshape import reshape


def accumulator_type(element: Attribute, acc_type: Attribute) -> Attribute:
    """Integers accumulate in the type of the result (i32 or i48), floats as `acc_type` says."""
    return element if isinstance(element, IntegerType) else acc_type


def sum_over(b: Builder, value: SSAValue, kept: Sequence[int], element: Attribute) -> SSAValue:
    """The sums of an integer tensor over all dimensions but `kept`, in `element`."""
    shape = shape_of(value)
    space = dims(len(shape))
    total = b.full(0, [shape[dim] for dim in kept], element, {i: (value, dim) for i, dim in enumerate(kept)})
    output = (total, AffineMap(len(shape), 0, tuple(space[dim] for dim in kept)))
    reduced = [dim for dim in range(len(shape)) if dim not in kept]

    def body(b: Body, x: SSAValue, accumulator: SSAValue) -> SSAValue:
        return b.add(accumulator, b.widen(x, element))

    return b.generic([(value, AffineMap.identity(len(shape)))], [output], reduced, body)[0]


def window_sums(
    b: Builder,
    image: SSAValue,
    kernel: Sequence[int],
    shape: Sequence[int],
    element: Attribute,
    windows: Mapping[str, Sequence[int]],
) -> SSAValue:
    """The sum of each window of each channel of `image`: what the weight zero point of a depthwise convolution meets.

    `shape` begins with the batch and the spatial extents of the result; `windows` are the strides and dilations.
    """
    init = b.full(0, [*shape[:3], shape_of(image)[3]], element, {0: (image, 0)})
    return b.insert(PoolingNhwcSumOp(image, b.empty(kernel, element), init, **windows)).result


def pixel_sums(
    b: Builder,
    image: SSAValue,
    kernel: Sequence[int],
    shape: Sequence[int],
    element: Attribute,
    windows: Mapping[str, Sequence[int]],
) -> Mapped:
    """The sum of each window over all channels, read for each output channel: `window_sums` for a convolution."""
    channels = reshape(b, sum_over(b, image, [0, 1, 2], element), [*shape_of(image)[:3], 1])
    n, oh, ow, _ = dims(4)
    return window_sums(b, channels, kernel, shape, element, windows), affine_map(4, n, oh, ow, AffineExpr.constant(0))


def affine(b: Builder, sums: SSAValue, factor: int, offset: int, addend: SSAValue | None = None) -> SSAValue:
    """sums * factor + offset (+ addend, which may broadcast), element-wise."""
    shape, element = shape_of(sums), element_of(sums)

    def body(b: Body, x: SSAValue, *rest: SSAValue) -> SSAValue:
        scaled = b.mul(x, b.constant(factor, element)) if factor != 1 else x
        for term in rest:
            scaled = b.add(scaled, term)
        return b.add(scaled, b.constant(offset, element)) if offset else scaled

    return b.elementwise([sums, *([] if addend is None else [addend])], shape, element, body)


def corrected_bias(
    b: Builder, bias: SSAValue, weight: SSAValue, channel_dims: Sequence[int], input_zp: int, weight_zp: int
) -> SSAValue:
    """The bias with what the input zero point contributes: bias - input_zp * sum(weight) + K * input_zp * weight_zp.

    `channel_dims` are the dimensions of `weight` that together are the output channel; the K others are summed over.
    """
    if not input_zp:
        return bias
    shape, element = shape_of(weight), element_of(bias)
    sums = sum_over(b, weight, channel_dims, element)
    sums = reshape(b, sums, [math.prod(shape[dim] for dim in channel_dims)])
    products = math.prod(extent for dim, extent in enumerate(shape) if dim not in channel_dims)
    return affine(b, sums, -input_zp, products * input_zp * weight_zp, bias)


def add_terms(
    b: Builder,
    accumulated: SSAValue,
    bias: SSAValue,
    result_element: Attribute,
    window_sums: Mapped | None = None,
    weight_zp: int = 0,
) -> SSAValue:
    """accumulated + bias[channel] - weight_zp * window_sums, rounded to `result_element`; one generic, or none."""
    shape, element = shape_of(accumulated), element_of(accumulated)
    inputs: list[SSAValue | Mapped] = [accumulated]
    has_bias = not is_zero(bias)
    if has_bias:
        inputs.append((bias, _bias_map(bias, len(shape))))
    if window_sums is not None:
        inputs.append(window_sums)
    if len(inputs) == 1 and element == result_element:
        return accumulated

    def body(b: Body, value: SSAValue, *terms: SSAValue) -> SSAValue:
        if has_bias:
            value = b.add(value, b.widen(terms[0], element))
        if window_sums is not None:
            value = b.sub(value, b.mul(terms[-1], b.constant(weight_zp, element)))
        return b.narrow(value, result_element)

    return b.elementwise(inputs, shape, result_element, body)


def _bias_map(bias: SSAValue, rank: int) -> AffineMap:
    """TOSA allows one bias for all channels, which broadcasts."""
    if shape_of(bias) == (1,):
        return AffineMap(rank, 0, (AffineExpr.constant(0),))
    return last_dim_map(rank)


def is_zero(value: SSAValue) -> bool:
    """Whether a value is a constant of zeros, which need not be added."""
    array = constant(value)
    return array is not None and not array.any()
