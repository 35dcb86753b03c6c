"""Convolutions and matrix multiplication (TOSA 1.0): NHWC tensors, zero points as 1-element constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    BFloat16Type,
    BoolAttr,
    DenseArrayBase,
    Float16Type,
    IntegerType,
    TensorType,
    f32,
    i32,
)
from xdsl.ir import Attribute, TypeAttribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from .. import spatial
from .attributes import FALSE
from .base import Array, TosaOp
from .types import I48, element_of, is_float, ranked


class ContractionOp(TosaOp):
    """Multiplies and accumulates; the result has the type of the accumulator for integers."""

    traits = traits_def(Pure())

    def accumulated(self, left: Attribute, right: Attribute) -> Attribute:
        """The element type of the result for the element types of the two operands."""
        if isinstance(left, IntegerType) and isinstance(right, IntegerType):
            return I48 if left.width.data == 16 else i32
        if not is_float(left) or left != right:
            self.fail(f"operands of types {left} and {right} cannot be multiplied")
        return left


class ConvolutionOp(ContractionOp):
    """What all convolutions share: weight, bias (one per output channel, or one for all) and two zero points."""

    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    weight_zp = operand_def(TensorType)

    def output_type(self, spatial: Sequence[int], batch: int, channels: int) -> TensorType:
        """Checks bias and zero points, which all convolutions share, and builds the result type."""
        element = self.accumulated(element_of(self.input), element_of(self.weight))
        self.check_zero_point(self.input_zp, element_of(self.input), "input_zp")
        self.check_zero_point(self.weight_zp, element_of(self.weight), "weight_zp")
        (bias_extent,) = ranked(self.bias, 1, "bias")
        if bias_extent != 1:
            self.unify("output channels of weight and bias", channels, bias_extent)
        if element_of(self.bias) != element:
            self.fail(f"bias must have the element type of the result, {element}, got {self.bias.type}")
        return TensorType(element, [batch, *spatial, channels])

    def multiply_accumulate(self, values: Array, weight: Array) -> Array:
        """The convolution proper, of operands without zero points."""
        raise NotImplementedError

    def meaning(self, *operands: Array) -> Array:
        values, weight, bias, input_zp, weight_zp = operands
        return self.multiply_accumulate(without_zero(values, input_zp), without_zero(weight, weight_zp)) + bias

    def windows(self, extents: Sequence[int], kernel: Sequence[int]) -> list[int]:
        """Output extents: (in - 1 + pad_before + pad_after - (kernel - 1) * dilation) / stride + 1, exactly."""
        pad, stride, dilation = self.plain("pad"), self.plain("stride"), self.plain("dilation")
        self.check_window_attributes(len(extents), pad=2 * len(extents), stride=len(extents), dilation=len(extents))
        result: list[int] = []
        for axis, (extent, taps) in enumerate(zip(extents, kernel, strict=True)):
            if DYNAMIC_INDEX in (extent, taps):
                result.append(DYNAMIC_INDEX)
                continue
            span = extent - 1 + pad[2 * axis] + pad[2 * axis + 1] - (taps - 1) * dilation[axis]
            if span < 0 or span % stride[axis]:
                self.fail(
                    f"spatial axis {axis}: {extent} - 1 + {pad[2 * axis]} + {pad[2 * axis + 1]} - ({taps} - 1) * "
                    f"{dilation[axis]} = {span} must be a multiple of stride {stride[axis]} and not negative"
                )
            result.append(span // stride[axis] + 1)
        return result

    def check_window_attributes(self, spatial_rank: int, **lengths: int) -> None:
        for name, length in lengths.items():
            values = self.plain(name)
            if len(values) != length:
                self.fail(f"{name} must have {length} values for {spatial_rank} spatial axes, got {list(values)}")
            least = {"pad": 0, "stride": 1, "dilation": 1, "kernel": 1}[name]
            if min(values) < least:
                self.fail(f"{name} must be at least {least}, got {list(values)}")


@irdl_op_definition
class Conv2DOp(ConvolutionOp):
    """[N,IH,IW,IC] with weight [OC,KH,KW,IC] to [N,OH,OW,OC]; pad is top, bottom, left, right."""

    name = "tosa.conv2d"

    pad = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)
    dilation = prop_def(DenseArrayBase)
    acc_type = prop_def(TypeAttribute)
    local_bound = prop_def(BoolAttr, default_value=FALSE)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        batch, *extents, input_channels = ranked(self.input, 4, "input")
        output_channels, *kernel, weight_channels = ranked(self.weight, 4, "weight")
        self.unify("input channels of input and weight", input_channels, weight_channels)
        return [self.output_type(self.windows(extents, kernel), batch, output_channels)]

    def multiply_accumulate(self, values: Array, weight: Array) -> Array:
        return spatial.convolve(values, weight, self.plain("pad"), self.plain("stride"), self.plain("dilation"))


@irdl_op_definition
class Conv3DOp(ConvolutionOp):
    """[N,ID,IH,IW,IC] with weight [OC,KD,KH,KW,IC] to [N,OD,OH,OW,OC]."""

    name = "tosa.conv3d"

    pad = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)
    dilation = prop_def(DenseArrayBase)
    acc_type = prop_def(TypeAttribute)
    local_bound = prop_def(BoolAttr, default_value=FALSE)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        batch, *extents, input_channels = ranked(self.input, 5, "input")
        output_channels, *kernel, weight_channels = ranked(self.weight, 5, "weight")
        self.unify("input channels of input and weight", input_channels, weight_channels)
        return [self.output_type(self.windows(extents, kernel), batch, output_channels)]

    def multiply_accumulate(self, values: Array, weight: Array) -> Array:
        return spatial.convolve(values, weight, self.plain("pad"), self.plain("stride"), self.plain("dilation"))


@irdl_op_definition
class DepthwiseConv2DOp(ConvolutionOp):
    """[N,IH,IW,C] with weight [KH,KW,C,M] to [N,OH,OW,C*M]."""

    name = "tosa.depthwise_conv2d"

    pad = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)
    dilation = prop_def(DenseArrayBase)
    acc_type = prop_def(TypeAttribute)
    local_bound = prop_def(BoolAttr, default_value=FALSE)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        batch, *extents, input_channels = ranked(self.input, 4, "input")
        *kernel, weight_channels, multiplier = ranked(self.weight, 4, "weight")
        channels = self.unify("channels of input and weight", input_channels, weight_channels)
        output_channels = DYNAMIC_INDEX if DYNAMIC_INDEX in (channels, multiplier) else channels * multiplier
        return [self.output_type(self.windows(extents, kernel), batch, output_channels)]

    def multiply_accumulate(self, values: Array, weight: Array) -> Array:
        window = self.plain("pad"), self.plain("stride"), self.plain("dilation")
        return spatial.convolve_depthwise(values, weight, *window)


@irdl_op_definition
class TransposeConv2DOp(ConvolutionOp):
    """[N,IH,IW,IC] with weight [OC,KH,KW,IC]; OH = (IH-1)*stride_y + out_pad_top + out_pad_bottom + KH."""

    name = "tosa.transpose_conv2d"

    out_pad = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)
    acc_type = prop_def(TypeAttribute)
    local_bound = prop_def(BoolAttr, default_value=FALSE)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        batch, *extents, input_channels = ranked(self.input, 4, "input")
        output_channels, *kernel, weight_channels = ranked(self.weight, 4, "weight")
        self.unify("input channels of input and weight", input_channels, weight_channels)
        self.check_window_attributes(2, stride=2)
        pad, stride = self.plain("out_pad"), self.plain("stride")
        if len(pad) != 4:
            self.fail(f"out_pad must have 4 values, got {list(pad)}")
        result: list[int] = []
        for axis, (extent, taps) in enumerate(zip(extents, kernel, strict=True)):
            before, after = pad[2 * axis : 2 * axis + 2]
            if taps != DYNAMIC_INDEX and min(before, after) <= -taps:
                self.fail(f"out_pad {list(pad)} must be greater than -{taps}, the negative kernel extent")
            static = DYNAMIC_INDEX not in (extent, taps)
            result.append((extent - 1) * stride[axis] + before + after + taps if static else DYNAMIC_INDEX)
        return [self.output_type(result, batch, output_channels)]

    def multiply_accumulate(self, values: Array, weight: Array) -> Array:
        return spatial.convolve_transposed(values, weight, self.plain("out_pad"), self.plain("stride"))


@irdl_op_definition
class MatMulOp(ContractionOp):
    """[N,H,C] times [N,C,W] to [N,H,W]."""

    name = "tosa.matmul"

    a = operand_def(TensorType)
    b = operand_def(TensorType)
    a_zp = operand_def(TensorType)
    b_zp = operand_def(TensorType)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        left_batch, height, left_channels = ranked(self.a, 3, "a")
        right_batch, right_channels, width = ranked(self.b, 3, "b")
        batch = self.unify("batches of a and b", left_batch, right_batch)
        self.unify("channels of a and b", left_channels, right_channels)
        self.check_zero_point(self.a_zp, element_of(self.a), "a_zp")
        self.check_zero_point(self.b_zp, element_of(self.b), "b_zp")
        element = self.accumulated(element_of(self.a), element_of(self.b))
        # Half precision may be multiplied into f32; bfloat16 always is.
        declared = self.output.type
        wide = isinstance(declared, TensorType) and declared.get_element_type() == f32
        if isinstance(element, BFloat16Type) or (isinstance(element, Float16Type) and wide):
            element = f32
        return [TensorType(element, [batch, height, width])]

    def meaning(self, *operands: Array) -> Array:
        a, b, a_zp, b_zp = operands
        return spatial.matmul(without_zero(a, a_zp), without_zero(b, b_zp))


def without_zero(values: Array, zero_point: Array) -> Array:
    """`values - zero_point` in a type that holds it; floating point has no zero point."""
    if values.dtype.kind == "f":
        return values
    return values.astype(np.int32) - zero_point.astype(np.int32)
