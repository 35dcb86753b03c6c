"""Transposed convolution (TOSA 1.0, section 2.2.12) as a convolution that computes all phases of a pixel at once.

An image pixel (q) and a tap (k) meet in row y = q * s + k of the full result, with stride s. With y = p * s + r and
k = j * s + r, phase r of block p is the sum over j of image[p - j] * weight[j * s + r]: for each phase a convolution
with stride 1 whose filter holds every s-th tap, backwards. The s * s phases are output channels of one convolution,
and no product with an inserted zero is computed, nor are blocks that are cut off.

Where the stride does not divide the kernel some phases have one tap less than others, in whose place the filter holds
zeros. Phases of rows are then convolutions of their own, with as many rows of taps as they have: a kernel of 3 with
stride 2 takes 3 rows of taps instead of 4. Their results are rows of the image as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects import tensor
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineExpr

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, shape_of
from ...tosa.elements import numpy_dtype
from ..dialects.linalg import Conv2DNhwcFhwcOp, dims
from .builder import Builder, constant_scalar, static_shape
from .corrections import accumulator_type, add_terms, corrected_bias, is_zero, pixel_sums
from .data_movement import extract_slice, move
from .registry import lowers
from .reshape import reshape


@lowers(tosa.TransposeConv2DOp)
def _transpose_conv_2d(op: tosa.TransposeConv2DOp, b: Builder) -> SSAValue:
    input_zp, weight_zp = constant_scalar(op.input_zp, "input_zp"), constant_scalar(op.weight_zp, "weight_zp")
    batch, height, width, _ = static_shape(op.input, "its input")
    channels, *kernel, _ = static_shape(op.weight, "its weight")
    stride, out_pad = list(op.plain("stride")), op.plain("out_pad")
    element = accumulator_type(element_of(op.output), op.acc_type)

    taps = [-(-size // step) for size, step in zip(kernel, stride, strict=True)]
    sides = zip((height, width), kernel, stride, taps, out_pad[::2], out_pad[1::2], strict=True)
    cuts = [_Cut.of(*side) for side in sides]
    blocks = [cut.blocks for cut in cuts]
    # Rows and columns that `out_pad` adds hold nothing but the bias, which then comes last.
    bias_comes_last = max(out_pad) > 0
    phase_element = element if bias_comes_last else element_of(op.output)

    bands = []
    for phases, row_taps in _bands(kernel[0], stride, taps[0], channels, cuts[0]):
        reach = [row_taps, taps[1]]
        filter = _phase_filter(b, op.weight, stride, phases, reach, weight_zp)
        low = [0, cuts[0].low - (taps[0] - row_taps), cuts[1].low, 0]
        image = b.pad(op.input, low, [0, *(cut.high for cut in cuts), 0], input_zp)
        sizes = [len(phases), stride[1], channels]
        init = b.full(0, [batch, *blocks, math.prod(sizes)], element)
        windows = {"strides": [1, 1]}
        accumulated = b.insert(Conv2DNhwcFhwcOp(image, filter, init, **windows)).result
        sums = pixel_sums(b, image, reach, [batch, *blocks], element, windows) if weight_zp else None
        bias = _phase_bias(b, op.bias, element, sizes, bias_comes_last)
        bias = corrected_bias(b, bias, filter, [0], input_zp, weight_zp)
        computed = add_terms(b, accumulated, bias, phase_element, sums, weight_zp)
        bands.append(_interleave(b, computed, [batch, *blocks, *sizes]))

    full = bands[0]
    if len(bands) > 1:
        joined = TensorType(phase_element, [batch, blocks[0], stride[0], blocks[1] * stride[1] * channels])
        full = b.insert(tensor.ConcatOp(bands, 2, joined)).result
    full = reshape(b, full, [batch, blocks[0] * stride[0], blocks[1] * stride[1], channels])
    cropped = extract_slice(
        b, full, [0, *(cut.offset for cut in cuts), 0], [batch, *(cut.kept for cut in cuts), channels]
    )
    low, high = ([0, *(max(0, amount) for amount in amounts), 0] for amounts in (out_pad[::2], out_pad[1::2]))
    cut = b.pad(cropped, low, high, 0)
    return add_terms(b, cut, op.bias, element_of(op.output)) if bias_comes_last else cut


@dataclass(frozen=True)
class _Cut:
    """What is computed along one side: `blocks` of the image padded by `low` and `high`, kept from `offset` on."""

    low: int
    high: int
    blocks: int
    offset: int
    kept: int

    @staticmethod
    def of(size: int, kernel: int, stride: int, taps: int, before: int, after: int) -> _Cut:
        """Negative `before` and `after` are what is cut off; block p is what pixels p - taps + 1 to p make."""
        offset = max(0, -before)
        kept = (size - 1) * stride + kernel + min(0, before) + min(0, after)
        first = min(offset // stride, taps - 1)
        low = taps - 1 - first
        blocks = max(-(-(offset + kept) // stride) - first, size + low - taps + 1)
        return _Cut(low, blocks + taps - 1 - low - size, blocks, offset - first * stride, kept)


_WIDE = 32
"""So many output channels fill the registers of a convolution's tile."""


def _bands(kernel: int, stride: Sequence[int], taps: int, channels: int, cut: _Cut) -> list[tuple[range, int]]:
    """(phases of rows, rows of taps) of the convolutions to do: one, if others would save nothing."""
    saves = kernel > stride[0] and kernel % stride[0] != 0 and stride[1] * channels >= _WIDE
    if not saves or cut.low < taps - 1:
        return [(range(stride[0]), taps)]
    return [(range(phase, phase + 1), -(-(kernel - phase) // stride[0])) for phase in range(stride[0])]


def _phase_bias(b: Builder, bias: SSAValue, element: Attribute, sizes: Sequence[int], absent: bool) -> SSAValue:
    """The bias of each output channel of the convolution (r_y, r_x, OC), zero if there is none or it is `absent`."""
    phases = math.prod(sizes)
    if absent or is_zero(bias):
        return b.constant(np.zeros(phases, numpy_dtype(element)), element)
    channel = dims(3)[2] if shape_of(bias)[0] > 1 else AffineExpr.constant(0)
    return reshape(b, move(b, bias, [channel], sizes), [phases])


def _phase_filter(
    b: Builder, weight: SSAValue, stride: Sequence[int], row_phases: range, taps: Sequence[int], weight_zp: int
) -> SSAValue:
    """[OC,KH,KW,IC] as the filter [(r_y, r_x, OC), j_y, j_x, IC], `weight_zp` where the kernel ends."""
    channels, *kernel, inputs = static_shape(weight, "its weight")
    missing = [max(0, count * step - size) for count, step, size in zip(taps, stride, kernel, strict=True)]
    padded = b.pad(weight, [0, 0, 0, 0], [0, *missing, 0], weight_zp)
    row_phase, column_phase, channel, row, column, input = dims(6)
    rows, columns = (
        (tap * -1 + (count - 1)) * step + phase
        for tap, count, step, phase in zip((row, column), taps, stride, (row_phase, column_phase), strict=True)
    )
    sizes = [len(row_phases), stride[1], channels]
    phases = move(b, padded, [channel, rows + row_phases.start, columns, input], [*sizes, *taps, inputs])
    return reshape(b, phases, [math.prod(sizes), *taps, inputs])


def _interleave(b: Builder, phases: SSAValue, sizes: Sequence[int]) -> SSAValue:
    """[N, P_y, P_x, (r_y, r_x, C)] as the rows of the image [N, P_y, r_y, (P_x, r_x, C)]."""
    batch, rows, columns, row_stride, column_stride, channels = sizes
    shape = [batch, rows, row_stride, columns * column_stride * channels]
    if row_stride == 1:
        return reshape(b, phases, shape)
    split = reshape(b, phases, sizes)
    n, row, row_phase, column, column_phase, channel = dims(6)
    positions: list[AffineExpr] = [n, row, column, row_phase, column_phase, channel]
    moved = move(b, split, positions, [batch, rows, row_stride, columns, column_stride, channels])
    return reshape(b, moved, shape)
