"""Operators on `!tosa.shape` values (TOSA 1.0): lists of extents, computed at compile time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import BoolAttr, IndexType, IntegerAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.traits import ConstantLike, Pure

from ..elements import ElementsAttr
from .attributes import FALSE
from .base import Array, TosaOp, constant_shape
from .reduction import AxisOp
from .types import ShapeType, shape_of


class ShapeOp(TosaOp):
    """Computes a list of extents."""

    traits = traits_def(Pure())

    def rank(self, value: SSAValue) -> int:
        if not isinstance(value.type, ShapeType):
            self.fail(f"expected a !tosa.shape, got {value.type}")
        return value.type.rank.data


class ElementwiseShapeOp(ShapeOp):
    """Computes each extent of the result from the extents at its place; a list of one broadcasts."""

    def infer(self) -> Sequence[Attribute]:
        ranks = {self.rank(value) for value in self.operands}
        if len(ranks - {1}) > 1:
            self.fail(f"operands must have the same rank, got {', '.join(str(value.type) for value in self.operands)}")
        return [ShapeType(max(ranks))]


class UnaryShapeOp(ElementwiseShapeOp):
    input = operand_def(ShapeType)
    output = result_def(ShapeType)


class BinaryShapeOp(ElementwiseShapeOp):
    input1 = operand_def(ShapeType)
    input2 = operand_def(ShapeType)
    output = result_def(ShapeType)


@irdl_op_definition
class ConstShapeOp(ShapeOp):
    """A constant list of extents: `ConstShapeOp([1, 224, 224, 3])`."""

    name = "tosa.const_shape"
    traits = traits_def(ConstantLike(), Pure())

    values = prop_def(ElementsAttr)
    output = result_def(ShapeType)

    def __init__(self, values: Any, **named: Any) -> None:
        if not isinstance(values, Attribute):
            array = np.array(values, dtype=np.int64).reshape(-1)
            values = ElementsAttr.from_array(array, TensorType(IndexType(), array.shape))
        super().__init__(values, **named)

    @property
    def extents(self) -> tuple[int, ...]:
        return tuple(self.values.array.tolist())

    def infer(self) -> Sequence[Attribute]:
        if self.values.array.ndim != 1 or not isinstance(self.values.type.get_element_type(), IndexType):
            self.fail(f"values must be a list of index, got {self.values.type}")
        return [ShapeType(self.values.array.size)]

    def meaning(self, *operands: Array) -> Array:
        return self.values.array


@irdl_op_definition
class AddShapeOp(BinaryShapeOp):
    name = "tosa.add_shape"

    def meaning(self, *operands: Array) -> Array:
        return np.add(*operands)


@irdl_op_definition
class AssertEqualShapeOp(TosaOp):
    """Fails where the two lists differ; `allow_broadcast` lets an extent of 1 match any."""

    name = "tosa.assert_equal_shape"

    input1 = operand_def(ShapeType)
    input2 = operand_def(ShapeType)
    allow_broadcast = prop_def(BoolAttr, default_value=FALSE)

    def infer(self) -> Sequence[Attribute]:
        first, second = constant_shape(self.input1), constant_shape(self.input2)
        if first is not None and second is not None:
            self.meaning(np.array(first), np.array(second))
        return []

    def meaning(self, *operands: Array) -> Sequence[Array]:
        first, second = operands
        matches = first.shape == second.shape and np.all(
            (first == second) | (self.plain("allow_broadcast") & ((first == 1) | (second == 1)))
        )
        if not matches:
            self.fail(f"shapes {first.tolist()} and {second.tolist()} differ")
        return []


@irdl_op_definition
class ConcatShapeOp(ShapeOp):
    name = "tosa.concat_shape"

    input = var_operand_def(ShapeType)
    output = result_def(ShapeType)

    def infer(self) -> Sequence[Attribute]:
        return [ShapeType(sum(self.rank(value) for value in self.input))]

    def meaning(self, *operands: Array) -> Array:
        return np.concatenate(operands)


@irdl_op_definition
class DimOp(AxisOp):
    """The extent of `input1` along `axis`, as a list of one."""

    name = "tosa.dim"

    input1 = operand_def(TensorType)
    axis = prop_def(IntegerAttr)
    output = result_def(ShapeType)

    def infer(self) -> Sequence[Attribute]:
        self.checked_axis(shape_of(self.input1))
        return [ShapeType(1)]

    def meaning(self, *operands: Array) -> Array:
        return np.array([operands[0].shape[self.plain("axis")]], dtype=np.int64)


@irdl_op_definition
class DivCeilShapeOp(BinaryShapeOp):
    name = "tosa.div_ceil_shape"

    def meaning(self, *operands: Array) -> Array:
        return -(-operands[0] // operands[1])


@irdl_op_definition
class DivFloorShapeOp(BinaryShapeOp):
    name = "tosa.div_floor_shape"

    def meaning(self, *operands: Array) -> Array:
        return operands[0] // operands[1]


@irdl_op_definition
class Exp2ShapeOp(UnaryShapeOp):
    name = "tosa.exp2_shape"

    def meaning(self, *operands: Array) -> Array:
        return np.int64(1) << operands[0]


@irdl_op_definition
class Log2CeilShapeOp(UnaryShapeOp):
    name = "tosa.log2_ceil_shape"

    def meaning(self, *operands: Array) -> Array:
        return np.array([(int(extent) - 1).bit_length() for extent in operands[0]], dtype=np.int64)


@irdl_op_definition
class Log2FloorShapeOp(UnaryShapeOp):
    name = "tosa.log2_floor_shape"

    def meaning(self, *operands: Array) -> Array:
        return np.array([int(extent).bit_length() - 1 for extent in operands[0]], dtype=np.int64)


@irdl_op_definition
class MaxShapeOp(BinaryShapeOp):
    name = "tosa.max_shape"

    def meaning(self, *operands: Array) -> Array:
        return np.maximum(*operands)


@irdl_op_definition
class MinShapeOp(BinaryShapeOp):
    name = "tosa.min_shape"

    def meaning(self, *operands: Array) -> Array:
        return np.minimum(*operands)


@irdl_op_definition
class ModShapeOp(BinaryShapeOp):
    name = "tosa.mod_shape"

    def meaning(self, *operands: Array) -> Array:
        return operands[0] % operands[1]


@irdl_op_definition
class MulShapeOp(BinaryShapeOp):
    name = "tosa.mul_shape"

    def meaning(self, *operands: Array) -> Array:
        return np.multiply(*operands)


@irdl_op_definition
class SliceShapeOp(ShapeOp):
    """`size` extents of `input` from `start`; both are constant lists of one."""

    name = "tosa.slice_shape"

    input = operand_def(ShapeType)
    start = operand_def(TensorType)
    size = operand_def(TensorType)
    output = result_def(ShapeType)

    def infer(self) -> Sequence[Attribute]:
        start, size = constant_shape(self.start), constant_shape(self.size)
        if start is None or size is None or len(start) != 1 or len(size) != 1:
            self.fail("start and size must be constants of one element")
        if start[0] < 0 or size[0] < 1 or start[0] + size[0] > self.rank(self.input):
            self.fail(f"start {start[0]} and size {size[0]} lie outside of {self.input.type}")
        return [ShapeType(size[0])]

    def meaning(self, *operands: Array) -> Array:
        values, start, size = operands
        return values[start.item() : start.item() + size.item()]


@irdl_op_definition
class SubShapeOp(BinaryShapeOp):
    name = "tosa.sub_shape"

    def meaning(self, *operands: Array) -> Array:
        return np.subtract(*operands)
