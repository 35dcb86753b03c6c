"""Pooling (TOSA 1.0): windows of an NHWC tensor; pad is top, bottom, left, right."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, TensorType
from xdsl.ir import Attribute, TypeAttribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from .. import numerics, spatial
from .attributes import NanModeAttr
from .base import Array, TosaOp
from .types import element_of, ranked


class PoolingOp(TosaOp):
    """Makes one element of each window and channel of an image [N,H,W,C]."""

    traits = traits_def(Pure())

    def pooled(self, shape: tuple[int, ...]) -> list[int]:
        """The result's extents: (in + pad_before + pad_after - kernel) / stride + 1 per spatial axis, exactly."""
        kernel, stride, pad = self.plain("kernel"), self.plain("stride"), self.plain("pad")
        if (len(kernel), len(stride), len(pad)) != (2, 2, 4):
            self.fail(f"needs kernel, stride and pad of 2, 2 and 4 values, got {kernel}, {stride}, {pad}")
        if min(kernel) < 1 or min(stride) < 1 or min(pad) < 0:
            self.fail(f"kernel {kernel} and stride {stride} must be positive, pad {pad} not negative")
        spatial: list[int] = []
        for axis, extent in enumerate(shape[1:3]):
            before, after = pad[2 * axis : 2 * axis + 2]
            if max(before, after) >= kernel[axis]:
                self.fail(f"pad {pad} must be less than the kernel {kernel}")
            if extent == DYNAMIC_INDEX:
                spatial.append(DYNAMIC_INDEX)
                continue
            span = extent + before + after - kernel[axis]
            if span < 0 or span % stride[axis]:
                self.fail(
                    f"spatial axis {axis}: {extent} + {before} + {after} - {kernel[axis]} = {span} must be a "
                    f"multiple of stride {stride[axis]} and not negative"
                )
            spatial.append(span // stride[axis] + 1)
        return [shape[0], *spatial, shape[3]]


@irdl_op_definition
class AvgPool2DOp(PoolingOp):
    """The mean of each window, of the elements that are not padding; integers round as `tosa.rescale` does."""

    name = "tosa.avg_pool2d"

    input = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    output_zp = operand_def(TensorType)
    kernel = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)
    pad = prop_def(DenseArrayBase)
    acc_type = prop_def(TypeAttribute)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        element = element_of(self.input)
        self.check_zero_point(self.input_zp, element, "input_zp")
        self.check_zero_point(self.output_zp, element, "output_zp")
        return [TensorType(element, self.pooled(ranked(self.input, 4, "input")))]

    def meaning(self, *operands: Array) -> Array:
        values, input_zp, output_zp = operands
        kernel, stride, pad = self.plain("kernel"), self.plain("stride"), self.plain("pad")
        counts = spatial.window_counts(values.shape[1:3], kernel, stride, pad)[None, :, :, None]
        centred = values if values.dtype.kind == "f" else values.astype(np.int64) - int(input_zp.item())
        taps = spatial.window_taps(spatial.pad_spatial(centred, pad), kernel, stride, (1, 1))
        total = functools.reduce(np.add, (view for _, view in taps))
        if values.dtype.kind == "f":
            return total / counts.astype(values.dtype)
        multiplier, shift = numerics.reciprocal_scale(counts)
        scaled = numerics.apply_scale_32(total, multiplier, shift, double_round=False)
        return numerics.saturate(scaled + int(output_zp.item()), element_of(self.input))


@irdl_op_definition
class MaxPool2DOp(PoolingOp):
    """The greatest element of each window; padding never wins."""

    name = "tosa.max_pool2d"

    input = operand_def(TensorType)
    kernel = prop_def(DenseArrayBase)
    stride = prop_def(DenseArrayBase)
    pad = prop_def(DenseArrayBase)
    nan_mode = prop_def(NanModeAttr, default_value=NanModeAttr("PROPAGATE"))
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        return [TensorType(element_of(self.input), self.pooled(ranked(self.input, 4, "input")))]

    def meaning(self, *operands: Array) -> Array:
        (values,) = operands
        lowest = -np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).min
        padded = spatial.pad_spatial(values, self.plain("pad"), lowest)
        taps = spatial.window_taps(padded, self.plain("kernel"), self.plain("stride"), (1, 1))
        return functools.reduce(np.fmax if self.nan_mode.data == "IGNORE" else np.maximum, (view for _, view in taps))
