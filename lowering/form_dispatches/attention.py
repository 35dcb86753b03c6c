"""Attention becomes one dispatch: softmax(f(Q K^T)) V, for every batch and head.

Between the two products lie scores, as many as rows times columns, which nobody else reads. Computed apart they go
through memory several times (the scale and mask, the greatest of a row, the exponentials, their sum, the quotients),
and both products want their right side packed and heads gathered in front. As one dispatch the scores of a few rows
stay in the first cache, the operands are read where they lie, whatever their heads' order, and the result is written in
the order its reader wants. What is divided by the sum is the result, which has fewer elements than the scores.

The region holds these generics, known by their order (see `Stages`):

    scores  += query * key                 over (batches..., rows, columns, depth)
    changed  = f(scores, operands of f)    the scale and the mask; absent where there is none
    greatest = max(greatest, changed)
    weights  = exp(changed - greatest)
    total   += weights
    mixed   += weights * value             over (batches..., rows, width, columns)
    result   = mixed * (1 / total)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, FloatAttr, TensorType, f32
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, YieldOp
from xdsl.dialects.tensor import EmptyOp, ExpandShapeOp
from xdsl.ir import Block, Region, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap

from ..dialects import dispatch
from ..dialects.dispatch import RegionOp
from ..dialects.linalg import BatchMatmulOp
from ..ir import collapse, shape_of
from .merge import merge_elementwise
from .recognition import Attention, Operand, is_transposition


def form_attention(block: Block) -> bool:
    """Put every attention of `block` in a region of its own; whether there is any."""
    formed = False
    for op in list(block.ops):
        if isinstance(op, BatchMatmulOp):
            found = Attention.of(op)
            if found is not None:
                _Builder(found).build()
                formed = True
    return formed


class _Builder:
    def __init__(self, attention: Attention) -> None:
        self.attention = attention
        self.inputs: list[SSAValue] = []
        self.block = Block()
        self.inside: dict[SSAValue, SSAValue] = {}

    def build(self) -> None:
        """The region takes the place of the last product, or of the transposition that alone reads it."""
        a = self.attention
        count = len(a.batches)
        rows, columns, _, width = a.sizes
        row, column, inner = (AffineDimExpr(count + i) for i in range(3))
        batch = tuple(AffineDimExpr(i) for i in range(count))
        space = count + 3
        element_space = [*a.batches, rows, columns]

        scores = self._product(
            [self._read(a.query, {0: row, 1: inner}, space), self._read(a.key, {0: inner, 1: column}, space)],
            element_space,
        )
        self.inside[a.scores] = changed = scores
        if a.chain:
            changed = self._merged(a.chain, a.changed)
        self.inside[a.changed] = changed
        self.inside[a.greatest] = self._reduced(changed, arith.MaximumfOp, -math.inf)
        weights = self._merged(a.exponent, a.weights)
        total = self._reduced(weights, arith.AddfOp, 0.0)
        mixed = self._product(
            [(weights, AffineMap(space, 0, (*batch, row, inner))), self._read(a.value, {0: inner, 1: column}, space)],
            [*a.batches, rows, width],
        )
        replaced, order = self._destination()
        result = self._quotient(mixed, total, order)
        self.block.add_op(dispatch.YieldOp(result))
        region = RegionOp(self.inputs, [result.type], Region(self.block))
        cast(Block, a.product.parent).insert_op_before(region, a.product)
        self._replace(replaced, region)

    def _local(self, value: SSAValue) -> SSAValue:
        if value not in self.inside:
            self.inputs.append(value)
            self.inside[value] = self.block.insert_arg(value.type, len(self.block.args))
        return self.inside[value]

    def _read(self, operand: Operand, matrix: dict[int, AffineDimExpr], loops: int) -> tuple[SSAValue, AffineMap]:
        """An operand and the map by which the loops read it; `matrix` tells those of its rows and columns."""
        count = len(self.attention.batches)
        dims = (AffineDimExpr(dim) if dim < count else matrix[dim - count] for dim in operand.dims)
        return self._local(operand.source), AffineMap(loops, 0, tuple(dims))

    def _filled(self, value: float, shape: Sequence[int]) -> SSAValue:
        constant = arith.ConstantOp(FloatAttr(value, f32))
        empty = EmptyOp([], TensorType(f32, shape))
        fill = FillOp([constant.result], [empty.tensor], [empty.tensor.type])
        self.block.add_ops([constant, empty, fill])
        return fill.res[0]

    def _append(
        self,
        inputs: Sequence[tuple[SSAValue, AffineMap]],
        output: tuple[SSAValue, AffineMap],
        reduces: bool,
        body: Block,
    ) -> SSAValue:
        maps = [AffineMapAttr(map) for _, map in (*inputs, output)]
        loops = output[1].num_dims
        kinds = [IteratorTypeAttr.parallel()] * (loops - reduces) + [IteratorTypeAttr.reduction()] * reduces
        values = [value for value, _ in inputs]
        generic = GenericOp(values, [output[0]], Region(body), maps, kinds, [output[0].type])
        self.block.add_op(generic)
        return generic.res[0]

    def _product(self, factors: Sequence[tuple[SSAValue, AffineMap]], shape: Sequence[int]) -> SSAValue:
        body = Block(arg_types=[f32] * 3)
        product = arith.MulfOp(body.args[0], body.args[1])
        total = arith.AddfOp(body.args[2], product.result)
        body.add_ops([product, total, YieldOp(total.result)])
        kept = tuple(AffineDimExpr(loop) for loop in range(len(shape)))
        return self._append(factors, (self._filled(0.0, shape), AffineMap(len(shape) + 1, 0, kept)), True, body)

    def _reduced(self, value: SSAValue, kind: type[arith.MaximumfOp | arith.AddfOp], start: float) -> SSAValue:
        shape = shape_of(value)
        body = Block(arg_types=[f32] * 2)
        combined = kind(body.args[1], body.args[0])
        body.add_ops([combined, YieldOp(combined.result)])
        kept = (*(AffineDimExpr(loop) for loop in range(len(shape) - 1)), AffineConstantExpr(0))
        init = self._filled(start, [*shape[:-1], 1])
        output = (init, AffineMap(len(shape), 0, kept))
        return self._append([(value, AffineMap.identity(len(shape)))], output, True, body)

    def _merged(self, chain: Sequence[GenericOp], result: SSAValue) -> SSAValue:
        empties, merged = merge_elementwise(chain, [result], None, shape_of(result), self._local)
        self.block.add_ops([*empties, merged])
        return merged.res[0]

    def _quotient(self, mixed: SSAValue, total: SSAValue, order: Sequence[int]) -> SSAValue:
        """mixed * (1 / total), dimension i of the result being dimension `order[i]` of `mixed`."""
        shape = shape_of(mixed)
        body = Block(arg_types=[f32] * 3)
        one = arith.ConstantOp(FloatAttr(1.0, f32))
        inverse = arith.DivfOp(one.result, body.args[1])
        scaled = arith.MulfOp(body.args[0], inverse.result)
        body.add_ops([one, inverse, scaled, YieldOp(scaled.result)])
        empty = EmptyOp([], TensorType(f32, [shape[dim] for dim in order]))
        self.block.add_op(empty)
        loops = len(shape)
        row = (*(AffineDimExpr(loop) for loop in range(loops - 1)), AffineConstantExpr(0))
        written = AffineMap(loops, 0, tuple(AffineDimExpr(dim) for dim in order))
        inputs = [(mixed, AffineMap.identity(loops)), (total, AffineMap(loops, 0, row))]
        return self._append(inputs, (empty.tensor, written), False, body)

    def _destination(self) -> tuple[SSAValue, list[int]]:
        """The value that the region computes and, for its dimensions, those of (batches..., rows, width)."""
        a = self.attention
        count = len(a.batches)
        result: SSAValue = a.product.result
        own = list(range(count + 2))
        if not result.has_one_use():
            return result, own
        user = next(iter(result.uses)).operation
        split: SSAValue = result
        if isinstance(user, ExpandShapeOp) and tuple(shape_of(user.result)[:count]) == a.batches:
            split = user.result
        if len(shape_of(split)) != count + 2 or not split.has_one_use():
            return result, own
        reader = next(iter(split.uses)).operation
        if isinstance(reader, GenericOp) and is_transposition(reader):
            read = [expr.position for expr in cast("list[AffineDimExpr]", reader.indexing_maps.data[0].data.results)]
            order = [read.index(loop) for loop in own]
            if order[-1] == own[-1]:  # else rows of the result would be written element by element
                return reader.res[0], order
        return result, own

    def _replace(self, replaced: SSAValue, region: RegionOp) -> None:
        a = self.attention
        value: SSAValue = region.outputs[0]
        if replaced is a.product.result and len(a.batches) > 1:
            count = len(a.batches)
            groups = [list(range(count)), [count], [count + 1]]
            joined = collapse(value, groups)
            cast(Block, a.product.parent).insert_op_before(joined, a.product)
            value = joined.result
        replaced.replace_all_uses_with(value)
