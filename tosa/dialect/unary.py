"""Element-wise unary operators (TOSA 1.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import TensorType, i1, i32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def

from ..numerics import count_leading_zeros, saturate
from .base import Array
from .elementwise import ElementwiseOp, UnaryOp
from .types import element_of, is_float


class FloatUnaryOp(UnaryOp):
    """Of floating-point numbers only."""

    FLOAT_ONLY: ClassVar[bool] = True


@irdl_op_definition
class AbsOp(UnaryOp):
    name = "tosa.abs"

    def compute(self, *operands: Array) -> Array:
        return np.abs(operands[0])


@irdl_op_definition
class BitwiseNotOp(UnaryOp):
    name = "tosa.bitwise_not"

    def compute(self, *operands: Array) -> Array:
        return np.invert(operands[0])


@irdl_op_definition
class CeilOp(FloatUnaryOp):
    name = "tosa.ceil"

    def compute(self, *operands: Array) -> Array:
        return np.ceil(operands[0])


@irdl_op_definition
class ClzOp(UnaryOp):
    """Counts the leading zero bits of an i32."""

    name = "tosa.clz"

    def result_element(self, element: Attribute) -> Attribute:
        if element != i32:
            self.fail(f"needs i32, got {element}")
        return element

    def compute(self, *operands: Array) -> Array:
        return count_leading_zeros(operands[0])


@irdl_op_definition
class CosOp(FloatUnaryOp):
    name = "tosa.cos"

    def compute(self, *operands: Array) -> Array:
        return np.cos(operands[0])


@irdl_op_definition
class ExpOp(FloatUnaryOp):
    name = "tosa.exp"

    def compute(self, *operands: Array) -> Array:
        return np.exp(operands[0])


@irdl_op_definition
class FloorOp(FloatUnaryOp):
    name = "tosa.floor"

    def compute(self, *operands: Array) -> Array:
        return np.floor(operands[0])


@irdl_op_definition
class LogOp(FloatUnaryOp):
    name = "tosa.log"

    def compute(self, *operands: Array) -> Array:
        return np.log(operands[0])


@irdl_op_definition
class LogicalNotOp(UnaryOp):
    name = "tosa.logical_not"

    def result_element(self, element: Attribute) -> Attribute:
        if element != i1:
            self.fail(f"needs i1, got {element}")
        return element

    def compute(self, *operands: Array) -> Array:
        return np.logical_not(operands[0])


@irdl_op_definition
class NegateOp(ElementwiseOp):
    """-(input1 - input1_zp) + output_zp, saturated for i8 and i16; zero points are 1-element constants."""

    name = "tosa.negate"

    input1 = operand_def(TensorType)
    input1_zp = operand_def(TensorType)
    output_zp = operand_def(TensorType)
    output = result_def(TensorType)

    def tensors(self) -> Sequence[SSAValue]:
        return [self.input1]

    def infer(self) -> Sequence[Attribute]:
        self.check_zero_point(self.input1_zp, element_of(self.input1), "input1_zp")
        self.check_zero_point(self.output_zp, element_of(self.input1), "output_zp")
        return super().infer()

    def compute(self, *operands: Array) -> Array:
        input1, input1_zp, output_zp = operands
        if is_float(element_of(self.input1)):
            return -input1
        wide = np.int32 if input1.dtype.itemsize < 4 else input1.dtype
        value = output_zp.astype(wide).item() - (input1.astype(wide) - input1_zp.astype(wide).item())
        return saturate(value, element_of(self.input1)) if input1.dtype.itemsize < 4 else value


@irdl_op_definition
class ReciprocalOp(FloatUnaryOp):
    name = "tosa.reciprocal"

    def compute(self, *operands: Array) -> Array:
        return 1 / operands[0]


@irdl_op_definition
class RsqrtOp(FloatUnaryOp):
    """1 / sqrt(input1)"""

    name = "tosa.rsqrt"

    def compute(self, *operands: Array) -> Array:
        return 1 / np.sqrt(operands[0])


@irdl_op_definition
class SinOp(FloatUnaryOp):
    name = "tosa.sin"

    def compute(self, *operands: Array) -> Array:
        return np.sin(operands[0])
