"""The sizes of the tensors of a dispatch region: which are the same, and which parameter of the kernel holds them.

Every `?` of every tensor type starts as an unknown of its own. The operations say which of them are equal (a loop of a
generic has one size, whatever operand it walks), and solving these equations leaves parameters of the kernel.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, TensorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.dialects.tensor import (
    CollapseShapeOp,
    ConcatOp,
    EmptyOp,
    ExpandShapeOp,
    ExtractSliceOp,
    InsertSliceOp,
    PadOp,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from ...runtime.errors import UnsupportedError
from ..dialects import linalg, tiled
from ..ir import reassociation_of
from .extent import Extent, Size, product

SizeOf = Callable[[SSAValue], Extent]
"""The size that an index value is."""


class Sizes:
    """The equations between the sizes of a region's tensors, and what follows from them."""

    def __init__(self, size_of: SizeOf) -> None:
        self._size_of = size_of
        self._shapes: dict[SSAValue, tuple[Extent, ...]] = {}
        self._unknowns = itertools.count()
        self._equations: list[tuple[Extent, Extent]] = []
        self._known: dict[str, Extent] = {}

    def define(self, value: SSAValue, shape: Sequence[Extent]) -> None:
        """Says what the shape of a region's argument is."""
        self._shapes[value] = tuple(shape)

    def shape(self, value: SSAValue) -> tuple[Extent, ...]:
        """The shape of a tensor. Raises UnsupportedError where nothing tells a size."""
        shape = self.resolve(self.raw(value))
        if any(register.startswith("?") for size in shape if isinstance(size, Size) for register in size.registers()):
            raise UnsupportedError("no code can be generated", [f"a size of {value} cannot be told inside a dispatch"])
        return shape

    def resolve(self, sizes: Sequence[Extent]) -> tuple[Extent, ...]:
        return tuple(size if isinstance(size, int) else size.substitute(self._known) for size in sizes)

    def add(self, operation: Operation) -> None:
        """Takes up what `operation` says of its operands' and results' sizes."""
        for shape, other in self._relations(operation):
            self.equate(shape, other)

    def equate(self, value: SSAValue | Sequence[Extent], other: Sequence[Extent]) -> None:
        left = self.raw(value) if isinstance(value, SSAValue) else value
        self._equations += zip(left, other, strict=True)

    def solve(self) -> None:
        """Expresses unknowns by parameters, and parameters by equal ones before them."""
        left = self._equations
        while left:
            rest = [equation for equation in left if not self._solve_one(*self.resolve(equation))]
            if len(rest) == len(left):
                return  # what remains needs a division; the sizes in it are known otherwise, or nobody asks
            left = rest

    def _solve_one(self, a: Extent, b: Extent) -> bool:
        if a == b:
            return True
        if _rank(a) < _rank(b):
            a, b = b, a
        name = a.register if isinstance(a, Size) else None
        if name is None or not self._may_replace(name, b):
            return False
        for key, value in self._known.items():
            if isinstance(value, Size):
                self._known[key] = value.substitute({name: b})
        self._known[name] = b
        return True

    @staticmethod
    def _may_replace(name: str, size: Extent) -> bool:
        """Unknowns by anything; parameters only by known sizes and other registers, which cost nothing."""
        if isinstance(size, int):
            return True
        return name not in size.registers() and (name.startswith("?") or size.register is not None)

    def raw(self, value: SSAValue) -> tuple[Extent, ...]:
        """The shape of a tensor as it is written before anything is solved."""
        if not isinstance(value.type, TensorType):
            return ()
        if value not in self._shapes:
            type = cast("TensorType[Attribute]", value.type)
            self._shapes[value] = tuple(
                Size({(f"?{next(self._unknowns)}",): 1}) if size == DYNAMIC_INDEX else size for size in type.get_shape()
            )
        return self._shapes[value]

    def mixed(self, static: DenseArrayBase[Any], dynamic: Sequence[SSAValue]) -> list[Extent]:
        """Amounts of an operation, some constants, some operands."""
        operands = iter(dynamic)
        return [
            self._size_of(next(operands)) if amount == DYNAMIC_INDEX else cast(int, amount)
            for amount in static.get_values()
        ]

    def _relations(self, op: Operation) -> Iterator[tuple[SSAValue | Sequence[Extent], Sequence[Extent]]]:
        match op:
            case EmptyOp():
                sizes = iter(op.dynamic_sizes)
                shape = cast("TensorType[Attribute]", op.tensor.type).get_shape()
                yield op.tensor, [self._size_of(next(sizes)) if s == DYNAMIC_INDEX else s for s in shape]
            case FillOp():
                yield op.results[0], self.raw(op.outputs[0])
            case GenericOp():
                for result, init in zip(op.results, op.outputs, strict=True):
                    yield result, self.raw(init)
                maps = [attribute.data for attribute in op.indexing_maps.data]
                yield from self._loops([*op.inputs, *op.outputs], maps)
            case linalg.NamedOp():
                yield op.results[0], self.raw(op.operands[-1])
                yield from self._loops(op.operands, op.indexing_maps_of_operands())
            case tiled.MatmulOp():
                yield self.raw(op.lhs)[:-1], self.raw(op.result)[:-1]
            case CollapseShapeOp():
                source, groups = self.raw(op.src), reassociation_of(op)
                yield op.result, [product(source[dim] for dim in group) for group in groups]
            case ExpandShapeOp():
                shape = self.mixed(op.static_output_shape, op.dynamic_output_shape)
                yield op.result, shape
                yield op.src, [product(shape[dim] for dim in group) for group in reassociation_of(op)]
            case PadOp():
                low, high = self.mixed(op.static_low, op.low), self.mixed(op.static_high, op.high)
                yield op.result, [a + b + c for a, b, c in zip(self.raw(op.source), low, high, strict=True)]
            case ConcatOp():
                yield from self._concatenated(op)
            case ExtractSliceOp():
                sizes = self.mixed(op.static_sizes, op.sizes)
                kept = kept_dims(sizes, self.raw(op.result))
                yield op.result, [sizes[dim] for dim in kept]
            case InsertSliceOp():
                yield op.result, self.raw(op.dest)
                sizes = self.mixed(op.static_sizes, op.sizes)
                kept = kept_dims(sizes, self.raw(op.source))
                yield op.source, [sizes[dim] for dim in kept]
            case linalg.PackOp() | linalg.UnpackOp():
                yield op.result, self.raw(op.dest)
            case _:
                return

    def _loops(
        self, operands: Sequence[SSAValue], maps: Sequence[AffineMap]
    ) -> Iterator[tuple[Sequence[Extent], Sequence[Extent]]]:
        loops: dict[int, Extent] = {}
        for value, map in zip(operands, maps, strict=True):
            for expression, size in zip(map.results, self.raw(value), strict=True):
                if isinstance(expression, AffineDimExpr):
                    yield [size], [loops.setdefault(expression.position, size)]

    def _concatenated(self, op: ConcatOp) -> Iterator[tuple[Sequence[Extent], Sequence[Extent]]]:
        dim, result = int(op.dim.value.data), self.raw(op.result)
        total: Extent = 0
        for value in op.inputs:
            shape = self.raw(value)
            total = total + shape[dim]
            yield [*shape[:dim], *shape[dim + 1 :]], [*result[:dim], *result[dim + 1 :]]
        yield [result[dim]], [total]


_UNKNOWN = 2


def _rank(size: Extent) -> int:
    """What is better replaced by the other side of an equation has the higher rank."""
    if isinstance(size, int) or size.register is None:
        return 0
    return _UNKNOWN if size.register.startswith("?") else 1


def kept_dims(sizes: Sequence[Extent], shape: Sequence[Extent]) -> list[int]:
    """The dimensions of a slice that the tensor of `shape` has: unit dimensions may be missing in it."""
    spare = len(sizes) - len(shape)
    kept: list[int] = []
    for dim, size in enumerate(sizes):
        if spare and size == 1 and (len(kept) == len(shape) or shape[len(kept)] != 1):
            spare -= 1
        else:
            kept.append(dim)
    if spare:
        # More units than missing: the first ones were kept, any choice describes the same elements.
        units = [dim for dim in kept if sizes[dim] == 1][:spare]
        kept = [dim for dim in kept if dim not in units]
    return kept
