"""The meaning of `linalg.generic`: the body once over the whole iteration space, or once per reduction step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects import tensor
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp, IndexOp
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from .bodies import REDUCERS
from .interpreter import Array, Values, evaluate_block, meaning_of

_WHOLE_SPACE_LIMIT = 1 << 24
"""Iteration spaces of more points are reduced step by step, to bound the memory for intermediate values."""


@meaning_of(GenericOp)
def _generic(operation: GenericOp, operands: Sequence[Array], captured: Values) -> Sequence[Array]:
    maps = [attribute.data for attribute in operation.indexing_maps]
    extents = iteration_extents(maps, operands)
    views = [broadcast_view(array, map, extents) for array, map in zip(operands, maps, strict=True)]
    reduced = [i for i, kind in enumerate(operation.iterator_types) if kind.data is not IteratorType.PARALLEL]
    output_maps = maps[len(operation.inputs) :]
    if not reduced:
        results = _Space(operation, extents, captured).evaluate(views)
    else:
        results = _reduce(operation, views, extents, reduced, captured)
    return [
        _scatter(np.asarray(result), map, extents, reduced) for result, map in zip(results, output_maps, strict=True)
    ]


class _Space:
    """An iteration space in which to evaluate a body: `linalg.index` i is dimension i, at `fixed[i]` where given."""

    def __init__(
        self, operation: GenericOp, extents: Sequence[int], captured: Values, fixed: dict[int, int] | None = None
    ) -> None:
        self.operation = operation
        self.captured = dict(captured)
        for op in operation.body.block.ops:
            if isinstance(op, IndexOp):
                dim = op.dim.value.data
                shape = [1] * len(extents)
                positions = np.arange(extents[dim], dtype=np.int64)
                if fixed and dim in fixed:
                    positions = positions[fixed[dim] : fixed[dim] + 1]
                shape[dim] = positions.size
                self.captured[op.result] = positions.reshape(shape)

    def evaluate(self, arguments: Sequence[Array], wanted: Sequence[SSAValue] | None = None) -> Sequence[Array]:
        return evaluate_block(self.operation.body.block, arguments, self.captured, wanted)


@meaning_of(IndexOp)
def _index(operation: IndexOp, _: Sequence[Array], captured: Values) -> Sequence[Array]:
    return (captured[operation.result],)


@meaning_of(tensor.ExtractOp)
def _extract(_: tensor.ExtractOp, operands: Sequence[Array], __: Values) -> Sequence[Array]:
    source, *indices = operands
    return (np.asarray(source[tuple(indices)]),)


@meaning_of(FillOp)
def _fill(operation: FillOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    value, output = operands
    return (np.full(output.shape, value, output.dtype),)


def iteration_extents(maps: Sequence[AffineMap], operands: Sequence[Array]) -> list[int]:
    """The extent of each iteration dimension, read off the operands that it indexes directly."""
    extents = [1] * maps[0].num_dims
    for map, array in zip(maps, operands, strict=True):
        for axis, expression in enumerate(map.results):
            if isinstance(expression, AffineDimExpr):
                extents[expression.position] = array.shape[axis]
    return extents


def broadcast_view(array: Array, map: AffineMap, extents: Sequence[int]) -> Array:
    """`array` as the iteration space sees it: one axis per dimension, of size 1 where `map` does not use it."""
    rank = len(extents)
    positions = [result.position for result in map.results if isinstance(result, AffineDimExpr)]
    if len(positions) == len(map.results) and len(set(positions)) == len(positions):
        order = sorted(range(len(positions)), key=positions.__getitem__)
        shape = [1] * rank
        for axis, position in enumerate(positions):
            shape[position] = array.shape[axis]
        return array.transpose(order).reshape(shape)
    # Affine expressions evaluate on whole index arrays as they do on single indices.
    grid: Any = np.ogrid[tuple(slice(extent) for extent in extents)]
    gathered = array[tuple(np.asarray(result.eval(grid, [])) for result in map.results)]
    return gathered if gathered.ndim == rank else gathered.reshape([1] * rank)


def _scatter(values: Array, map: AffineMap, extents: Sequence[int], reduced: Sequence[int]) -> Array:
    """Values over the iteration space (reduced dimensions of size 1) as the output tensor that `map` describes."""
    space = [1 if dim in reduced else extent for dim, extent in enumerate(extents)]
    full = np.broadcast_to(values, space)
    positions = [result.position for result in map.results if isinstance(result, AffineDimExpr)]
    if not set(positions) >= {dim for dim, extent in enumerate(space) if extent > 1}:
        raise ValueError(f"{map} does not cover the iteration space {space}")
    unused = tuple(dim for dim in range(len(space)) if dim not in positions)
    order = sorted(positions)
    dense = full.squeeze(unused).transpose([order.index(position) for position in positions])
    shape = [space[result.position] if isinstance(result, AffineDimExpr) else 1 for result in map.results]
    return np.ascontiguousarray(dense).reshape(shape)


def _reduce(
    operation: GenericOp, views: Sequence[Array], extents: Sequence[int], reduced: Sequence[int], captured: Values
) -> Sequence[Array]:
    reducers = _reducers(operation)
    if reducers is not None and np.prod(extents, dtype=np.int64) <= _WHOLE_SPACE_LIMIT:
        return _reduce_at_once(operation, reducers, views, extents, reduced, captured)
    inputs, accumulators = views[: len(operation.inputs)], list(views[len(operation.inputs) :])
    for point in itertools.product(*(range(extents[dim]) for dim in reduced)):
        fixed = dict(zip(reduced, point, strict=True))
        here = [_at(view, fixed) for view in inputs]
        accumulators = list(_Space(operation, extents, captured, fixed).evaluate([*here, *accumulators]))
    return accumulators


def _at(view: Array, fixed: dict[int, int]) -> Array:
    """The slice of a broadcast view at one point of the reduction, with all axes kept."""
    index = [slice(None)] * view.ndim
    for dim, position in fixed.items():
        if view.shape[dim] > 1:
            index[dim] = slice(position, position + 1)
    return view[tuple(index)]


def _reducers(operation: GenericOp) -> list[tuple[Operation, SSAValue]] | None:
    """For each output the operation that accumulates it and the element it adds, if that is all there is to it."""
    accumulators = operation.body.block.args[len(operation.inputs) :]
    yielded = operation.body.block.last_op
    assert yielded is not None
    found: list[tuple[Operation, SSAValue]] = []
    for accumulator, value in zip(accumulators, yielded.operands, strict=True):
        combine = value.owner
        if not isinstance(combine, Operation) or type(combine) not in REDUCERS or not accumulator.has_one_use():
            return None
        others = [operand for operand in combine.operands if operand is not accumulator]
        if len(others) != 1 or not value.has_one_use():
            return None
        found.append((combine, others[0]))
    return found


def _reduce_at_once(
    operation: GenericOp,
    reducers: Sequence[tuple[Operation, SSAValue]],
    views: Sequence[Array],
    extents: Sequence[int],
    reduced: Sequence[int],
    captured: Values,
) -> Sequence[Array]:
    elements = _Space(operation, extents, captured).evaluate(views, [element for _, element in reducers])
    initial = views[len(operation.inputs) :]
    results: list[Array] = []
    for (combine, _), element, start in zip(reducers, elements, initial, strict=True):
        function = REDUCERS[type(combine)]
        full = np.broadcast_to(element, extents)
        total = function.reduce(full, axis=tuple(reduced), dtype=full.dtype, keepdims=True)
        results.append(function(start, total))
    return results
