"""The named contractions, convolutions and poolings, and their forms over tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .evaluator import Array, Scope, meaning_of
from .generics import WHOLE_WIDTHS
from .maps import Map, iteration_extents, position_of
from .records import Operation, width_of
from .structured import structured

_WIDEST_PRODUCT = {np.dtype(np.int8): 8, np.dtype(np.uint8): 8, np.dtype(np.int16): 16}
"""Bits of the integers whose products a float format can sum exactly."""


def matmul(lhs: Array, rhs: Array, dtype: np.dtype[Any]) -> Array:
    """lhs[..., m, k] @ rhs[..., k, n] accumulated in `dtype`; integers exactly, wrapping at its width.

    numpy multiplies integers without BLAS. Sums of products that a float holds exactly take the fast way through it.
    """
    if dtype.kind not in "iu":
        # Half precision, which BLAS lacks, is summed in f32 and rounded once.
        wide = np.dtype(np.float32) if dtype.itemsize == 2 else dtype
        return np.matmul(lhs.astype(wide, copy=False), rhs.astype(wide, copy=False)).astype(dtype, copy=False)
    bits = [_WIDEST_PRODUCT.get(operand.dtype, 64) for operand in (lhs, rhs)]
    magnitude = max(1, lhs.shape[-1]) << sum(bits)
    exact = np.float32 if magnitude < 1 << 24 else np.float64 if magnitude < 1 << 53 else np.int64
    return np.matmul(lhs.astype(exact), rhs.astype(exact)).astype(np.int64).astype(dtype)


@meaning_of("linalg.matmul", "linalg.batch_matmul")
def _matmul(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    """A permutation of dimensions is a product of matrices; the rare rest, such as broadcasts, is taken literally."""
    lhs, rhs, init = operands
    maps: Sequence[Map] = operation.attributes["maps"]
    found = [[-1 if (dim := position_of(expression)) is None else dim for expression in map[1]] for map in maps]
    *batch, m, n, k = range(maps[0][0])
    wanted = [(*batch, m, k), (*batch, k, n), (*batch, m, n)]
    permuted = all(sorted(dims) == sorted(own) for dims, own in zip(wanted, found, strict=True))
    if not permuted or width_of(operation.types[0].element) not in WHOLE_WIDTHS:
        return structured(operation, operands, scope)
    iteration_extents(maps, operands)  # refuses sizes that do not match
    left, right = (
        array.transpose([own.index(dim) for dim in dims])
        for array, own, dims in zip((lhs, rhs), found[:2], wanted[:2], strict=True)
    )
    product = matmul(left, right, init.dtype)
    return (init + product.transpose([wanted[2].index(dim) for dim in found[2]]),)


@meaning_of("linalg.mmt4d", "linalg.batch_mmt4d")
def _mmt4d(_: Operation, operands: Sequence[Array], __: Scope) -> Sequence[Array]:
    lhs, rhs, init = operands
    *batch, m1, n1, m0, n0 = init.shape
    product = matmul(untile(lhs), untile(rhs).swapaxes(-1, -2), init.dtype)
    return (init + product.reshape(*batch, m1, m0, n1, n0).swapaxes(-2, -3),)


def untile(tiles: Array) -> Array:
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
                slice(tap * dilation, tap * dilation + (size - 1) * stride + 1, stride) if size else slice(0)
                for tap, dilation, size, stride in zip((kh, kw), dilations, out, strides, strict=True)
            )
            yield kh, kw, image[:, rows, columns]


def convolve(image: Array, filter: Array, init: Array, strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """init[n, oh, ow, f] + the unpadded convolution of `image` [N, H, W, C] with `filter` [F, KH, KW, C]."""
    result = init.copy()
    for kh, kw, patch in windows(image, filter.shape[1:3], strides, dilations, init.shape[1:3]):
        result += matmul(patch.reshape(-1, patch.shape[-1]), filter[:, kh, kw].T, init.dtype).reshape(init.shape)
    return result


@meaning_of("linalg.conv_2d_nhwc_fhwc")
def _conv_2d(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    image, filter, init = operands
    return (convolve(image, filter, init, operation.attributes["strides"], operation.attributes["dilations"]),)


@meaning_of("linalg.depthwise_conv_2d_nhwc_hwcm")
def _depthwise(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    image, filter, init = operands
    strides, dilations = operation.attributes["strides"], operation.attributes["dilations"]
    result = init.copy()
    for kh, kw, patch in windows(image, filter.shape[:2], strides, dilations, init.shape[1:3]):
        result += patch[..., None].astype(init.dtype) * filter[kh, kw].astype(init.dtype)
    return (result,)


@meaning_of("linalg.pooling_nhwc_max", "linalg.pooling_nhwc_sum")
def _pooling(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    image, window, init = operands
    strides, dilations = operation.attributes["strides"], operation.attributes["dilations"]
    combine = np.maximum if operation.name == "linalg.pooling_nhwc_max" else np.add
    result = init
    for *_tap, patch in windows(image, window.shape, strides, dilations, init.shape[1:3]):
        result = combine(result, patch.astype(init.dtype, copy=False))
    return (result,)


@meaning_of("tiled.matmul")
def _tiled_matmul(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    """`columns` of the result, as the tiles may reach further; None where only the result's tiles tell."""
    lhs, tiles = operands[:2]
    columns = int(operands[2]) if len(operands) > 2 else operation.attributes["columns"]
    rhs = untile(tiles).swapaxes(-1, -2)[..., : lhs.shape[-1], :columns]
    return (matmul(_offset(lhs, operation), rhs, operation.types[0].dtype),)


@meaning_of("tiled.conv_2d")
def _tiled_conv_2d(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    image, tiles = operands
    attributes = operation.attributes
    kernel, (top, bottom, left, right) = attributes["kernel"], attributes["pad"]
    amounts = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(image, amounts, constant_values=attributes["pad_value"])
    shape, channels = operation.types[0].shape, image.shape[-1]
    assert shape is not None
    filters = shape[-1]
    rows = untile(tiles)[:filters, : kernel[0] * kernel[1] * channels]
    init = np.zeros([size or 0 for size in (image.shape[0], *shape[1:])], operation.types[0].dtype)
    filter = rows.reshape(init.shape[-1], *kernel, channels)
    return (convolve(_offset(padded, operation), filter, init, attributes["strides"], attributes["dilations"]),)


def _offset(values: Array, operation: Operation) -> Array:
    """Signed bytes plus `lhs_offset`, which makes them unsigned bytes."""
    offset = operation.attributes["lhs_offset"]
    return (values.astype(np.int16) + offset).astype(np.uint8) if offset else values
