"""Data layout: concat, pad, reshape, reverse, slice, tile, transpose (TOSA 1.0)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, IntegerAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.traits import Pure

from .base import Array, TosaOp, constant_shape
from .reduction import AxisOp
from .types import ShapeType, element_of, shape_of


class LayoutOp(TosaOp):
    """Moves elements without computing on them, as `!tosa.shape` operands say."""

    traits = traits_def(Pure())

    def extents(self, value: SSAValue, length: int, name: str) -> tuple[int, ...]:
        """The constant in a `!tosa.shape` operand, all dynamic if it is not constant; it must have `length` entries."""
        if not isinstance(value.type, ShapeType) or value.type.rank.data != length:
            self.fail(f"{name} must be !tosa.shape<{length}>, got {value.type}")
        found = constant_shape(value)
        return (DYNAMIC_INDEX,) * length if found is None else found

    def inferable(self, extents: Sequence[int]) -> list[int]:
        """`extents` in which -1 stands for an extent that follows from the others."""
        return [DYNAMIC_INDEX if extent == -1 else extent for extent in extents]


@irdl_op_definition
class ConcatOp(AxisOp):
    """Joins tensors along `axis`."""

    name = "tosa.concat"

    input1 = var_operand_def(TensorType)
    axis = prop_def(IntegerAttr)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        if not self.input1:
            self.fail("needs at least one operand")
        element, shapes = element_of(self.input1[0]), [shape_of(value) for value in self.input1]
        if any(element_of(value) != element for value in self.input1) or len({len(shape) for shape in shapes}) > 1:
            self.fail(
                f"operands must have one rank and element type, got {', '.join(str(v.type) for v in self.input1)}"
            )
        axis = self.checked_axis(shapes[0])
        result: list[int] = []
        for dimension, extents in enumerate(zip(*shapes, strict=True)):
            if dimension == axis:
                result.append(DYNAMIC_INDEX if DYNAMIC_INDEX in extents else sum(extents))
                continue
            result.append(self.unify(f"extents {dimension} of the operands", *extents))
        return [TensorType(element, result)]

    def meaning(self, *operands: Array) -> Array:
        return np.concatenate(operands, axis=self.plain("axis"))


@irdl_op_definition
class PadOp(LayoutOp):
    """Surrounds `input1` with `pad_const`; `padding` holds before and after of each dimension."""

    name = "tosa.pad"

    input1 = operand_def(TensorType)
    padding = operand_def(ShapeType)
    pad_const = operand_def(TensorType)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        shape, element = shape_of(self.input1), element_of(self.input1)
        padding = self.extents(self.padding, 2 * len(shape), "padding")
        if element_of(self.pad_const) != element:
            self.fail(f"pad_const must have the element type {element}, got {self.pad_const.type}")
        if constant_shape(self.padding) is None:
            return [TensorType(element, [DYNAMIC_INDEX] * len(shape))]
        if any(amount < 0 for amount in padding):
            self.fail(f"padding must not be negative, got {list(padding)}")
        pairs = zip(shape, padding[::2], padding[1::2], strict=True)
        return [TensorType(element, [e if e == DYNAMIC_INDEX else before + e + after for e, before, after in pairs])]

    def meaning(self, *operands: Array) -> Array:
        input1, padding, pad_const = operands
        return np.pad(input1, padding.reshape(-1, 2), constant_values=pad_const.item())


@irdl_op_definition
class ReshapeOp(LayoutOp):
    """The same elements in another shape; one extent of `shape` may be -1: what is left over."""

    name = "tosa.reshape"

    input1 = operand_def(TensorType)
    shape = operand_def(ShapeType)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        source, element = shape_of(self.input1), element_of(self.input1)
        if not isinstance(self.shape.type, ShapeType):
            self.fail(f"shape must be a !tosa.shape, got {self.shape.type}")
        target = self.inferable(self.extents(self.shape, self.shape.type.rank.data, "shape"))
        if constant_shape(self.shape) is None or DYNAMIC_INDEX in source:
            return [TensorType(element, target)]
        size = math.prod(source)
        known = math.prod(extent for extent in target if extent != DYNAMIC_INDEX)
        if target.count(DYNAMIC_INDEX) == 1 and known and size % known == 0:
            target[target.index(DYNAMIC_INDEX)] = size // known
        elif known != size or DYNAMIC_INDEX in target:
            self.fail(f"cannot reshape {self.input1.type} to {target}")
        return [TensorType(element, target)]

    def meaning(self, *operands: Array) -> Array:
        return operands[0].reshape(tuple(operands[1]))


@irdl_op_definition
class ReverseOp(AxisOp):
    name = "tosa.reverse"

    input1 = operand_def(TensorType)
    axis = prop_def(IntegerAttr)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        self.checked_axis(shape_of(self.input1))
        return [self.input1.type]

    def meaning(self, *operands: Array) -> Array:
        return np.flip(operands[0], axis=self.plain("axis"))


@irdl_op_definition
class SliceOp(LayoutOp):
    """The box of extents `size` that begins at `start`."""

    name = "tosa.slice"

    input1 = operand_def(TensorType)
    start = operand_def(ShapeType)
    size = operand_def(ShapeType)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        shape = shape_of(self.input1)
        start = self.extents(self.start, len(shape), "start")
        size = self.inferable(self.extents(self.size, len(shape), "size"))
        known = constant_shape(self.start) is not None
        for dimension, (begin, length, extent) in enumerate(zip(start, size, shape, strict=True)):
            if known and (begin < 0 or (DYNAMIC_INDEX not in (extent, length) and begin + length > extent)):
                self.fail(f"dimension {dimension}: start {begin} and size {length} lie outside of {self.input1.type}")
        return [TensorType(element_of(self.input1), size)]

    def meaning(self, *operands: Array) -> Array:
        input1, start, size = operands
        # A size of -1 stands for a dynamic extent: all that is left.
        ends = (None if length < 0 else begin + length for begin, length in zip(start, size, strict=True))
        return input1[tuple(slice(begin, end) for begin, end in zip(start, ends, strict=True))]


@irdl_op_definition
class TileOp(LayoutOp):
    """Repeats `input1` `multiples` times along each dimension."""

    name = "tosa.tile"

    input1 = operand_def(TensorType)
    multiples = operand_def(ShapeType)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        shape = shape_of(self.input1)
        multiples = self.extents(self.multiples, len(shape), "multiples")
        pairs = zip(shape, multiples, strict=True)
        extents = [DYNAMIC_INDEX if DYNAMIC_INDEX in pair else pair[0] * pair[1] for pair in pairs]
        return [TensorType(element_of(self.input1), extents)]

    def meaning(self, *operands: Array) -> Array:
        return np.tile(operands[0], tuple(operands[1]))


@irdl_op_definition
class TransposeOp(LayoutOp):
    """Dimension i of the result is dimension perms[i] of `input1`."""

    name = "tosa.transpose"

    input1 = operand_def(TensorType)
    perms = prop_def(DenseArrayBase)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        shape, perms = shape_of(self.input1), self.plain("perms")
        if sorted(perms) != list(range(len(shape))):
            self.fail(f"perms {list(perms)} must be a permutation of the {len(shape)} dimensions")
        return [TensorType(element_of(self.input1), [shape[dimension] for dimension in perms])]

    def meaning(self, *operands: Array) -> Array:
        return np.transpose(operands[0], self.plain("perms"))
