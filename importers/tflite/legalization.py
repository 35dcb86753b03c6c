"""The context of a TFLite legalisation, and the table that legalisations register in.

    from ...tosa import dialect as tosa
    from ..legalization import Context, Operator, legalize

    @legalize("LEAKY_RELU")
    def leaky_relu(op: Operator, context: Context) -> SSAValue:
        alpha = op.options(tflite.LeakyReluOptions).Alpha()
        x = context.value(op.input(0))
        if op.input(0).quantization is not None:
            context.unsupported("quantised LEAKY_RELU; ...")
        scaled = context.add(tosa.MulOp(x, context.splat(alpha, like=x), context.zero_shift()))
        return context.add(tosa.MaximumOp(x, scaled))

Rules that keep legalisations short:

- Shapes come from values, never from the file: `context.shape_of(tensor)` is right under `--shape` too (-1 = dynamic).
  `op.output(i).shape` is only what the file declared, and is checked against the result by the importer.
- uint8 tensors are seen as int8: quantised ones with their zero point lowered by 128 and constant data shifted, so no
  legalisation handles uint8 (`tensor.unsigned` tells, for CAST). The importer rescales at the model's boundary.
- A missing or wrong operand, option or quantisation field of a damaged file raises a FieldError, which is a
  MalformedFileError, in the view. Constraints that TOSA operations verify themselves need no check here: the importer
  turns their VerifyException into a FieldError of the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Block, SSAValue

from ...tosa import dialect as tosa
from ...tosa.interpreter import evaluate_operation
from ..registry import Array, Registry, TosaBuilder, shape_of
from .errors import FieldError
from .model import Operator, Tensor

# Shapes, axes and the like; larger constants are left to folding.
_MAX_KNOWN_ELEMENTS = 4096

__all__ = ["Context", "Operator", "Tensor", "legalize"]


class Context(TosaBuilder):
    """What a legalisation of one subgraph sees: the values made so far, and the builder for new ones."""

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        self._values: dict[int, SSAValue] = {}
        self._known: dict[SSAValue, Array | None] = {}

    def bind(self, tensor: Tensor, value: SSAValue) -> None:
        """From now on `value` stands for `tensor`."""
        self._values[tensor.index] = value

    def value(self, tensor: Tensor) -> SSAValue:
        """The TOSA value of `tensor`: what its producer returned, the function argument, or its constant data."""
        if tensor.index not in self._values:
            if tensor.data is None:
                raise FieldError(tensor.path, f"tensor '{tensor.name}' is used before it is produced")
            return self.constant(tensor.data, TensorType(tensor.element_type, tensor.data.shape))
        return self._values[tensor.index]

    def type_of(self, tensor: Tensor) -> TensorType[Attribute]:
        """The tensor type of `tensor`'s value."""
        type = self.value(tensor).type
        assert isinstance(type, TensorType)
        return type

    def shape_of(self, tensor: Tensor) -> tuple[int, ...]:
        """The shape of `tensor`'s value; DYNAMIC (-1) where a dimension is not known until run time."""
        if tensor.data is not None and tensor.index not in self._values:
            return tensor.data.shape
        return shape_of(self.value(tensor))

    def constant_data(self, tensor: Tensor, kinds: str = "iu") -> Array:
        """The elements of a tensor that must be known at compile time, such as paddings or axes.

        Raises ValueError unless their dtype is of one of numpy's `kinds`: i and u are integers, f is floating-point.
        """
        array = self.known_data(tensor)
        if array is None:
            self.unsupported(f"'{tensor.name}' must be a constant; computed values are not supported there")
        if array.dtype.kind not in kinds:
            raise ValueError(f"'{tensor.name}' has elements of type {tensor.type_name}, which cannot be meant there")
        return array

    def known_data(self, tensor: Tensor) -> Array | None:
        """The elements of `tensor` where they are known at compile time, else None."""
        if tensor.index not in self._values:
            return tensor.data
        return self._evaluate(self._values[tensor.index])

    def _evaluate(self, value: SSAValue) -> Array | None:
        """The elements of a small value computed from constants alone, such as a shape put together by the model."""
        if value in self._known:
            return self._known[value]
        array, owner = tosa.constant(value), value.owner
        small = isinstance(value.type, TensorType) and abs(prod(shape_of(value))) <= _MAX_KNOWN_ELEMENTS
        if array is None and isinstance(owner, tosa.TosaOp) and (small or isinstance(value.type, tosa.ShapeType)):
            operands = [known for operand in owner.operands if (known := self._evaluate(operand)) is not None]
            if owner.operands and len(operands) == len(owner.operands):
                (array,) = evaluate_operation(owner, operands)
        self._known[value] = array
        return array

    def zero_shift(self) -> SSAValue:
        """The `shift` operand of a tosa.mul that does not shift."""
        return self.constant(np.zeros((1,), np.int8))


Legalization = Callable[[Operator, Context], SSAValue | Sequence[SSAValue]]

legalize: Registry[Legalization] = Registry("TFLite")
