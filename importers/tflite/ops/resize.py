"""Image resizing, with the pixels and fixed-point weights of TFLite's reference kernels.

tosa.resize samples at (o * d + offset) / n for output pixel o, with integers n, d and offset per axis; its `border`
makes the output size come out: (in - 1) * n - offset + border = (out - 1) * d.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
import tflite
from xdsl.dialects.builtin import i8, i16, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import Scale, rescale
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, legalize
from .shaping import reshape

# TOSA 1.0, section 2.12.1: limits of the parameters.
_MAX_NUMERATOR = 1 << 11
_MAX_DOWNSCALE = 16

_MAX_INDICES = 1 << 24
_MAX_EXTENT = 1 << 16
"""Of images, in pixels; a file that asks for more is damaged."""


@dataclass(frozen=True)
class _Sampling:
    """One axis: n, d, offset and the extents."""

    numerator: int
    denominator: int
    offset: int
    source: int
    target: int

    @property
    def border(self) -> int:
        return (self.target - 1) * self.denominator - (self.source - 1) * self.numerator + self.offset

    @property
    def expressible(self) -> bool:
        n, most = self.numerator, _MAX_DOWNSCALE * self.numerator
        return (
            n <= _MAX_NUMERATOR
            and 0 < self.denominator < most
            and -n <= self.offset < most
            and -most <= self.border < n
        )

    def nearest(self) -> list[int]:
        """The source pixel of every output pixel in NEAREST_NEIGHBOR mode."""
        positions = np.arange(self.target) * self.denominator + self.offset
        rounded = positions // self.numerator + (2 * (positions % self.numerator) >= self.numerator)
        return np.clip(rounded, 0, self.source - 1).tolist()


@legalize("RESIZE_BILINEAR")
def resize_bilinear(op: Operator, context: Context) -> SSAValue:
    """Float: weights from the exact ratio. Integers: 10-bit weights, as ResizeBilinearInteger computes them."""
    options = op.options(tflite.ResizeBilinearOptions)
    x, sizes = _operands(op, context)
    align_corners, half_pixel = options.AlignCorners(), options.HalfPixelCenters()
    sampling = _fixed_point_sampling if element_of(x) in (i8, i16) else _exact_sampling
    axes = [sampling(source, target, align_corners, half_pixel) for source, target in sizes]
    resized = _resize(context, x, axes, "BILINEAR")
    return resized if element_of(resized) == element_of(x) else _narrow(context, resized, x)


def _narrow(context: Context, resized: SSAValue, x: SSAValue) -> SSAValue:
    """The weighted sums, which are scaled by 2^20, rounded to nearest with halves away from zero."""
    if element_of(resized) != i32:
        context.unsupported("bilinear resizing of int16; int8 and float are supported")
    # A rescale takes halves up. One less moves negative halves, and nothing else, across.
    sign = context.add(tosa.ArithmeticRightShiftOp(resized, context.splat(31, like=resized), round=False))
    away = context.add(tosa.AddOp(resized, sign))
    return rescale(context, away, Scale.power_of_two(-20), element_of(x))


@legalize("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest_neighbor(op: Operator, context: Context) -> SSAValue:
    """TFLite finds pixels in float; where that misses the ratio of tosa.resize, rows and columns are gathered."""
    options = op.options(tflite.ResizeNearestNeighborOptions)
    x, sizes = _operands(op, context)
    align_corners, half_pixel = options.AlignCorners(), options.HalfPixelCenters()
    axes = [_nearest_sampling(source, target, align_corners, half_pixel) for source, target in sizes]
    wanted = [nearest_pixels(source, target, align_corners, half_pixel) for source, target in sizes]
    if all(axis.expressible and axis.nearest() == pixels for axis, pixels in zip(axes, wanted, strict=True)):
        return _resize(context, x, axes, "NEAREST_NEIGHBOR")
    batch, height, width, channels = shape_of(x)
    if batch == DYNAMIC or batch * max(height, width, *map(len, wanted)) > _MAX_INDICES:
        context.unsupported("this size with a dynamic or huge batch; fix it with --shape")
    x = _gather(context, reshape(context, x, [batch, height, width * channels]), wanted[0])
    x = _gather(context, reshape(context, x, [batch * len(wanted[0]), width, channels]), wanted[1])
    return reshape(context, x, [batch, len(wanted[0]), len(wanted[1]), channels])


def nearest_pixels(source: int, target: int, align_corners: bool, half_pixel: bool) -> list[int]:
    """The source pixel of every output pixel, in float arithmetic.

    Source: GetNearestNeighbor in `kernels/internal/reference/resize_nearest_neighbor.h`.
    """
    corners = align_corners and target > 1
    scale = np.float32(source - 1) / np.float32(target - 1) if corners else np.float32(source) / np.float32(target)
    positions = (np.arange(target, dtype=np.float32) + np.float32(0.5 if half_pixel else 0)) * scale
    rounded = np.floor(positions.astype(np.float64) + 0.5) if align_corners else np.floor(positions)
    return np.clip(rounded, 0, source - 1).astype(int).tolist()


def _operands(op: Operator, context: Context) -> tuple[SSAValue, list[tuple[int, int]]]:
    """The image [N,H,W,C], and (source, target) of height and width."""
    x = context.value(op.input(0))
    _, height, width, _ = shape_of(x)
    targets = context.constant_data(op.input(1)).reshape(-1).tolist()
    if len(targets) != 2 or min(targets) < 1 or max(targets) > _MAX_EXTENT:
        raise ValueError(f"the size to resize to is {targets}")
    if DYNAMIC in (height, width) or min(height, width) < 1:
        context.unsupported("an image of dynamic size; fix it with --shape")
    return x, [(height, targets[0]), (width, targets[1])]


def _ratio(source: int, target: int, align_corners: bool) -> tuple[int, int]:
    """n, d with d / n = source pixels per output pixel; even, so that half pixels are whole numbers."""
    n, d = (target - 1, source - 1) if align_corners and target > 1 and source > 1 else (target, source)
    return 2 * n // gcd(n, d), 2 * d // gcd(n, d)


def _exact_sampling(source: int, target: int, align_corners: bool, half_pixel: bool) -> _Sampling:
    n, d = _ratio(source, target, align_corners)
    return _Sampling(n, d, (d - n) // 2 if half_pixel else 0, source, target)


def _nearest_sampling(source: int, target: int, align_corners: bool, half_pixel: bool) -> _Sampling:
    """TFLite takes the floor, unless corners are aligned; tosa.resize rounds, so half a pixel goes off."""
    n, d = _ratio(source, target, align_corners)
    return _Sampling(n, d, (d // 2 if half_pixel else 0) - (0 if align_corners else n // 2), source, target)


def _fixed_point_sampling(source: int, target: int, align_corners: bool, half_pixel: bool) -> _Sampling:
    """Source: ResizeBilinearInteger in `kernels/internal/reference/resize_bilinear.h`."""
    corners = align_corners and target > 1
    scaled_source, steps = (source - 1, target - 1) if corners else (source, target)
    # A single source pixel makes 0, for which any other position serves: there is nothing else to sample.
    d = max((1024 * scaled_source + steps // 2) // steps, 1)
    return _Sampling(1024, d, d // 2 - 512 if half_pixel else 0, source, target)


def _resize(context: Context, x: SSAValue, axes: list[_Sampling], mode: str) -> SSAValue:
    for axis in axes:
        if not axis.expressible:
            context.unsupported(f"resizing {axis.source} to {axis.target} pixels is beyond the limits of tosa.resize")
    scale = [part for axis in axes for part in (axis.numerator, axis.denominator)]
    offset, border = [axis.offset for axis in axes], [axis.border for axis in axes]
    shapes = (context.shape(scale), context.shape(offset), context.shape(border))
    return context.add(tosa.ResizeOp(x, *shapes, mode=mode))


def _gather(context: Context, x: SSAValue, indices: list[int]) -> SSAValue:
    """x [N,K,C] at the same indices along K for every N."""
    batch = shape_of(x)[0]
    repeated = np.broadcast_to(np.array(indices, np.int32), (batch, len(indices)))
    return context.add(tosa.GatherOp(x, context.constant(repeated)))
