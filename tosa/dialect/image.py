"""Image resizing (TOSA 1.0)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType, i8, i32
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from ..spatial import resize_positions
from .attributes import ResizeModeAttr
from .base import Array, TosaOp, constant_shape
from .types import I48, ShapeType, element_of, is_float, ranked, shape_of


@irdl_op_definition
class ResizeOp(TosaOp):
    """Samples [N,IH,IW,C] at (y * scale_y_d + offset_y) / scale_y_n, likewise x.

    `scale` is [y_n, y_d, x_n, x_d], `offset` and `border` are [y, x]. Bilinear integers are not normalised: i8 gives
    i32 and i16 gives i48, scaled by y_n * x_n.
    """

    name = "tosa.resize"
    traits = traits_def(Pure())

    input = operand_def(TensorType)
    scale = operand_def(ShapeType)
    offset = operand_def(ShapeType)
    border = operand_def(ShapeType)
    mode = prop_def(ResizeModeAttr)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        batch, *spatial, channels = ranked(self.input, 4, "input")
        for value, length, name in ((self.scale, 4, "scale"), (self.offset, 2, "offset"), (self.border, 2, "border")):
            if value.type != ShapeType(length):
                self.fail(f"{name} must be !tosa.shape<{length}>, got {value.type}")
        parameters = [constant_shape(value) for value in (self.scale, self.offset, self.border)]
        extents = [DYNAMIC_INDEX, DYNAMIC_INDEX]
        scale, offset, border = parameters
        if scale is not None and offset is not None and border is not None:
            if min(scale) < 1:
                self.fail(f"scale must be positive, got {list(scale)}")
            extents = [
                self.resized(spatial[axis], scale[2 * axis], scale[2 * axis + 1], offset[axis], border[axis])
                for axis in (0, 1)
            ]
        return [TensorType(self.result_element(element_of(self.input)), [batch, *extents, channels])]

    def result_element(self, element: Attribute) -> Attribute:
        if self.mode.data == "NEAREST_NEIGHBOR" or is_float(element):
            return element
        return i32 if element == i8 else I48

    def resized(self, extent: int, numerator: int, denominator: int, offset: int, border: int) -> int:
        if extent == DYNAMIC_INDEX:
            return DYNAMIC_INDEX
        span = (extent - 1) * numerator - offset + border
        if span < 0 or span % denominator:
            self.fail(
                f"({extent} - 1) * {numerator} - {offset} + {border} = {span} must be a multiple of {denominator}"
            )
        return span // denominator + 1

    def meaning(self, *operands: Array) -> Array:
        values, scale, offset, _ = operands
        y_n, y_d, x_n, x_d = map(int, scale)
        _, height, width, _ = shape_of(self.output)
        top, bottom, dy = resize_positions(height, y_n, y_d, int(offset[0]), values.shape[1])
        left, right, dx = resize_positions(width, x_n, x_d, int(offset[1]), values.shape[2])
        if self.mode.data == "NEAREST_NEIGHBOR":
            rows, columns = np.where(2 * dy >= y_n, bottom, top), np.where(2 * dx >= x_n, right, left)
            return values[:, rows[:, None], columns, :]
        if values.dtype.kind == "f":
            dy, dx = (distance.astype(values.dtype) / unit for distance, unit in ((dy, y_n), (dx, x_n)))
            y_n, x_n = 1, 1
        else:
            values = values.astype(np.int64)
        dy, dx = dy[:, None, None], dx[:, None]
        upper, lower = values[:, top], values[:, bottom]
        above = upper[:, :, left] * (x_n - dx) + upper[:, :, right] * dx
        below = lower[:, :, left] * (x_n - dx) + lower[:, :, right] * dx
        return above * (y_n - dy) + below * dy
