"""Meanings of the named contractions, convolutions and poolings, and of their forms over tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, IntegerType
from xdsl.ir import Operation
from xdsl.ir.affine import AffineDimExpr

from ...tosa.dialect.types import element_of, shape_of
from ...tosa.elements import numpy_dtype
from ..dialects import linalg, tiled
from .interpreter import Array, Values, meaning_of

_WIDEST_PRODUCT = {np.dtype(np.int8): 8, np.dtype(np.uint8): 8, np.dtype(np.int16): 16}
"""Bits of the integers whose products a float format can sum exactly."""


def matmul(lhs: Array, rhs: Array, dtype: np.dtype) -> Array:
    """lhs[..., m, k] @ rhs[..., k, n] accumulated in `dtype`; integers exactly, wrapping at its width.

    numpy multiplies integers without BLAS. Sums of products that a float holds exactly take the fast way through it.
    """
    if dtype.kind not in "iu":
        return np.matmul(lhs.astype(dtype, copy=False), rhs.astype(dtype, copy=False))
    bits = [_WIDEST_PRODUCT.get(operand.dtype, 64) for operand in (lhs, rhs)]
    magnitude = max(1, lhs.shape[-1]) << sum(bits)
    exact = np.float32 if magnitude < 1 << 24 else np.float64 if magnitude < 1 << 53 else np.int64
    return np.matmul(lhs.astype(exact), rhs.astype(exact)).astype(np.int64).astype(dtype)


@meaning_of(linalg.MatmulOp, linalg.BatchMatmulOp)
def _matmul(operation: linalg.NamedOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    lhs, rhs, init = operands
    lhs_map, rhs_map, init_map = operation.indexing_maps_of_operands()
    *batch, m, n = (_position(result) for result in init_map.results)
    k = len(operation.ITERATORS) - 1
    ordered = [
        array.transpose([[_position(result) for result in map.results].index(dim) for dim in dims])
        for array, map, dims in ((lhs, lhs_map, (*batch, m, k)), (rhs, rhs_map, (*batch, k, n)))
    ]
    return (init + matmul(ordered[0], ordered[1], init.dtype),)


def _position(expression: object) -> int:
    assert isinstance(expression, AffineDimExpr), "contraction maps are projected permutations"
    return expression.position


@meaning_of(linalg.Mmt4dOp, linalg.BatchMmt4dOp)
def _mmt4d(_: Operation, operands: Sequence[Array], __: Values) -> Sequence[Array]:
    lhs, rhs, init = operands
    *batch, m1, n1, m0, n0 = init.shape
    product = matmul(_untile(lhs), _untile(rhs).swapaxes(-1, -2), init.dtype)
    return (init + product.reshape(*batch, m1, m0, n1, n0).swapaxes(-2, -3),)


def _untile(tiles: Array) -> Array:
    """[..., R1, C1, R0, C0] as rows [..., R1 * R0, C1 * C0]."""
    *batch, rows1, columns1, rows0, columns0 = tiles.shape
    return tiles.swapaxes(-2, -3).reshape(*batch, rows1 * rows0, columns1 * columns0)


def windows(
    image: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], out: Sequence[int]
) -> Iterator[tuple[int, int, Array]]:
    """For each tap (kh, kw) of the kernel: (kh, kw, the [N, OH, OW, C] elements of `image` that it meets)."""
    for kh in range(kernel[0]):
        for kw in range(kernel[1]):
            rows, columns = (
                slice(tap * dilation, tap * dilation + (size - 1) * stride + 1, stride)
                for tap, dilation, size, stride in zip((kh, kw), dilations, out, strides, strict=True)
            )
            yield kh, kw, image[:, rows, columns]


def convolve(image: Array, filter: Array, init: Array, strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """init[n, oh, ow, f] + the unpadded convolution of `image` [N, H, W, C] with `filter` [F, KH, KW, C]."""
    result = init.copy()
    for kh, kw, patch in windows(image, filter.shape[1:3], strides, dilations, init.shape[1:3]):
        result += matmul(patch.reshape(-1, patch.shape[-1]), filter[:, kh, kw].T, init.dtype).reshape(init.shape)
    return result


@meaning_of(linalg.Conv2DNhwcFhwcOp)
def _conv_2d(operation: linalg.Conv2DNhwcFhwcOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    image, filter, init = operands
    return (convolve(image, filter, init, operation.stride_values, operation.dilation_values),)


@meaning_of(linalg.DepthwiseConv2DNhwcHwcmOp)
def _depthwise(operation: linalg.DepthwiseConv2DNhwcHwcmOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    image, filter, init = operands
    result = init.copy()
    taps = windows(image, filter.shape[:2], operation.stride_values, operation.dilation_values, init.shape[1:3])
    for kh, kw, patch in taps:
        result += patch[..., None].astype(init.dtype) * filter[kh, kw].astype(init.dtype)
    return (result,)


@meaning_of(linalg.PoolingNhwcMaxOp, linalg.PoolingNhwcSumOp)
def _pooling(operation: linalg.PoolingNhwcMaxOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    image, window, init = operands
    combine = np.maximum if isinstance(operation, linalg.PoolingNhwcMaxOp) else np.add
    result = init
    for *_tap, patch in windows(
        image, window.shape, operation.stride_values, operation.dilation_values, init.shape[1:3]
    ):
        result = combine(result, patch.astype(init.dtype, copy=False))
    return (result,)


@meaning_of(tiled.MatmulOp)
def _tiled_matmul(operation: tiled.MatmulOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    lhs, tiles = operands
    rhs = _untile(tiles).swapaxes(-1, -2)[..., : lhs.shape[-1], : shape_of(operation.result)[-1]]
    return (matmul(_offset(lhs, operation), rhs, _result_dtype(operation)),)


@meaning_of(tiled.Conv2DOp)
def _tiled_conv_2d(operation: tiled.Conv2DOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    image, tiles = operands
    kernel, strides, dilations, (top, bottom, left, right) = (
        cast("DenseArrayBase[IntegerType]", part).get_values()
        for part in (operation.kernel, operation.strides, operation.dilations, operation.pad)
    )
    pad_value = operation.pad_value.value.data if operation.pad_value is not None else 0
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad_value)
    shape, channels = shape_of(operation.result), image.shape[-1]
    rows = _untile(tiles)[: shape[-1], : kernel[0] * kernel[1] * channels]
    filter = rows.reshape(shape[-1], *kernel, channels)
    init = np.zeros((image.shape[0], *shape[1:]), _result_dtype(operation))
    return (convolve(_offset(padded, operation), filter, init, strides, dilations),)


def _offset(values: Array, operation: tiled.MatmulOp | tiled.Conv2DOp) -> Array:
    """Signed bytes plus `lhs_offset`, which makes them unsigned bytes."""
    if operation.lhs_offset is None:
        return values
    return (values.astype(np.int16) + operation.lhs_offset.value.data).astype(np.uint8)


def _result_dtype(operation: tiled.MatmulOp | tiled.Conv2DOp) -> np.dtype:
    return numpy_dtype(element_of(operation.result))
