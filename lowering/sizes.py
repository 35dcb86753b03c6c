"""The sizes of tensors as values of the host: what `tensor.dim` would say, without asking for the tensor."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, IndexType, IntegerAttr, IntegerType, TensorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.dialects.tensor import (
    CastOp,
    CollapseShapeOp,
    ConcatOp,
    DimOp,
    EmptyOp,
    ExpandShapeOp,
    ExtractSliceOp,
    InsertSliceOp,
    PadOp,
)
from xdsl.ir import Block, BlockArgument, Operation, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from .dialects.device import TransferOp
from .dialects.dispatch import RegionOp, SegmentOp, dynamic_dims
from .dialects.encoding import SetOp, UnsetOp
from .dialects.linalg import NamedOp, PackOp, UnpackOp
from .ir import reassociation_of, shape_of

Size: TypeAlias = "int | SSAValue"
"""An extent: known, or an index value of the host."""


class Sizes:
    """Answers what the extents of a tensor are. Equal questions get the same values.

    The arithmetic that an answer needs is put in front of the operation that defines the tensor (behind it where only
    the tensor itself knows, as for the results of loops), so that it can be used wherever the tensor can.
    """

    def __init__(self) -> None:
        self._known: dict[SSAValue, tuple[Size, ...]] = {}

    def of(self, value: SSAValue) -> tuple[Size, ...]:
        """The extents of the tensor `value`."""
        # An answer that nobody made use of may have been erased since.
        if value not in self._known or any(map(_is_erased, self._known[value])):
            shape = shape_of(value)
            found = self._find(value) if DYNAMIC_INDEX in shape else shape
            self._known[value] = tuple(
                size if size != DYNAMIC_INDEX else other for size, other in zip(shape, found, strict=True)
            )
        return self._known[value]

    def settle(self, block: Block) -> None:
        """Do all arithmetic that sizes of tensors of `block` need now, so that none is added later."""
        for op in list(block.ops):
            for result in op.results:
                if isinstance(result.type, TensorType):
                    self.of(result)

    def dynamic(self, value: SSAValue) -> list[SSAValue]:
        """An index for each `?` of the type of `value`, in order."""
        shape = shape_of(value)
        return [
            as_value(size, value) for size, known in zip(self.of(value), shape, strict=True) if known == DYNAMIC_INDEX
        ]

    def _find(self, value: SSAValue) -> Sequence[Size]:
        shape = shape_of(value)
        op = value.op if isinstance(value, OpResult) else None
        match op:
            case EmptyOp():
                return merged(shape, op.dynamic_sizes)
            case RegionOp() | SegmentOp():
                return merged(shape, _of_result(op, cast(OpResult, value)))
            case ExpandShapeOp():
                return merged(_static(op.static_output_shape), op.dynamic_output_shape)
            case CollapseShapeOp():
                source = self.of(op.src)
                return [product((source[dim] for dim in group), op) for group in reassociation_of(op)]
            case SetOp() | UnsetOp() | TransferOp() | CastOp() | ExtractSliceOp() | InsertSliceOp():
                return self._of_moved(op)
            case GenericOp() | FillOp():
                return self.of(op.outputs[op.results.index(value)])
            case NamedOp():
                return self.of(op.init)
            case PackOp() | UnpackOp():
                return self.of(op.dest)
            case PadOp():
                low = merged(_static(op.static_low), op.low)
                high = merged(_static(op.static_high), op.high)
                return [total(parts, op) for parts in zip(self.of(op.source), low, high, strict=True)]
            case ConcatOp():
                parts = [self.of(part) for part in op.inputs]
                dim = op.dim.value.data
                return [*parts[0][:dim], total((part[dim] for part in parts), op), *parts[0][dim + 1 :]]
            case _:
                return _asked(value)

    def _of_moved(self, op: Operation) -> Sequence[Size]:
        if isinstance(op, InsertSliceOp):
            return self.of(op.dest)
        if not isinstance(op, ExtractSliceOp):
            return self.of(op.operands[0])
        kept: list[Size] = []
        shape = shape_of(op.result)
        static = _static(op.static_sizes)
        for size, known in zip(merged(static, op.sizes), static, strict=True):
            if len(kept) < len(shape) and known == shape[len(kept)]:  # else of extent one, and gone from the result
                kept.append(size)
        return kept


def _is_erased(size: Size) -> bool:
    return isinstance(size, OpResult) and size.op.parent is None


def merged(static: Sequence[int], dynamic: Iterable[SSAValue]) -> tuple[Size, ...]:
    """The static sizes, with one of the `dynamic` ones in place of each DYNAMIC_INDEX."""
    remaining = iter(dynamic)
    return tuple(next(remaining) if size == DYNAMIC_INDEX else size for size in static)


def split(sizes: Iterable[Size]) -> tuple[list[int], list[SSAValue]]:
    """The inverse of `merged`: (static sizes, dynamic ones)."""
    sizes = list(sizes)
    known = [constant_of(size) for size in sizes]
    static = [DYNAMIC_INDEX if size is None else size for size in known]
    return static, [cast(SSAValue, size) for size, number in zip(sizes, known, strict=True) if number is None]


def constant_of(size: Size) -> int | None:
    """The number that a size is, if that is known."""
    if isinstance(size, int):
        return size
    constant = size.op if isinstance(size, OpResult) else None
    if isinstance(constant, arith.ConstantOp) and isinstance(constant.value, IntegerAttr):
        return constant.value.value.data
    return None


def same(first: Size, second: Size) -> bool:
    """Whether two sizes are certainly equal."""
    number = constant_of(first)
    return first is second or (number is not None and number == constant_of(second))


def as_value(size: Size, of: SSAValue | Operation) -> SSAValue:
    """A size as an index value; a constant is placed in front of the operation `of`, or what defines that value."""
    if isinstance(size, SSAValue):
        return size
    constant = arith.ConstantOp(IntegerAttr(size, IndexType()))
    _insert(constant, of)
    return constant.result


def product(sizes: Iterable[Size], before: Operation) -> Size:
    """The product of sizes, computed in front of `before` as far as it is not known."""
    return _combined(sizes, before, arith.MuliOp, 1, operator.mul)


def total(sizes: Iterable[Size], before: Operation) -> Size:
    """The sum of sizes, computed in front of `before` as far as it is not known."""
    return _combined(sizes, before, arith.AddiOp, 0, operator.add)


def ceil_div(size: Size, divisor: int, before: Operation) -> Size:
    """How many tiles of `divisor` cover `size`, computed in front of `before` unless known."""
    number = constant_of(size)
    if number is not None:
        return -(-number // divisor)
    if divisor == 1:
        return size
    quotient = arith.CeilDivSIOp(as_value(size, before), as_value(divisor, before))
    _insert(quotient, before)
    return quotient.result


def floor_div(size: Size, divisor: int, before: Operation) -> Size:
    """`size` divided by a positive number, rounded down; computed in front of `before` unless known."""
    number = constant_of(size)
    if number is not None:
        return number // divisor
    quotient = arith.FloorDivSIOp(as_value(size, before), as_value(divisor, before))
    _insert(quotient, before)
    return quotient.result


def _combined(
    sizes: Iterable[Size],
    before: Operation,
    combine: type[arith.MuliOp | arith.AddiOp],
    neutral: int,
    fold: Callable[[int, int], int],
) -> Size:
    known = neutral
    values: list[SSAValue] = []
    for size in sizes:
        number = constant_of(size)
        if number is None:
            values.append(cast(SSAValue, size))
        else:
            known = fold(known, number)
    if not values:
        return known
    result = values[0]
    for value in [*values[1:], *([as_value(known, before)] if known != neutral else [])]:
        combined = combine(result, value)
        _insert(combined, before)
        result = combined.result
    return result


def _asked(value: SSAValue) -> list[Size]:
    """The extents of a block argument or of what only its producer knows, by `tensor.dim`."""
    sizes: list[Size] = []
    for dim, size in enumerate(shape_of(value)):
        if size == DYNAMIC_INDEX:
            index = arith.ConstantOp(IntegerAttr(dim, IndexType()))
            asked = _asked_before(value, dim) or DimOp(value, index)
            if asked.parent is not None:
                asked.detach()
            asked.operands[1] = index.result
            Rewriter.insert_op([index, asked], _behind(value))
            size = asked.result
        sizes.append(size)
    return sizes


def _asked_before(value: SSAValue, dim: int) -> DimOp | None:
    """An operation that asks for the same, in the block where `value` is defined."""
    block = value.owner if isinstance(value.owner, Block) else value.owner.parent
    for use in value.uses:
        op = use.operation
        if isinstance(op, DimOp) and op.parent is block and constant_of(op.index) == dim:
            return op
    return None


def _behind(value: SSAValue) -> InsertPoint:
    if isinstance(value, BlockArgument):
        return InsertPoint.at_start(value.block)
    assert isinstance(value, OpResult)
    return InsertPoint.after(value.op)


def _insert(op: Operation, of: SSAValue | Operation) -> None:
    if isinstance(of, Operation):
        Rewriter.insert_op(op, InsertPoint.before(of))
    elif isinstance(of, BlockArgument):
        Rewriter.insert_op(op, InsertPoint.at_start(of.block))
    else:
        Rewriter.insert_op(op, InsertPoint.before(cast(OpResult, of).op))


def _of_result(op: RegionOp | SegmentOp, value: OpResult) -> Sequence[SSAValue]:
    """Those of the `result_dims` that are sizes of `value`."""
    begin = dynamic_dims(op.result_types[: value.index])
    return op.result_dims[begin : begin + dynamic_dims([value.type])]


def _static(values: DenseArrayBase) -> tuple[int, ...]:
    return cast("DenseArrayBase[IntegerType]", values).get_values()
