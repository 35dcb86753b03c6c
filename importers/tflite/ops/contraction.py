"""What convolutions and fully connected layers share: weights of any precision, and the scale and bias of the result.

Three kinds of arithmetic, told by the element types of input and weight:

- float x float: the operation adds the bias itself.
- integer x integer: a 32-bit (for 16-bit activations 48-bit) accumulator that holds the bias, then one rescale to the
  output's step, per channel where the weights are (`kernels/kernel_util.cc`, PopulateConvolutionQuantizationParams).
- float x integer weights (dynamic range): as LiteRT's hybrid kernels, the activations are rounded to int8 at run time,
  and the 32-bit sums scaled back. Where LiteRT has no such kernel, or windows reach over the border of an image whose
  zero point only a call knows, the weights are cast, and their scale multiplies the result: the exact product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import IntegerType, TensorType, f32, i8, i16, i32
from xdsl.ir import Attribute, SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import I48, element_of
from ....tosa.elements import numpy_dtype
from ...quantization import Scale, cast, requantize, rescale
from ...registry import shape_of
from ..fixed_point import Array
from ..legalization import Context, Operator, Tensor
from .activation import fused_activation
from .dynamic_range import Rounded, is_clamped_at_zero, round_to_int8
from .shaping import reshape

MakeOperation = Callable[[SSAValue, SSAValue, SSAValue, SSAValue, SSAValue, Attribute], SSAValue]
"""input, weight, bias, input_zp, weight_zp and accumulator type to the result [..., channels]."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """What of float activations shares a step when they are rounded to int8."""

    axes: tuple[int, ...]
    """Elements along these axes of the input do."""

    asymmetric: bool
    """Whether the range is widened to hold zero, and no more, so that there is a zero point."""

    padded: bool = False
    """Whether elements outside of the input are read. They are zero: a constant, unless only a call knows its value."""


@dataclass(frozen=True, slots=True)
class Contraction:
    """An operator whose result channels are scaled sums of products of `input` and `weight`."""

    op: Operator

    activation: int
    """What the operator's options say as `fused_activation_function`."""

    input: int = 0
    """The positions of its operands; the weights are at 1."""

    bias: int = 2

    channels: int = 0
    """The axis of the weights, as the file has them, along which the result's channels lie."""

    rounds_once: bool = False
    """Whether 8-bit results are rounded from the exact scale at once, as fully connected layers are."""

    rounding: Rounding | None = None
    """How float activations are rounded to int8 for int8 weights; None where they stay in float."""

    def emit(self, context: Context, x: SSAValue, weight: SSAValue, make: MakeOperation) -> SSAValue:
        """The operation made by `make` on `x` and `weight`, scaled, biased and activated."""
        if isinstance(element_of(x), IntegerType):
            result = self._integer(context, x, weight, make)
        elif isinstance(element_of(weight), IntegerType):
            result = self._hybrid(context, x, weight, make)
        else:
            bias = self._bias(context, element_of(x))
            result = make(x, weight, bias, *self._zero_points(context, x, weight), f32)
        return fused_activation(context, result, self.activation, self.op.output())

    def _zero_points(self, context: Context, x: SSAValue, weight: SSAValue) -> tuple[SSAValue, SSAValue]:
        return (
            context.zero_point(_zero_point(context, self.op.input(self.input)), element_of(x)),
            context.zero_point(_zero_point(context, self.op.input(1)), element_of(weight)),
        )

    def _integer(self, context: Context, x: SSAValue, weight: SSAValue, make: MakeOperation) -> SSAValue:
        output, weights = self.op.output(), self.op.input(1).quantization
        if weights is None or element_of(weight) != i8:
            context.unsupported(f"{element_of(weight)} weights with {element_of(x)} activations")
        accumulator = I48 if element_of(x) == i16 else i32
        zero_points = self._zero_points(context, x, weight)
        result = make(x, weight, self._bias(context, accumulator), *zero_points, accumulator)
        factors = (
            np.float64(self.op.input(self.input).scale) * weights.scale.astype(np.float64) / np.float64(output.scale)
        )
        if (factors == factors[0]).all():
            factors = factors[:1]
        bias = self.op.optional_input(self.bias)
        narrow = bias is not None and bias.element_type == i32
        if accumulator == I48 and (self.rounds_once or narrow):
            # A 32-bit bias says that the kernel accumulates in 32 bits, which it also rescales with 31-bit mantissas.
            unit = Scale(np.array([1 << 14], np.int16), np.array([14], np.int8), "SINGLE_ROUND")
            result = rescale(context, result, unit, i32)
        if self.rounds_once:
            scale = Scale.nearest(factors)
            return rescale(context, result, scale, element_of(x), output_zero_point=output.zero_point)
        return requantize(context, result, factors, element_of(x), output.zero_point)

    def _hybrid(self, context: Context, x: SSAValue, weight: SSAValue, make: MakeOperation) -> SSAValue:
        quantization = self.op.input(1).quantization
        if quantization is None:
            context.unsupported(f"weights of type {element_of(weight)} without scales")
        rounding, weights = self._rounding_of(x), self.op.input(1).data
        if rounding is None or weights is None or element_of(weight) != i8 or _zero_point(context, self.op.input(1)):
            result, step = self._in_float(context, x, weight, make), None
        else:
            rounded = round_to_int8(context, x, rounding.axes, asymmetric=rounding.asymmetric)
            result, step = self._rounded(context, rounded, weights, weight, make), rounded.step
        scales = context.constant(_along_channels(quantization.scale.astype(np.float32), result))
        result = context.add(tosa.MulOp(result, scales, context.zero_shift()))
        if step is not None:
            result = context.add(tosa.MulOp(result, step, context.zero_shift()))
        bias = self.op.optional_input(self.bias)
        if bias is None:
            return result
        along_channels = [1] * (len(shape_of(result)) - 1) + [-1]
        return context.add(tosa.AddOp(result, reshape(context, context.value(bias), along_channels)))

    def _in_float(self, context: Context, x: SSAValue, weight: SSAValue, make: MakeOperation) -> SSAValue:
        """The product with integer weights, whose scale is left out."""
        wide = cast(context, weight, f32)
        if zero_point := _zero_point(context, self.op.input(1)):
            wide = context.add(tosa.SubOp(wide, context.splat(zero_point, like=wide)))
        zero = context.zero_point(0, f32)
        return make(x, wide, zero, zero, zero, f32)

    def _rounded(self, context: Context, x: Rounded, weights: Array, weight: SSAValue, make: MakeOperation) -> SSAValue:
        """The product of integers in f32; `weights` are the elements of `weight`.

        A zero point that only a call knows, z, is taken from the sums: Σ (x - z) w = Σ x w - z Σ w.
        """
        zero_point = x.zero_point
        input_zp = context.zero_point(zero_point if isinstance(zero_point, int) else 0, i8)
        result = make(x.values, weight, context.zero_point(0, i32), input_zp, context.zero_point(0, i8), i32)
        if not isinstance(zero_point, int):
            depth = tuple(axis for axis in range(weights.ndim) if axis != self.channels)
            sums = context.constant(_along_channels(weights.sum(axis=depth, dtype=np.int32), result))
            offset = context.add(tosa.MulOp(cast(context, zero_point, i32), sums, context.zero_shift()))
            result = context.add(tosa.SubOp(result, offset))
        return cast(context, result, f32)

    def _rounding_of(self, x: SSAValue) -> Rounding | None:
        """How `x` is to be rounded to int8; None where its padding would be no constant."""
        rounding = self.rounding
        if rounding is not None and rounding.asymmetric and rounding.padded and not is_clamped_at_zero(x):
            return None
        return rounding

    def _bias(self, context: Context, element_type: Attribute) -> SSAValue:
        """The bias as a vector of `element_type`; one zero where the operator has none."""
        dtype = numpy_dtype(element_type)
        bias = self.op.optional_input(self.bias)
        if bias is None:
            return context.constant(np.zeros(1, dtype), TensorType(element_type, [1]))
        array = context.known_data(bias)
        if array is None:
            return reshape(context, context.value(bias), [-1])
        return context.constant(array.reshape(-1).astype(dtype, copy=False), TensorType(element_type, [array.size]))


def has_channel_scales(weight: Tensor) -> bool:
    """Whether the channels of a weight have different scales: LiteRT's hybrid convolutions differ in that."""
    return weight.quantization is not None and bool((weight.quantization.scale != weight.quantization.scale[0]).any())


def _along_channels(values: Array, result: SSAValue) -> Array:
    """One value, or one per channel, with the rank of `result`, whose last axis are the channels."""
    return values.reshape([1] * (len(shape_of(result)) - 1) + [-1])


def _zero_point(context: Context, tensor: Tensor) -> int:
    """The zero point of a tensor; weights with many scales must have the same one for all."""
    if tensor.quantization is None:
        return 0
    points = tensor.quantization.zero_point
    if (points != points[0]).any():
        context.unsupported(f"different zero points per channel of '{tensor.name}'")
    return int(points[0])
