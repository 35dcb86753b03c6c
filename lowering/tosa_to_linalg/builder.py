"""Building the tensor operations that replace one TOSA operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from xdsl.dialects import tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, IndexType, TensorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp, YieldOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap
from xdsl.rewriter import InsertPoint, Rewriter

from ...tosa.dialect import ConstOp
from ...tosa.dialect import constant as constant_of
from ...tosa.dialect.types import element_of, shape_of
from ...tosa.elements import ElementsAttr
from ..dialects.linalg import PARALLEL, REDUCTION, dims
from .body import Body, scalar_constant

Mapped: TypeAlias = tuple[SSAValue, AffineMap]
"""A tensor and the indexing map through which a generic reads it."""
Sizes: TypeAlias = Mapping[int, tuple[SSAValue, int]]
"""For dimensions of a new tensor: the tensor and the dimension of it from which a dynamic extent is taken."""

_Op = TypeVar("_Op", bound=Operation)


class CannotLower(Exception):
    """Why this operator, with these attributes and types, has no lowering."""


class Builder:
    """Inserts operations in front of `anchor`, the operator being lowered.

    They have its place in the text and, as far as they compute, what it says besides, such as its device.
    """

    def __init__(self, anchor: Operation) -> None:
        self._point = InsertPoint.before(anchor)
        self._location = anchor.location
        self._attributes = {name: value for name, value in anchor.attributes.items() if "." in name}

    def insert(self, operation: _Op) -> _Op:
        operation.location = self._location
        if operation.operands:
            operation.attributes |= self._attributes
        Rewriter.insert_op(operation, self._point)
        return operation

    def scalar(self, value: int | float, type: Attribute) -> SSAValue:
        return self.insert(scalar_constant(value, type)).result

    def constant(self, array: np.ndarray[Any, Any], element: Attribute | None = None) -> SSAValue:
        """A constant tensor; `element` where the dtype does not tell the element type (i48)."""
        type = None if element is None else TensorType(element, array.shape)
        return self.insert(ConstOp(ElementsAttr.from_array(array, type))).output

    def empty(self, shape: Sequence[int], element: Attribute, sizes: Sizes | None = None) -> SSAValue:
        """An uninitialised tensor; `sizes` says where dynamic extents come from."""
        dynamic: list[SSAValue] = []
        for dim, extent in enumerate(shape):
            if extent == DYNAMIC_INDEX:
                if sizes is None or dim not in sizes:
                    raise CannotLower(f"extent {dim} of its result is dynamic: give all shapes with --shape")
                source, source_dim = sizes[dim]
                index = self.scalar(source_dim, IndexType())
                dynamic.append(self.insert(tensor.DimOp(source, index)).result)
        return self.insert(tensor.EmptyOp(dynamic, TensorType(element, shape))).tensor

    def full(
        self, value: int | float, shape: Sequence[int], element: Attribute, sizes: Sizes | None = None
    ) -> SSAValue:
        """A tensor with `value` everywhere."""
        fill = FillOp([self.scalar(value, element)], [self.empty(shape, element, sizes)])
        return self.insert(fill).res[0]

    def generic(
        self,
        inputs: Sequence[Mapped],
        outputs: Sequence[Mapped],
        reduced: Sequence[int],
        body: Callable[..., SSAValue | Sequence[SSAValue]],
    ) -> Sequence[SSAValue]:
        """A `linalg.generic` that writes over `outputs`.

        `body(Body, *elements)` gets an element of each input and each output and returns those to write; `reduced`
        are the dimensions of the iteration space that are reductions.
        """
        mapped = [*inputs, *outputs]
        block = Block(arg_types=[element_of(value) for value, _ in mapped])
        yielded = body(Body(block), *block.args)
        block.add_op(YieldOp(*([yielded] if isinstance(yielded, SSAValue) else yielded)))
        rank = mapped[0][1].num_dims
        generic = GenericOp(
            [value for value, _ in inputs],
            [value for value, _ in outputs],
            Region(block),
            [AffineMapAttr(map) for _, map in mapped],
            [REDUCTION if dim in reduced else PARALLEL for dim in range(rank)],
            [value.type for value, _ in outputs],
        )
        return self.insert(generic).res

    def elementwise(
        self,
        inputs: Sequence[SSAValue | Mapped],
        shape: Sequence[int],
        element: Attribute,
        body: Callable[..., SSAValue],
    ) -> SSAValue:
        """A new tensor, each element computed by `body(Body, *elements of inputs)`.

        A plain input broadcasts along its dimensions of size 1; a mapped one is read through its map. Constants of one
        element become scalars of the body.
        """
        scalars: dict[int, SSAValue] = {}
        mapped: dict[int, Mapped] = {}
        for index, entry in enumerate(inputs):
            value = entry if isinstance(entry, SSAValue) else entry[0]
            known = constant_of(value)
            if known is not None and known.size == 1:
                scalars[index] = value
            else:
                mapped[index] = (value, broadcast_map(value, shape)) if isinstance(entry, SSAValue) else entry
        sizes = {
            expression.position: (value, axis)
            for value, map in mapped.values()
            for axis, expression in enumerate(map.results)
            if isinstance(expression, AffineDimExpr)
        }
        output = (self.empty(shape, element, sizes), AffineMap.identity(len(shape)))

        def whole_body(b: Body, *elements: SSAValue) -> SSAValue:
            remaining = iter(elements)
            arguments = [
                b.constant(constant_scalar(scalars[index]), element_of(scalars[index]))
                if index in scalars
                else next(remaining)
                for index in range(len(inputs))
            ]
            return body(b, *arguments)

        return self.generic(list(mapped.values()), [output], (), whole_body)[0]

    def pad(self, value: SSAValue, low: Sequence[int], high: Sequence[int], filler: int | float) -> SSAValue:
        """`value` with `low` and `high` elements equal to `filler` around it; itself where there are none."""
        if not any(low) and not any(high):
            return value
        element, shape = element_of(value), shape_of(value)
        padded = [
            extent if extent == DYNAMIC_INDEX else extent + before + after
            for extent, before, after in zip(shape, low, high, strict=True)
        ]
        block = Block(arg_types=[IndexType()] * len(shape))
        body = Body(block)
        block.add_op(tensor.YieldOp(body.constant(filler, element)))
        return self.insert(tensor.PadOp(value, [], [], Region(block), low, high, TensorType(element, padded))).result


def broadcast_map(value: SSAValue, shape: Sequence[int]) -> AffineMap:
    """The map that reads `value` at each position of `shape`, dimensions of size 1 always at 0."""
    own = shape_of(value)
    zero = AffineConstantExpr(0)
    results = tuple(
        zero if size == 1 and extent != 1 else dim
        for dim, size, extent in zip(dims(len(shape)), own, shape, strict=True)
    )
    return AffineMap(len(shape), 0, results)


def last_dim_map(rank: int) -> AffineMap:
    """The map that reads a vector along the last of `rank` dimensions."""
    return AffineMap(rank, 0, (AffineDimExpr(rank - 1),))


def constant_scalar(value: SSAValue, name: str = "operand") -> Any:
    """The one element of a constant, as int or float; the operator cannot be lowered if it is not known."""
    array = constant_of(value)
    if array is None or array.size != 1:
        raise CannotLower(f"{name} must be a constant of one element")
    return array.item() if array.dtype.kind in "iub" else float(array.item())


def constant_array(value: SSAValue, name: str) -> np.ndarray[Any, Any]:
    """The elements of a constant; the operator cannot be lowered if they are not known."""
    array = constant_of(value)
    if array is None:
        raise CannotLower(f"{name} must be a constant")
    return array


def static_shape(value: SSAValue, name: str) -> tuple[int, ...]:
    """The shape of a value where the lowering needs all of it."""
    shape = shape_of(value)
    if DYNAMIC_INDEX in shape:
        raise CannotLower(f"the shape of {name} is dynamic: give all shapes with --shape")
    return shape
