"""Element-wise binary operators, select and table look-up (TOSA 1.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import BoolAttr, IntegerType, TensorType, i1, i8, i16, i32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Commutative, Pure

from .. import numerics
from .attributes import NanModeAttr
from .base import Array, TosaOp, constant
from .elementwise import BinaryOp, ElementwiseOp
from .types import broadcast_shapes, element_of, is_float, shape_of


class CommutativeOp(BinaryOp):
    """Of numbers of any kind."""

    traits = traits_def(Commutative())


class IntegerBinaryOp(BinaryOp):
    """Of integers only."""

    def result_element(self, element: Attribute) -> Attribute:
        if not isinstance(element, IntegerType):
            self.fail(f"needs integers, got {element}")
        return element


class LogicalBinaryOp(BinaryOp):
    """Of truth values, i1."""

    traits = traits_def(Commutative())

    def result_element(self, element: Attribute) -> Attribute:
        if element != i1:
            self.fail(f"needs i1, got {element}")
        return element


@irdl_op_definition
class AddOp(CommutativeOp):
    name = "tosa.add"

    def compute(self, *operands: Array) -> Array:
        return operands[0] + operands[1]


@irdl_op_definition
class ArithmeticRightShiftOp(IntegerBinaryOp):
    """input1 >> input2; `round` adds the last bit shifted out."""

    name = "tosa.arithmetic_right_shift"

    round = prop_def(BoolAttr)

    def compute(self, *operands: Array) -> Array:
        value, shift = operands
        shifted = value >> shift
        if not self.plain("round"):
            return shifted
        return shifted + np.where(shift > 0, (value >> np.maximum(shift - 1, 0)) & 1, 0).astype(value.dtype)


@irdl_op_definition
class BitwiseAndOp(IntegerBinaryOp):
    name = "tosa.bitwise_and"
    traits = traits_def(Commutative())

    def compute(self, *operands: Array) -> Array:
        return operands[0] & operands[1]


@irdl_op_definition
class BitwiseOrOp(IntegerBinaryOp):
    name = "tosa.bitwise_or"
    traits = traits_def(Commutative())

    def compute(self, *operands: Array) -> Array:
        return operands[0] | operands[1]


@irdl_op_definition
class BitwiseXorOp(IntegerBinaryOp):
    name = "tosa.bitwise_xor"
    traits = traits_def(Commutative())

    def compute(self, *operands: Array) -> Array:
        return operands[0] ^ operands[1]


@irdl_op_definition
class IntDivOp(IntegerBinaryOp):
    """Integer division that truncates towards zero."""

    name = "tosa.intdiv"

    def compute(self, *operands: Array) -> Array:
        return numerics.truncating_divide(*operands)


@irdl_op_definition
class LogicalAndOp(LogicalBinaryOp):
    name = "tosa.logical_and"

    def compute(self, *operands: Array) -> Array:
        return np.logical_and(*operands)


@irdl_op_definition
class LogicalLeftShiftOp(IntegerBinaryOp):
    name = "tosa.logical_left_shift"

    def compute(self, *operands: Array) -> Array:
        return np.left_shift(*operands)


@irdl_op_definition
class LogicalRightShiftOp(IntegerBinaryOp):
    name = "tosa.logical_right_shift"

    def compute(self, *operands: Array) -> Array:
        unsigned = f"u{operands[0].dtype}"
        return np.right_shift(operands[0].view(unsigned), operands[1].view(unsigned)).view(operands[0].dtype)


@irdl_op_definition
class LogicalOrOp(LogicalBinaryOp):
    name = "tosa.logical_or"

    def compute(self, *operands: Array) -> Array:
        return np.logical_or(*operands)


@irdl_op_definition
class LogicalXorOp(LogicalBinaryOp):
    name = "tosa.logical_xor"

    def compute(self, *operands: Array) -> Array:
        return np.logical_xor(*operands)


@irdl_op_definition
class MaximumOp(CommutativeOp):
    name = "tosa.maximum"

    nan_mode = prop_def(NanModeAttr, default_value=NanModeAttr("PROPAGATE"))

    def compute(self, *operands: Array) -> Array:
        return (np.fmax if self.nan_mode.data == "IGNORE" else np.maximum)(*operands)


@irdl_op_definition
class MinimumOp(CommutativeOp):
    name = "tosa.minimum"

    nan_mode = prop_def(NanModeAttr, default_value=NanModeAttr("PROPAGATE"))

    def compute(self, *operands: Array) -> Array:
        return (np.fmin if self.nan_mode.data == "IGNORE" else np.minimum)(*operands)


@irdl_op_definition
class MulOp(ElementwiseOp):
    """input1 * input2; integers give i32; `shift`, a 1-element i8 constant, scales an i32 product down, rounding."""

    name = "tosa.mul"
    traits = traits_def(Commutative())

    input1 = operand_def(TensorType)
    input2 = operand_def(TensorType)
    shift = operand_def(TensorType)
    output = result_def(TensorType)

    def tensors(self) -> Sequence[SSAValue]:
        return [self.input1, self.input2]

    def result_element(self, element: Attribute) -> Attribute:
        if element_of(self.shift) != i8:
            self.fail(f"shift must be i8, got {self.shift.type}")
        shift = constant(self.shift)
        if element != i32 and shift is not None and shift.any():
            self.fail(f"shift must be 0 unless the operands are i32, they are {element}")
        return i32 if isinstance(element, IntegerType) else element

    def compute(self, *operands: Array) -> Array:
        input1, input2, shift = operands
        if is_float(element_of(self.input1)):
            return input1 * input2
        shift_bits = int(shift.item())
        product = input1.astype(np.int64) * input2.astype(np.int64)
        if shift_bits:
            product = (product + (1 << (shift_bits - 1))) >> shift_bits
        return product.astype(np.int32)


@irdl_op_definition
class PowOp(BinaryOp):
    name = "tosa.pow"

    FLOAT_ONLY: ClassVar[bool] = True

    def compute(self, *operands: Array) -> Array:
        return np.power(*operands)


@irdl_op_definition
class SubOp(BinaryOp):
    name = "tosa.sub"

    def compute(self, *operands: Array) -> Array:
        return operands[0] - operands[1]


@irdl_op_definition
class SelectOp(ElementwiseOp):
    """input2 where the i1 tensor input1 holds, else input3."""

    name = "tosa.select"

    input1 = operand_def(TensorType)
    input2 = operand_def(TensorType)
    input3 = operand_def(TensorType)
    output = result_def(TensorType)

    def tensors(self) -> Sequence[SSAValue]:
        return [self.input2, self.input3]

    def infer(self) -> Sequence[Attribute]:
        if element_of(self.input1) != i1:
            self.fail(f"input1 must be a tensor of i1, got {self.input1.type}")
        super().infer()
        return [TensorType(element_of(self.input2), broadcast_shapes(*map(shape_of, self.operands)))]

    def compute(self, *operands: Array) -> Array:
        return np.where(*operands)


@irdl_op_definition
class TableOp(TosaOp):
    """Looks elements up: i8 in 256 entries of i8, i16 in 513 entries of i16, interpolating to an i32 result."""

    name = "tosa.table"
    traits = traits_def(Pure())

    input1 = operand_def(TensorType)
    table = operand_def(TensorType)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        element = element_of(self.input1)
        entries = {i8: 256, i16: 513}.get(element)
        if entries is None or self.table.type != TensorType(element, [entries]):
            self.fail(
                "needs an i8 tensor and 256 i8 entries or an i16 tensor and 513 i16 entries, "
                f"got {self.input1.type} and {self.table.type}"
            )
        return [TensorType(i8 if element == i8 else i32, shape_of(self.input1))]

    def meaning(self, *operands: Array) -> Array:
        return numerics.table_lookup(*operands)
