"""Which sizes are certainly equal, as far as a host block tells.

An operation of linalg takes the sizes of all dimensions that one of its loops runs over for equal. That is a promise of
the program: where the promise is not plain from the types or from how sizes were computed, a `dispatch.check` in front
of the operation holds the caller to it, and from there on the sizes count as equal. Fusion relies on nothing else.
"""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.dialects.tensor import ConcatOp, DimOp, EmptyOp, ExpandShapeOp, ExtractSliceOp, InsertSliceOp, PadOp
from xdsl.ir import Block, Operation, OpResult, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from ...runtime.errors import ArgumentError
from ..dialects.dispatch import CheckOp
from ..dialects.linalg import NamedOp, PackOp, UnpackOp
from ..ir import reassociation_of, shape_of
from ..sizes import Size, Sizes, as_value, ceil_div, constant_of, floor_div, merged, product, total


class Extents:
    """The sizes of the tensors of one block, equal ones told by being the same."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._same_as: dict[Size, Size] = {}

    def shape(self, value: SSAValue) -> tuple[Size, ...]:
        """The extents of a tensor: a number, or what stands for all values that equal this size."""
        return tuple(map(self._representative, self.sizes.of(value)))

    def learn(self, block: Block) -> None:
        """Note what the operations of `block` take for equal, with checks in front where that is not plain."""
        for op in list(block.ops):
            match op:
                case FillOp():
                    pass
                case EmptyOp():
                    for size in op.dynamic_sizes:
                        if not _is_size(size):
                            self._check("sge", size, 0, op, "the size {} is less than {}")
                case GenericOp():
                    self._loops(op, [attribute.data for attribute in op.indexing_maps])
                case NamedOp():
                    self._loops(op, list(op.indexing_maps_of_operands()))
                case ConcatOp():
                    self._concatenation(op)
                case ExpandShapeOp():
                    self._expansion(op)
                case ExtractSliceOp() | InsertSliceOp():
                    self._slice(op)
                case PadOp():
                    self._padding(op)
                case PackOp():
                    self._tiles(op, op.source, op.dest)
                case UnpackOp():
                    self._tiles(op, op.dest, op.source)
                case _:
                    pass

    def _representative(self, size: Size) -> Size:
        number = constant_of(size)
        size = size if number is None else number
        while size in self._same_as:
            size = self._same_as[size]
        return size

    def _equal(self, first: Size, second: Size, before: Operation, what: str) -> None:
        """Take two sizes for equal from here on; `what` has a {} for either."""
        first, second = self._representative(first), self._representative(second)
        if first is second or first == second:
            return
        if isinstance(first, int) and isinstance(second, int):
            raise ArgumentError(f"{before.name}: {what.format(first, second)}")
        self._check("eq", first, second, before, what)
        if isinstance(first, int):
            self._same_as[second] = first
        else:
            self._same_as[first] = second

    @staticmethod
    def _check(predicate: str, first: Size, second: Size, before: Operation, what: str) -> None:
        """Let a call fail unless `first` compares so with `second`."""
        values = [as_value(size, before) for size in (first, second)]
        holds = arith.CmpiOp(values[0], values[1], predicate)
        check = CheckOp(holds, values, f"{before.name}: {what}")
        assert before.parent is not None
        before.parent.insert_ops_before([holds, check], before)

    def _less(self, first: Size, second: Size, before: Operation, what: str) -> None:
        low, high = constant_of(first), constant_of(second)
        if low is None or high is None:
            self._check("slt", first, second, before, what)
        elif low >= high:
            raise ArgumentError(f"{before.name}: {what.format(low, high)}")

    def _loops(self, op: Operation, maps: list[AffineMap]) -> None:
        """Loops run over dimensions of equal size, and what is read else lies inside of its tensor."""
        extents: dict[int, tuple[Size, str]] = {}
        others: list[tuple[AffineExpr, Size, str]] = []
        for index, (value, map) in enumerate(zip(op.operands, maps, strict=True)):
            if not map.results:
                continue  # a scalar, or a tensor without dimensions
            for dim, (size, expr) in enumerate(zip(self.sizes.of(value), map.results, strict=True)):
                where = f"dimension {dim} of operand {index}"
                if not isinstance(expr, AffineDimExpr):
                    others.append((expr, size, where))
                elif expr.position in extents:
                    known, place = extents[expr.position]
                    self._equal(known, size, op, f"{place} is {{}} and {where} is {{}}, which must be equal")
                else:
                    extents[expr.position] = size, where
        loops = {position: size for position, (size, _) in extents.items()}
        if all(constant_of(size) is not None for size in [*loops.values(), *(size for _, size, _ in others)]):
            return  # what verification has seen already
        for expr, size, where in others:
            low, high = _range(expr, loops, op)
            self._less(high, size, op, f"reads index {{}} of {where}, whose size is {{}}")
            if constant_of(low) is None or low != 0:
                self._check("sge", low, 0, op, f"reads index {{}} of {where}, which is less than {{}}")

    def _concatenation(self, op: ConcatOp) -> None:
        first, *rest = (self.sizes.of(part) for part in op.inputs)
        for index, part in enumerate(rest, start=1):
            for dim, (a, b) in enumerate(zip(first, part, strict=True)):
                if dim != op.dim.value.data:
                    what = f"dimension {dim} of operand 0 is {{}} and of operand {index} {{}}, which must be equal"
                    self._equal(a, b, op, what)

    def _expansion(self, op: ExpandShapeOp) -> None:
        source, result = self.sizes.of(op.src), self.sizes.of(op.result)
        for dim, group in enumerate(reassociation_of(op)):
            sizes = [size for size in (result[index] for index in group) if constant_of(size) != 1]
            parts = product(sizes, op)
            self._equal(source[dim], parts, op, f"dimension {dim} is {{}} and its parts make {{}}")

    def _slice(self, op: ExtractSliceOp | InsertSliceOp) -> None:
        whole = op.source if isinstance(op, ExtractSliceOp) else op.dest
        offsets, sizes, strides = (
            merged(tuple(int(number) for number in static.get_values()), dynamic)
            for static, dynamic in (
                (op.static_offsets, op.offsets),
                (op.static_sizes, op.sizes),
                (op.static_strides, op.strides),
            )
        )
        if isinstance(op, InsertSliceOp):
            part = list(self.sizes.of(op.source))
            for size in sizes:
                if part and (constant_of(size) != 1 or constant_of(part[0]) == 1):
                    self._equal(part.pop(0), size, op, "a size of the source is {} and of the slice {}")
        for dim, (offset, size, stride) in enumerate(zip(offsets, sizes, strides, strict=True)):
            extent = self.sizes.of(whole)[dim]
            if offset == 0 and stride == 1 and self._representative(size) == self._representative(extent):
                continue
            step = stride if isinstance(stride, int) else None
            if step is None:
                raise ArgumentError(f"{op.name}: strides must be numbers")
            end = total([offset, product([size, step], op)], op)
            if step != 1:  # behind the last element, not behind the step from it
                end = total([end, 1 - step], op)
            self._less(end, total([extent, 1], op), op, f"the slice ends at {{}} of dimension {dim}, not below {{}}")
            if not isinstance(offset, int):
                self._check("sge", offset, 0, op, "the offset {} is less than {}")
            if not isinstance(size, int):
                self._check("sge", size, 0, op, "the size {} is less than {}")

    def _padding(self, op: PadOp) -> None:
        for amount in (*op.low, *op.high):
            if constant_of(amount) is None:
                self._check("sge", amount, 0, op, "the padding {} is less than {}")

    def _tiles(self, op: PackOp | UnpackOp, plain: SSAValue, packed: SSAValue) -> None:
        counts = list(self.sizes.of(plain))
        for dim, tile in zip(op.tiled_dims, op.tile_sizes, strict=True):
            counts[dim] = ceil_div(counts[dim], tile, op)
        outer = self.sizes.of(packed)[: len(counts)]
        for position, dim in enumerate(op.outer_permutation(len(shape_of(plain)))):
            what = f"{{}} tiles cover dimension {dim} and there are {{}}"
            self._equal(counts[dim], outer[position], op, what)


def _is_size(value: SSAValue) -> bool:
    """Whether an index is certainly not below zero, as what sizes are computed to."""
    number = constant_of(value)
    if number is not None:
        return number >= 0
    op = value.op if isinstance(value, OpResult) else None
    if isinstance(op, arith.AddiOp | arith.MuliOp | arith.CeilDivSIOp | arith.DivSIOp | arith.MinSIOp):
        return all(map(_is_size, op.operands))
    return isinstance(op, DimOp)


def _range(expr: AffineExpr, loops: dict[int, Size], before: Operation) -> tuple[Size, Size]:
    """The least and the greatest value of an index expression over loops of these extents."""
    match expr:
        case AffineConstantExpr():
            return expr.value, expr.value
        case AffineDimExpr():
            return 0, total([loops[expr.position], -1], before)
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add):
            left, right = _range(expr.lhs, loops, before), _range(expr.rhs, loops, before)
            return total([left[0], right[0]], before), total([left[1], right[1]], before)
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul, rhs=AffineConstantExpr() as factor):
            low, high = (product([bound, factor.value], before) for bound in _range(expr.lhs, loops, before))
            return (low, high) if factor.value >= 0 else (high, low)
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.FloorDiv, rhs=AffineConstantExpr() as divisor):
            low, high = (floor_div(bound, divisor.value, before) for bound in _range(expr.lhs, loops, before))
            return low, high
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.CeilDiv, rhs=AffineConstantExpr() as divisor):
            low, high = (ceil_div(bound, divisor.value, before) for bound in _range(expr.lhs, loops, before))
            return low, high
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mod, rhs=AffineConstantExpr() as divisor):
            return 0, divisor.value - 1
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.CeilDiv, rhs=AffineConstantExpr() as divisor):
            low, high = _range(expr.lhs, loops, before)
            return ceil_div(low, divisor.value, before), ceil_div(high, divisor.value, before)
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.FloorDiv, rhs=AffineConstantExpr() as divisor):
            low, high = (total([bound, 1 - divisor.value], before) for bound in _range(expr.lhs, loops, before))
            return ceil_div(low, divisor.value, before), ceil_div(high, divisor.value, before)
        case _:
            raise ArgumentError(f"{before.name}: the index {expr} is not known to stay inside of a tensor of any size")
