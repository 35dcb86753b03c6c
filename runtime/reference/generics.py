"""`linalg.generic`: a body once over the whole iteration space, or once per reduction step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import ArgumentError
from .elementwise import REDUCERS
from .evaluator import Array, Scope, evaluate_block, meaning_of
from .maps import Map, grid_of, index_of, iteration_extents, position_of, read
from .records import Block, Operation, width_of

_WHOLE_SPACE_LIMIT = 1 << 24
"""Iteration spaces of more points are reduced step by step, to bound the memory for intermediate values."""

WHOLE_WIDTHS = (0, 8, 16, 32, 64)
"""Bits of what numpy adds up without our wrapping; 0 are floats."""

Body: TypeAlias = Callable[[Sequence[Array], Sequence[Array]], Sequence[Array]]
"""(elements of inputs, then of outputs; the grid of indices) -> what is yielded, all broadcast over the space."""

Reducer: TypeAlias = tuple[np.ufunc, int]
"""What accumulates an output, and the value in the body that it adds."""


@meaning_of("linalg.generic")
def _generic(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    (block,) = operation.blocks
    kinds = operation.attributes["iterators"]
    return iterate(block, operation.attributes["maps"], kinds, operands, len(block.yielded), scope)


@meaning_of("linalg.index")
def _index(operation: Operation, _: Sequence[Array], scope: Scope) -> Sequence[Array]:
    return (scope.values[_grid_key(operation.attributes["dim"])],)


def _grid_key(dim: int) -> int:
    """The number, of no value, under which the indices of iteration dimension `dim` stand."""
    return -2 - dim


def iterate(
    block: Block, maps: Sequence[Map], kinds: Sequence[str], operands: Sequence[Array], outputs: int, scope: Scope
) -> list[Array]:
    """The outputs, the last `outputs` of `operands`, after `block` ran at every point of the iteration space."""

    def body(elements: Sequence[Array], grid: Sequence[Array], wanted: Sequence[int] | None = None) -> Sequence[Array]:
        indices: Mapping[int, Array] = {_grid_key(dim): index for dim, index in enumerate(grid)}
        return evaluate_block(block, elements, scope.inner(indices), wanted)

    reducers = _reducers(block, outputs)

    def elements(values: Sequence[Array], grid: Sequence[Array]) -> Sequence[Array]:
        return body(values, grid, [value for _, value in reducers or ()])

    accumulate = ([function for function, _ in reducers], elements) if reducers else None
    return iterate_body(body, maps, kinds, operands, outputs, accumulate)


def iterate_body(
    body: Body,
    maps: Sequence[Map],
    kinds: Sequence[str],
    operands: Sequence[Array],
    outputs: int,
    accumulate: tuple[Sequence[np.ufunc], Body] | None,
) -> list[Array]:
    """The same for a function. `accumulate` has what combines each output with what is to be added to it, if so."""
    extents = iteration_extents(maps, operands)
    inputs, results = list(operands[:-outputs]), list(operands[-outputs:])
    input_maps, output_maps = maps[:-outputs], maps[-outputs:]
    if 0 in extents:
        return results
    reduced = [dim for dim, kind in enumerate(kinds) if kind != "parallel"]
    points = int(np.prod(extents, dtype=np.int64))
    if accumulate is not None and reduced and points <= _WHOLE_SPACE_LIMIT:
        functions, elements = accumulate
        grid = grid_of(extents)
        kept = grid_of(extents, dict.fromkeys(reduced, 0))
        starts = [read(array, map, kept) for array, map in zip(results, output_maps, strict=True)]
        views = [read(array, map, grid) for array, map in zip(inputs, input_maps, strict=True)]
        added = elements([*views, *starts], grid)
        totals = [
            function(start, _total(function, np.broadcast_to(value, extents), tuple(reduced)))
            for function, value, start in zip(functions, added, starts, strict=True)
        ]
        return [write(*each, kept) for each in zip(totals, output_maps, results, strict=True)]
    if not reduced:
        grid = grid_of(extents)
        views = [read(array, map, grid) for array, map in zip(operands, maps, strict=True)]
        return [write(*each, grid) for each in zip(body(views, grid), output_maps, results, strict=True)]
    views = [read(array, map, grid_of(extents)) for array, map in zip(inputs, input_maps, strict=True)]
    for point in itertools.product(*(range(extents[dim]) for dim in reduced)):
        fixed = dict(zip(reduced, point, strict=True))
        grid = grid_of(extents, fixed)
        here = [_at(view, fixed) for view in views]
        here += [read(array, map, grid) for array, map in zip(results, output_maps, strict=True)]
        results = [write(*each, grid) for each in zip(body(here, grid), output_maps, results, strict=True)]
    return results


def write(values: Array, map: Map, output: Array, grid: Sequence[Array]) -> Array:
    """`output` with values over the grid written where `map` says; elements that it does not reach stay."""
    space = [index.size for index in grid]
    full = np.broadcast_to(np.asarray(values), space)
    positions = [position_of(expression) for expression in map[1]]
    axes = [position for position in positions if position is not None]
    if not {dim for dim, extent in enumerate(space) if extent > 1} <= {
        dim for expression in map[1] for dim in _dimensions(expression)
    }:
        raise ArgumentError("an output is written more than once by a parallel dimension")
    covers = all(
        grid[position].size == size if position is not None else size == 1 and expression == 0
        for position, size, expression in zip(positions, output.shape, map[1], strict=True)
    )
    if covers and len(set(axes)) == len(axes):
        unused = tuple(dim for dim in range(len(space)) if dim not in axes)
        order = sorted(axes)
        dense = full.squeeze(unused).transpose([order.index(axis) for axis in axes])
        return np.ascontiguousarray(dense).reshape(output.shape).astype(output.dtype, copy=False)
    result = output.copy()
    result[tuple(np.broadcast_to(index, space) for index in index_of(map, grid, output.shape))] = full
    return result


def _dimensions(expression: Any) -> set[int]:
    if isinstance(expression, int):
        return set()
    if expression[0] == "d":
        return {expression[1]}
    return _dimensions(expression[1]) | _dimensions(expression[2])


def _total(function: np.ufunc, values: Array, axes: tuple[int, ...]) -> Array:
    return function.reduce(values, axis=axes, dtype=values.dtype, keepdims=True)


def _at(view: Array, fixed: Mapping[int, int]) -> Array:
    """The slice of a broadcast view at one point of the reduction, with all axes kept."""
    index = [slice(None)] * view.ndim
    for dim, position in fixed.items():
        if view.shape[dim] > 1:
            index[dim] = slice(position, position + 1)
    return view[tuple(index)]


def _reducers(block: Block, outputs: int) -> list[Reducer] | None:
    """For each output the operation that accumulates it and the value it adds, if that is all there is to it."""
    found: list[Reducer] = []
    for accumulator, value in zip(block.arguments[-outputs:], block.yielded, strict=True):
        combine = block.maker.get(value)
        if combine is None or combine.name not in REDUCERS or width_of(combine.types[0].element) not in WHOLE_WIDTHS:
            return None
        if block.uses.get(accumulator) != 1 or block.uses.get(value) != 1 or accumulator not in combine.operands:
            return None
        (other,) = (operand for operand in combine.operands if operand != accumulator)
        found.append((REDUCERS[combine.name], other))
    return found
