"""Reductions along one axis, which stays with extent 1 (TOSA 1.0), and argmax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, IntegerType, TensorType, i1, i32
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from .attributes import NanModeAttr
from .base import Array, TosaOp
from .types import element_of, is_float, shape_of


class AxisOp(TosaOp):
    """An operator on one `axis` of its operand."""

    traits = traits_def(Pure())

    def checked_axis(self, shape: tuple[int, ...]) -> int:
        axis: int = self.plain("axis")
        if not 0 <= axis < len(shape):
            self.fail(f"axis {axis} must be at least 0 and less than the rank {len(shape)}")
        return axis


class ReduceOp(AxisOp):
    """Combines the elements along `axis`, of which one is left."""

    input = operand_def(TensorType)
    axis = prop_def(IntegerAttr)
    output = result_def(TensorType)

    def allows(self, element: Attribute) -> bool:
        """Whether the reduction is defined for this element type."""
        return element != i1

    def infer(self) -> Sequence[Attribute]:
        shape, element = shape_of(self.input), element_of(self.input)
        axis = self.checked_axis(shape)
        if not self.allows(element):
            self.fail(f"is not defined for {element}")
        return [TensorType(element, [*shape[:axis], 1, *shape[axis + 1 :]])]

    def reduce(self, operand: Array, axis: int) -> Array:
        """`operand` reduced along `axis`, which stays."""
        raise NotImplementedError

    def meaning(self, *operands: Array) -> Array:
        return self.reduce(operands[0], self.plain("axis"))


@irdl_op_definition
class ReduceAllOp(ReduceOp):
    name = "tosa.reduce_all"

    def allows(self, element: Attribute) -> bool:
        return element == i1

    def reduce(self, operand: Array, axis: int) -> Array:
        return np.all(operand, axis=axis, keepdims=True)


@irdl_op_definition
class ReduceAnyOp(ReduceOp):
    name = "tosa.reduce_any"

    def allows(self, element: Attribute) -> bool:
        return element == i1

    def reduce(self, operand: Array, axis: int) -> Array:
        return np.any(operand, axis=axis, keepdims=True)


@irdl_op_definition
class ReduceMaxOp(ReduceOp):
    name = "tosa.reduce_max"

    nan_mode = prop_def(NanModeAttr, default_value=NanModeAttr("PROPAGATE"))

    def reduce(self, operand: Array, axis: int) -> Array:
        function = np.fmax if self.nan_mode.data == "IGNORE" else np.maximum
        return function.reduce(operand, axis=axis, keepdims=True)


@irdl_op_definition
class ReduceMinOp(ReduceOp):
    name = "tosa.reduce_min"

    nan_mode = prop_def(NanModeAttr, default_value=NanModeAttr("PROPAGATE"))

    def reduce(self, operand: Array, axis: int) -> Array:
        function = np.fmin if self.nan_mode.data == "IGNORE" else np.minimum
        return function.reduce(operand, axis=axis, keepdims=True)


@irdl_op_definition
class ReduceProductOp(ReduceOp):
    name = "tosa.reduce_product"

    def allows(self, element: Attribute) -> bool:
        return is_float(element)

    def reduce(self, operand: Array, axis: int) -> Array:
        return np.prod(operand, axis=axis, keepdims=True, dtype=operand.dtype)


@irdl_op_definition
class ReduceSumOp(ReduceOp):
    """Sums in the element type; half-precision sums are accumulated in f32 and rounded once."""

    name = "tosa.reduce_sum"

    def allows(self, element: Attribute) -> bool:
        return is_float(element) or (isinstance(element, IntegerType) and element.width.data == 32)

    def reduce(self, operand: Array, axis: int) -> Array:
        dtype = np.float32 if operand.dtype.itemsize == 2 else operand.dtype
        return np.sum(operand, axis=axis, keepdims=True, dtype=dtype)


@irdl_op_definition
class ArgMaxOp(AxisOp):
    """The index of the first greatest element along `axis`, which is removed."""

    name = "tosa.argmax"

    input = operand_def(TensorType)
    axis = prop_def(IntegerAttr)
    nan_mode = prop_def(NanModeAttr, default_value=NanModeAttr("PROPAGATE"))
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        shape = shape_of(self.input)
        axis = self.checked_axis(shape)
        return [TensorType(i32, [*shape[:axis], *shape[axis + 1 :]])]

    def meaning(self, *operands: Array) -> Array:
        (operand,) = operands
        if self.nan_mode.data == "IGNORE" and operand.dtype.kind == "f":
            operand = np.where(np.isnan(operand), -np.inf, operand)
        return np.asarray(np.argmax(operand, axis=self.plain("axis")), dtype=np.int32)
