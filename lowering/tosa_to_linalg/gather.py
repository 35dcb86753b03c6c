"""Gather and scatter along the middle dimension of [N,K,C] (TOSA 1.0, section 2.11)."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, shape_of
from ..dialects.linalg import affine_map, dims
from .body import Body
from .builder import Builder
from .registry import lowers


@lowers(tosa.GatherOp)
def _gather(op: tosa.GatherOp, b: Builder) -> SSAValue:
    n, w, _ = dims(3)

    def body(b: Body, index: SSAValue) -> SSAValue:
        return b.extract(op.values, [b.index(0), b.to_index(index), b.index(2)])

    shape = shape_of(op.output)
    return b.elementwise([(op.indices, affine_map(3, n, w))], shape, element_of(op.output), body)


@lowers(tosa.ScatterOp)
def _scatter(op: tosa.ScatterOp, b: Builder) -> SSAValue:
    """A reduction over w of each element (n,k,c): where indices[n,w] is k, input[n,w,c] takes its place."""
    n, k, c, w = dims(4)

    def body(b: Body, index: SSAValue, value: SSAValue, current: SSAValue) -> SSAValue:
        position = b.append(arith.IndexCastOp(b.index(1), i32))
        return b.select(b.compare("eq", index, position), value, current)

    inputs = [(op.indices, affine_map(4, n, w)), (op.input, affine_map(4, n, w, c))]
    return b.generic(inputs, [(op.values_in, affine_map(4, n, k, c))], [3], body)[0]
