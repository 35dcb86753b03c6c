"""Any `linalg.generic` at all, as its definition says: one iteration after the other, results updated in memory.

It serves what the loop nests of `generic` and `reduction` do not: results written through maps that leave elements out
or meet some more than once.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap

from ...runtime.errors import UnsupportedError
from .access import Access
from .arithmetic import i64
from .body import Scope, emit_body
from .extent import emit_extent
from .kernel import KernelContext
from .movement import emit_copy
from .nest import loop_sizes
from .types import Value


def writes_each_element_once(generic: GenericOp) -> bool:
    """Whether each result has one element per iteration of the parallel loops, and no others."""
    kinds = [kind.data for kind in generic.iterator_types]
    parallel = {loop for loop, kind in enumerate(kinds) if kind == IteratorType.PARALLEL}
    maps = [attribute.data for attribute in generic.indexing_maps.data][len(generic.inputs) :]
    shapes = [result.type.get_shape() for result in generic.results]  # pyright: ignore[reportAttributeAccessIssue]
    return all(_covers(map, shape, parallel) for map, shape in zip(maps, shapes, strict=True))


def _covers(map: AffineMap, shape: Sequence[int], parallel: set[int]) -> bool:
    loops = [expression.position for expression in map.results if isinstance(expression, AffineDimExpr)]
    others = [
        (expression, size)
        for expression, size in zip(map.results, shape, strict=True)
        if not isinstance(expression, AffineDimExpr)
    ]
    units = all(size == 1 and expression == AffineConstantExpr(0) for expression, size in others)
    return units and len(loops) == len(parallel) and set(loops) == parallel


def emit_sequential(context: KernelContext, generic: GenericOp) -> int:
    """Emits any generic, on one thread. It needs no scratch memory."""
    f, block = context.f, generic.body.block
    outputs = context.results_of(generic)
    if not all(outputs):
        raise UnsupportedError("no code can be generated", ["a linalg.generic with an irregular result used again"])
    maps = [attribute.data for attribute in generic.indexing_maps.data]
    count = len(generic.inputs)
    inputs = [Access.of(context.tensor(value), map) for value, map in zip(generic.inputs, maps, strict=False)]
    results = [Access.of(outs[0], map) for outs, map in zip(outputs, maps[count:], strict=True)]
    for initial, (first, *_) in zip(generic.outputs, outputs, strict=True):
        if not isinstance(initial.owner, EmptyOp):
            emit_copy(context, context.tensor(initial), first, divide=False)
    sizes = [emit_extent(f, size) for size in loop_sizes(context, generic)]
    tensors = context.extracted_tensors(generic)

    def nest(indices: list[Value]) -> None:
        if len(indices) < len(sizes):
            with f.loop(0, sizes[len(indices)]) as loop:
                nest([*indices, loop.index])
            return
        values = [access.load(f, indices, None, 1) for access in (*inputs, *results)]
        scope = Scope(f, context.target, 1, indices, None, tensors, None, context.scalars)
        for access, value in zip(results, emit_body(scope, block, values), strict=True):
            access.store(f, value, indices, None, 1)

    with f.if_(f.icmp("eq", context.thread, i64(0))):
        nest([])
    for first, *more in outputs:
        for other in more:
            emit_copy(context, first, other, divide=False)
    return 0
