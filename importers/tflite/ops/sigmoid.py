"""LOGISTIC and TANH.

Those of 16 bits are LiteRT's bit for bit (`kernels/internal/reference/integer_ops/logistic.h` and `tanh.h`). Both
interpolate between 256 samples of one sigmoid, as tanh(x) = 2 sigmoid(2 x) - 1:

    p = min(|x| in steps of 1/12288, 255 * 2^b)     b = 9 for LOGISTIC, 8 for TANH: 2^b steps lie between two samples
    c = (sample[p >> b] - 1/2) * 2^b + (p mod 2^b) * (sample[(p >> b) + 1] - sample[p >> b])
    y = 1/2 + c or c, with the sign of x, rounded to steps of 2^-15
"""

from __future__ import annotations

import math

import numpy as np
from xdsl.dialects.builtin import i8, i16, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import cast
from ..fixed_point import Array, libm
from ..legalization import Context, Operator, Tensor, legalize
from .activation import table

_HALF = 1 << 15
"""sigmoid(0) among the samples, which have 16 fraction bits."""


@legalize("LOGISTIC")
def logistic(op: Operator, context: Context) -> SSAValue:
    x = context.value(op.input(0))
    if op.input(0).quantization is None:
        return context.add(tosa.SigmoidOp(x))
    if element_of(x) == i8:
        one = np.float32(1)
        return table(context, op, lambda x: one / (one + libm(np.exp, -x)))
    # Beyond the last sample the kernel gives 32767/32768, not 1.
    curve = _interpolated(op, context, bits=9, last=_HALF - 2, power_of_two_steps=(-12,))
    half = context.splat(_HALF << 9, like=curve)
    return _rounded(context, context.add(tosa.AddOp(curve, half)), 10)


@legalize("TANH")
def tanh(op: Operator, context: Context) -> SSAValue:
    x = context.value(op.input(0))
    if op.input(0).quantization is None:
        return context.add(tosa.TanhOp(x))
    if element_of(x) == i8:
        return table(context, op, lambda x: libm(np.tanh, x))
    return _rounded(context, _interpolated(op, context, bits=8, last=_HALF - 1, power_of_two_steps=(-12, -11)), 8)


def _rounded(context: Context, value: SSAValue, shift: int) -> SSAValue:
    shifted = context.add(tosa.ArithmeticRightShiftOp(value, context.splat(shift, like=value), round=True))
    return cast(context, shifted, i16)


def _interpolated(
    op: Operator, context: Context, bits: int, last: int, power_of_two_steps: tuple[int, ...]
) -> SSAValue:
    """`c` above in i32, for negative x its complement, as the kernels round down; `last` is its last sample."""
    x, input, output = context.value(op.input(0)), op.input(0), op.output()
    if element_of(x) != i16:
        context.unsupported(f"{op.name} of quantised {element_of(x)}; int8, uint8 and int16 are supported")
    if output.scale != 2.0**-15 or input.zero_point != 0 or output.zero_point != 0:
        context.unsupported(f"16-bit {op.name} but from zero point 0 to steps of 2^-15")
    multiplier, shift = _multiplier(input, power_of_two_steps)
    if multiplier >= 1 << 16:
        context.unsupported(f"16-bit {op.name} in steps of {input.scale:g}, for which products exceed 32 bits")
    wide = cast(context, x, i32)
    scaled = context.add(tosa.MulOp(wide, context.splat(multiplier, like=wide), context.zero_shift()))
    if shift:
        scaled = context.add(tosa.ArithmeticRightShiftOp(scaled, context.splat(shift, like=scaled), round=True))

    def splat(value: int) -> SSAValue:
        return context.splat(value, like=scaled)

    # The 16-bit table interpolates between 513 entries at steps of 128, and gives 128 times an entry at such a step.
    position = context.add(tosa.MinimumOp(context.add(tosa.AbsOp(scaled)), splat(255 << bits)))
    index = context.add(tosa.ArithmeticRightShiftOp(position, splat(bits), round=False))
    step = context.add(tosa.SubOp(context.add(tosa.LogicalLeftShiftOp(index, splat(7))), splat(1 << 15)))
    step = cast(context, step, i16)
    samples = np.append(_samples()[:255] - _HALF, last)
    slopes = np.append(np.diff(_samples()), 0)
    sample, slope = (context.add(tosa.TableOp(step, context.constant(_padded(v)))) for v in (samples, slopes))
    sample = context.add(tosa.LogicalLeftShiftOp(sample, splat(bits - 7)))
    fraction = context.add(tosa.BitwiseAndOp(position, splat((1 << bits) - 1)))
    rise = context.add(tosa.MulOp(fraction, slope, context.zero_shift()))
    rise = context.add(tosa.ArithmeticRightShiftOp(rise, splat(7), round=False))
    curve = context.add(tosa.AddOp(sample, rise))
    positive = context.add(tosa.GreaterEqualOp(scaled, splat(0)))
    return context.add(tosa.SelectOp(positive, curve, context.add(tosa.BitwiseNotOp(curve))))


def _multiplier(input: Tensor, power_of_two_steps: tuple[int, ...]) -> tuple[int, int]:
    """(multiplier, shift): x * multiplier / 2^shift is x in steps of 1/12288, as the kernels' Prepare chooses them.

    Steps that are 2^e or nearly so, with e among `power_of_two_steps`, count as exactly that.
    """
    exponent = math.log2(input.scale)
    nearest = round(exponent)
    if abs(exponent - nearest) < 1e-3 and nearest in power_of_two_steps:
        return 3 << (nearest + 12), 0
    multiplier, shift = input.scale * 12288, 0
    while multiplier <= 32767 / 2 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    return int(multiplier), shift


def _samples() -> Array:
    """sigmoid(i / 24) with 16 fraction bits, half the error of interpolation above it; the last is just below 1."""

    def sigmoid(i: Array) -> Array:
        return 65536 / (1 + np.exp(-i / 24))

    i = np.arange(255)
    error = sigmoid(i + 0.5) - (sigmoid(i) + sigmoid(i + 1)) / 2
    return np.append(np.rint(sigmoid(i) + error / 2).astype(np.int64), 65535)


def _padded(entries: Array) -> Array:
    return np.append(entries, np.zeros(513 - entries.size)).astype(np.int16)
