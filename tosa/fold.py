"""Constant folding: an operator whose operands are all constant becomes a constant, through its meaning.

Folding must not make a program larger: a result above 16 KiB that outweighs its operands stays an operator. So a
half-precision or i8 weight that is cast to f32 travels small; the compiler evaluates it when it lays weights out.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation

from .dialect import ConstOp, ConstShapeOp, ShapeType, TosaOp, constant
from .dialect.types import shape_of
from .elements import ElementsAttr, numpy_dtype
from .interpreter import evaluate_operation

_FREE_BYTES = 16384


def fold(operation: TosaOp) -> Sequence[Operation] | None:
    """The constants that `operation`, which must be free of side effects, always yields; None where it must stay."""
    if isinstance(operation, (ConstOp, ConstShapeOp)) or not operation.operands or operation.regions:
        return None
    operands = [array for value in operation.operands if (array := constant(value)) is not None]
    if len(operands) != len(operation.operands):
        return None
    budget = max(_FREE_BYTES, sum(array.nbytes for array in operands))
    if any(_bytes(result.type) > budget for result in operation.results):
        return None
    if type(operation).meaning is TosaOp.meaning:
        return None
    return [
        ConstShapeOp(array)
        if isinstance(result.type, ShapeType)
        else ConstOp(ElementsAttr.from_array(array, _tensor(result.type)))
        for array, result in zip(evaluate_operation(operation, operands), operation.results, strict=True)
    ]


def _tensor(type: object) -> TensorType:
    assert isinstance(type, TensorType)
    return type


def _bytes(type: object) -> float:
    """The size of a value; infinite for a dynamic shape, which no constant has."""
    if isinstance(type, ShapeType):
        return 8 * type.rank.data
    tensor = _tensor(type)
    if not tensor.has_static_shape():
        return float("inf")
    size = numpy_dtype(tensor.get_element_type()).itemsize
    for extent in shape_of(tensor):
        size *= extent
    return size
