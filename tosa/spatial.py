"""Convolution, pooling and resizing of channels-last numpy arrays: exact for integers, through BLAS for speed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]


def matmul(left: Array, right: Array) -> Array:
    """left @ right; integers give exact int64, computed by the float BLAS whose mantissa holds every partial sum."""
    if left.dtype.kind == "f":
        return np.matmul(left, right)
    bound = _magnitude(left) * _magnitude(right) * left.shape[-1]
    if bound >= 1 << 53:
        return np.matmul(left.astype(np.int64), right.astype(np.int64))
    exact = np.float32 if bound < 1 << 24 else np.float64
    return np.matmul(left.astype(exact), right.astype(exact)).astype(np.int64)


def _magnitude(values: Array) -> int:
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0


def pad_spatial(values: Array, pad: Sequence[int], constant: Any = 0) -> Array:
    """[N, *spatial, C] surrounded by `constant`; `pad` holds before and after of each spatial axis."""
    if not any(pad):
        return values
    pairs = [(0, 0), *zip(pad[::2], pad[1::2], strict=True), (0, 0)]
    return np.pad(values, pairs, constant_values=constant)


def window_taps(
    values: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """For each tap of the kernel, the view [N, *out, C] of the elements of [N, *spatial, C] that it meets."""
    extents = [
        (extent - 1 - (taps - 1) * spread) // step + 1
        for extent, taps, step, spread in zip(values.shape[1:-1], kernel, stride, dilation, strict=True)
    ]
    for tap in itertools.product(*map(range, kernel)):
        starts = [index * spread for index, spread in zip(tap, dilation, strict=True)]
        box = tuple(
            slice(start, start + (extent - 1) * step + 1, step)
            for start, extent, step in zip(starts, extents, stride, strict=True)
        )
        yield tap, values[:, *box, :]


def convolve(values: Array, weight: Array, pad: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """[N, *spatial, IC] with [OC, *kernel, IC] to [N, *out, OC]; the windows are gathered, then multiplied at once."""
    kernel = weight.shape[1:-1]
    taps = [view for _, view in window_taps(pad_spatial(values, pad), kernel, stride, dilation)]
    gathered = taps[0] if len(taps) == 1 else np.concatenate(taps, axis=-1)
    columns = gathered.reshape(-1, gathered.shape[-1])
    result = matmul(columns, weight.reshape(weight.shape[0], -1).T)
    return result.reshape(*gathered.shape[:-1], weight.shape[0])


def convolve_depthwise(
    values: Array, weight: Array, pad: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Array:
    """[N,IH,IW,C] with [KH,KW,C,M] to [N,OH,OW,C*M]."""
    *kernel, channels, multiplier = weight.shape
    padded = pad_spatial(values, pad)
    if padded.dtype.kind != "f":
        # i8 products fit i32 sums; wider operands need i64.
        wide = np.int32 if _magnitude(values) * _magnitude(weight) * np.prod(kernel) < 1 << 31 else np.int64
        padded, weight = padded.astype(wide), weight.astype(wide)
    total: Array | None = None
    for tap, view in window_taps(padded, kernel, stride, dilation):
        if multiplier == 1:
            product = view * weight[tap][:, 0]
        else:
            product = (view[..., None] * weight[tap]).reshape(*view.shape[:-1], channels * multiplier)
        total = product if total is None else np.add(total, product, out=total)
    assert total is not None
    return total if total.dtype.kind == "f" else total.astype(np.int64)


def convolve_transposed(values: Array, weight: Array, out_pad: Sequence[int], stride: Sequence[int]) -> Array:
    """[N,IH,IW,IC] with [OC,KH,KW,IC]: each input element adds its scaled kernel; a negative out_pad crops."""
    batch, height, width, _ = values.shape
    channels, kernel_height, kernel_width, _ = weight.shape
    products = {
        (y, x): matmul(values.reshape(-1, values.shape[-1]), weight[:, y, x, :].T)
        for y, x in itertools.product(range(kernel_height), range(kernel_width))
    }
    dtype = next(iter(products.values())).dtype
    full_height, full_width = (height - 1) * stride[0] + kernel_height, (width - 1) * stride[1] + kernel_width
    full = np.zeros((batch, full_height, full_width, channels), dtype)
    for (y, x), product in products.items():
        rows = slice(y, y + (height - 1) * stride[0] + 1, stride[0])
        columns = slice(x, x + (width - 1) * stride[1] + 1, stride[1])
        full[:, rows, columns, :] += product.reshape(batch, height, width, channels)
    top, bottom, left, right = out_pad
    cropped = full[:, max(-top, 0) : full_height - max(-bottom, 0), max(-left, 0) : full_width - max(-right, 0), :]
    return pad_spatial(cropped, [max(amount, 0) for amount in out_pad])


def window_counts(extents: Sequence[int], kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]) -> Array:
    """How many elements of each window [OH,OW] are not padding."""
    inside = pad_spatial(np.ones((1, *extents, 1), np.int64), pad)
    return functools.reduce(np.add, (view for _, view in window_taps(inside, kernel, stride, (1, 1))))[0, :, :, 0]


def resize_positions(count: int, numerator: int, denominator: int, offset: int, extent: int) -> tuple[Array, ...]:
    """For each output position along one axis: the lower and the upper input index and the distance from the lower.

    The distance is in units of 1 / numerator.
    """
    position = np.arange(count, dtype=np.int64) * denominator + offset
    index = position // numerator
    distance = position - index * numerator
    return np.clip(index, 0, extent - 1), np.clip(index + 1, 0, extent - 1), distance
