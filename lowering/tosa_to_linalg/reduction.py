"""Reductions along an axis and argmax (TOSA 1.0, sections 2.2.1 and 2.8).

The axis that TOSA keeps with extent 1 is written at the constant 0, so that no reshape is needed.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects import arith
from xdsl.dialects.builtin import FixedBitwidthType, IntegerType, f32, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ...tosa import dialect as tosa
from ...tosa.dialect.attributes import NanModeAttr
from ...tosa.dialect.reduction import ReduceOp
from ...tosa.dialect.types import element_of, is_float, shape_of
from ..dialects.linalg import dims
from .body import Body
from .builder import Builder
from .pooling import least_value
from .registry import lowers


@lowers(
    tosa.ReduceAllOp,
    tosa.ReduceAnyOp,
    tosa.ReduceMaxOp,
    tosa.ReduceMinOp,
    tosa.ReduceProductOp,
    tosa.ReduceSumOp,
)
def _reduce(op: ReduceOp, b: Builder) -> SSAValue:
    source, axes = _chain(op)
    shape, element = shape_of(op.output), element_of(op.output)
    start, combine = _reducer(op, element)
    accumulator = element
    if isinstance(op, tosa.ReduceSumOp) and is_float(element) and _bits(element) < 32:
        accumulator = f32  # half precision would lose the small terms of long sums

    rank = len(shape)
    space = dims(rank)
    kept = tuple(AffineExpr.constant(0) if dim in axes else expression for dim, expression in enumerate(space))
    init = b.full(start, shape, accumulator, {dim: (source, dim) for dim in range(rank)})

    def body(b: Body, x: SSAValue, total: SSAValue) -> SSAValue:
        return combine(b, total, b.widen(x, accumulator))

    inputs = [(source, AffineMap.identity(rank))]
    reduced = b.generic(inputs, [(init, AffineMap(rank, 0, kept))], axes, body)[0]
    if accumulator == element:
        return reduced
    return b.elementwise([reduced], shape, element, lambda b, x: b.narrow(x, element))


def _chain(op: ReduceOp) -> tuple[SSAValue, list[int]]:
    """The source and axes of successive reductions of one kind (a mean over height and width), done at once."""
    axes = [op.plain("axis")]
    source = op.input
    while isinstance(inner := source.owner, ReduceOp) and type(inner) is type(op) and source.has_one_use():
        if ignores_nan(inner) != ignores_nan(op):
            break
        axes.append(inner.plain("axis"))
        source = inner.input
    return source, sorted(set(axes))


def ignores_nan(op: Operation) -> bool:
    """Whether NaN operands lose every comparison; without `nan_mode` they propagate."""
    return op.properties.get("nan_mode") == NanModeAttr("IGNORE")


def _bits(element: Attribute) -> int:
    assert isinstance(element, FixedBitwidthType)
    return element.bitwidth


def _reducer(op: ReduceOp, element: Attribute) -> tuple[int | float, Callable[[Body, SSAValue, SSAValue], SSAValue]]:
    """The value to start from and the operation that accumulates."""
    ignore_nan = ignores_nan(op)
    match op:
        case tosa.ReduceSumOp():
            return 0, Body.add
        case tosa.ReduceProductOp():
            return 1, Body.mul
        case tosa.ReduceMaxOp():
            return _start(element, ignore_nan, least_value(element)), lambda b, x, y: b.maximum(x, y, ignore_nan)
        case tosa.ReduceMinOp():
            return _start(element, ignore_nan, _greatest(element)), lambda b, x, y: b.minimum(x, y, ignore_nan)
        case tosa.ReduceAllOp():
            return 1, lambda b, x, y: b.append(arith.AndIOp(x, y))
        case _:
            return 0, lambda b, x, y: b.append(arith.OrIOp(x, y))


def _start(element: Attribute, ignore_nan: bool, limit: int | float) -> int | float:
    """Where NaN is ignored, a reduction of nothing but NaN is NaN: it starts from one."""
    return float("nan") if ignore_nan and is_float(element) else limit


def _greatest(element: Attribute) -> int | float:
    return (1 << (element.width.data - 1)) - 1 if isinstance(element, IntegerType) else float("inf")


@lowers(tosa.ArgMaxOp)
def _argmax(op: tosa.ArgMaxOp, b: Builder) -> SSAValue:
    """The index of the greatest element so far and that element are accumulated together; the first one wins."""
    axis, ignore_nan = op.plain("axis"), ignores_nan(op)
    element = element_of(op.input)
    rank = len(shape_of(op.input))
    kept = [dim for dim in range(rank) if dim != axis]
    sizes = {i: (op.input, dim) for i, dim in enumerate(kept)}
    shape = shape_of(op.output)
    space = dims(rank)
    output_map = AffineMap(rank, 0, tuple(space[dim] for dim in kept))
    outputs = [
        (b.full(0, shape, i32, sizes), output_map),
        (b.full(least_value(element), shape, element, sizes), output_map),
    ]

    def body(b: Body, x: SSAValue, index: SSAValue, greatest: SSAValue) -> tuple[SSAValue, SSAValue]:
        better = b.compare("gt", x, greatest)
        if is_float(element) and not ignore_nan:
            is_nan = b.append(arith.CmpfOp(x, x, "uno"))
            was_number = b.append(arith.CmpfOp(greatest, greatest, "ord"))
            better = b.append(arith.OrIOp(better, b.append(arith.AndIOp(is_nan, was_number))))
        position = b.append(arith.IndexCastOp(b.index(axis), i32))
        return b.select(better, position, index), b.select(better, x, greatest)

    return b.generic([(op.input, AffineMap.identity(rank))], outputs, [axis], body)[0]
