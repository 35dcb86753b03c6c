"""Putting operations in the place of one of a hand-written program; each knows the line that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeVar

from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, IndexType, TensorType
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, YieldOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.rewriter import InsertPoint, Rewriter

from ...tosa.dialect.types import element_of, shape_of, tensor_type
from ..dialects.dispatch import CheckOp
from ..dialects.linalg import PARALLEL
from ..ir import Reassociation, erase, reassociation_attr
from ..sizes import Size, Sizes, product, split
from ..tosa_to_linalg.body import Body, scalar_constant

_Op = TypeVar("_Op", bound=Operation)


class Editor:
    """Inserts operations in front of `anchor` and puts values in the place of its results."""

    def __init__(self, anchor: Operation, sizes: Sizes) -> None:
        self.anchor = anchor
        self.sizes = sizes

    def insert(self, op: _Op) -> _Op:
        op.location = self.anchor.location
        Rewriter.insert_op(op, InsertPoint.before(self.anchor))
        return op

    def replace(self, *values: SSAValue) -> None:
        """Take the anchor away; `values` take the place of its results.

        Where more is known of the sizes of a value than the program says, a reshape forgets it.
        """
        for result, value in zip(self.anchor.results, values, strict=True):
            value = self.as_type(value, result.type)
            if value.name_hint is None:
                value.name_hint = result.name_hint
            result.replace_all_uses_with(value)
        erase(self.anchor)

    def as_type(self, value: SSAValue, type: Attribute) -> SSAValue:
        """`value` as a tensor of which other sizes are known: a reshape of each dimension into itself.

        A call fails where a size that becomes known here is another one.
        """
        if value.type == type:
            return value
        wanted = shape_of(type)
        for dim, (size, known) in enumerate(zip(self.sizes.of(value), wanted, strict=True)):
            if isinstance(size, SSAValue) and known != DYNAMIC_INDEX:
                number = self.index(known)
                holds = self.insert(arith.CmpiOp(size, number, "eq")).result
                what = f"{self.anchor.name}: dimension {dim} is {{}} and must be {{}}"
                self.insert(CheckOp(holds, [size, number], what))
        return self._collapsed(value, tensor_type(type), [[dim] for dim in range(len(wanted))])

    def scalar(self, value: float, type: Attribute) -> SSAValue:
        return self.insert(scalar_constant(value, type)).result

    def index(self, value: int) -> SSAValue:
        return self.scalar(value, IndexType())

    def empty(self, sizes: Sequence[Size], element: Attribute) -> SSAValue:
        """An uninitialised tensor of `sizes`; those that are constants become part of its type."""
        static, dynamic = split(sizes)
        return self.insert(tensor.EmptyOp(dynamic, TensorType(element, static))).tensor

    def empty_like(self, value: SSAValue, element: Attribute | None = None) -> SSAValue:
        """An uninitialised tensor of the type of `value`, but for its elements where `element` is given."""
        type = TensorType(element or element_of(value), shape_of(value))
        return self.insert(tensor.EmptyOp(self.sizes.dynamic(value), type)).tensor

    def fill(self, value: float, output: SSAValue) -> SSAValue:
        scalar = self.scalar(value, element_of(output))
        if isinstance(scalar.type, IndexType):  # which linalg.fill of xDSL refuses
            rank = len(shape_of(output))
            return self.generic([], output, [AffineMap.identity(rank)], [PARALLEL] * rank, lambda _b, _out: scalar)
        return self.insert(FillOp([scalar], [output])).res[0]

    def generic(
        self,
        inputs: Sequence[SSAValue],
        output: SSAValue,
        maps: Sequence[AffineMap],
        iterators: Sequence[IteratorTypeAttr],
        body: Callable[..., SSAValue],
    ) -> SSAValue:
        """A generic over `output`; `body(Body, *elements)` computes what it writes."""
        block = Block(arg_types=[element_of(value) for value in (*inputs, output)])
        value = body(Body(block), *block.args)
        block.add_op(YieldOp(value))
        return self.generic_of(inputs, [output], maps, iterators, Region(block))[0]

    def generic_of(
        self,
        inputs: Sequence[SSAValue],
        outputs: Sequence[SSAValue],
        maps: Sequence[AffineMap],
        iterators: Sequence[IteratorTypeAttr],
        body: Region,
    ) -> Sequence[SSAValue]:
        """A generic with a body that is there already."""
        attributes = [AffineMapAttr(map) for map in maps]
        generic = GenericOp(inputs, outputs, body, attributes, iterators, [value.type for value in outputs])
        generic.attributes |= self.anchor.attributes
        return self.insert(generic).res

    def elementwise(self, inputs: Sequence[SSAValue], output: SSAValue, body: Callable[..., SSAValue]) -> SSAValue:
        """A generic that reads all `inputs` where it writes `output`."""
        rank = len(shape_of(output))
        return self.generic(inputs, output, [AffineMap.identity(rank)] * (len(inputs) + 1), [PARALLEL] * rank, body)

    def transpose(self, value: SSAValue, permutation: Sequence[int]) -> SSAValue:
        """The tensor whose dimension i is dimension `permutation[i]` of `value`."""
        if list(permutation) == list(range(len(permutation))):
            return value
        sizes = self.sizes.of(value)
        rank = len(permutation)
        output = self.empty([sizes[dim] for dim in permutation], element_of(value))
        maps = [_permutation_map(permutation), AffineMap.identity(rank)]
        return self.generic([value], output, maps, [PARALLEL] * rank, lambda _b, element, _out: element)

    def collapse(self, value: SSAValue, groups: Reassociation) -> SSAValue:
        """A reshape to fewer dimensions."""
        if len(groups) == len(shape_of(value)):
            return value
        sizes = self.sizes.of(value)
        static, _ = split([product((sizes[dim] for dim in group), self.anchor) for group in groups])
        return self._collapsed(value, TensorType(element_of(value), static), groups)

    def _collapsed(self, value: SSAValue, type: TensorType, groups: Reassociation) -> SSAValue:
        collapse = tensor.CollapseShapeOp.build(
            operands=[value], result_types=[type], properties={"reassociation": reassociation_attr(groups)}
        )
        return self.insert(collapse).result

    def expand(self, value: SSAValue, groups: Reassociation, sizes: Sequence[Size]) -> SSAValue:
        """A reshape to more dimensions, of these sizes."""
        if len(sizes) == len(shape_of(value)):
            return value
        static, dynamic = split(sizes)
        # A dimension is known if all that it becomes are: its type may have forgotten that.
        parts = [[static[dim] for dim in group] for group in groups]
        source = [
            size if DYNAMIC_INDEX in became else prod(became)
            for size, became in zip(shape_of(value), parts, strict=True)
        ]
        value = self.as_type(value, TensorType(element_of(value), source))
        type = TensorType(element_of(value), static)
        return self.insert(tensor.ExpandShapeOp(value, dynamic, reassociation_attr(groups), static, type)).result


def _permutation_map(permutation: Sequence[int]) -> AffineMap:
    """(d0, d1, ...) -> the loop along which each dimension of the source lies."""
    inverse = [permutation.index(dim) for dim in range(len(permutation))]
    identity = AffineMap.identity(len(permutation))
    return AffineMap(len(permutation), 0, tuple(identity.results[dim] for dim in inverse))
