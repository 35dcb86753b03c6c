"""The families of element-wise operators: operands broadcast together, one result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import TensorType, i1
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import operand_def, result_def, traits_def
from xdsl.traits import Pure

from .base import Array, TosaOp
from .types import broadcast_shapes, element_of, is_float, shape_of


class ElementwiseOp(TosaOp):
    """All tensor operands broadcast together and have one element type, which is that of the result.

    A subclass computes one element in `compute`; integer arithmetic wraps at the width of its type.
    """

    traits = traits_def(Pure())

    FLOAT_ONLY: ClassVar[bool] = False

    def tensors(self) -> Sequence[SSAValue]:
        """The operands that broadcast: not a shift, a zero point or a table."""
        return self.operands

    def result_element(self, element: Attribute) -> Attribute:
        """The element type of the result where the operands have `element`."""
        return element

    def infer(self) -> Sequence[Attribute]:
        element, *others = (element_of(value) for value in self.tensors())
        if any(other != element for other in others):
            self.fail(
                f"operands must have one element type, got {', '.join(str(value.type) for value in self.tensors())}"
            )
        if self.FLOAT_ONLY and not is_float(element):
            self.fail(f"needs floating-point operands, got {element}")
        return [TensorType(self.result_element(element), broadcast_shapes(*map(shape_of, self.tensors())))]

    def compute(self, *operands: Array) -> Array:
        """The result for numpy operands. numpy's warnings are off: overflow and NaN are results like others."""
        raise NotImplementedError

    def meaning(self, *operands: Array) -> Array:
        with np.errstate(all="ignore"):
            return self.compute(*operands)


class UnaryOp(ElementwiseOp):
    """A function of one tensor, as most operators name it."""

    input1 = operand_def(TensorType)
    output = result_def(TensorType)


class BinaryOp(ElementwiseOp):
    """A function of two tensors."""

    input1 = operand_def(TensorType)
    input2 = operand_def(TensorType)
    output = result_def(TensorType)


class ComparisonOp(BinaryOp):
    """Compares element by element; the result is a tensor of i1."""

    def result_element(self, element: Attribute) -> Attribute:
        return i1
