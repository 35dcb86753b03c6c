"""Affine maps as data: how tensors are read and written over an iteration space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import ArgumentError
from .evaluator import Array

Expression: TypeAlias = Any
"""An integer, ["d", position], or [operator, left, right]."""
Map: TypeAlias = Sequence[Any]
"""[number of dimensions, results]."""

_OPERATORS = {
    "+": lambda a, b: a + b,
    "*": lambda a, b: a * b,
    "mod": lambda a, b: a % b,
    "floordiv": lambda a, b: a // b,
    "ceildiv": lambda a, b: -(-a // b),
}
OPERATORS = frozenset(_OPERATORS)


def position_of(expression: Expression) -> int | None:
    """The dimension that `expression` is, if it is nothing but one."""
    return expression[1] if not isinstance(expression, int) and expression[0] == "d" else None


def value_of(expression: Expression, point: Sequence[Any]) -> Any:
    """The expression at a point, or at many where the dimensions are index arrays."""
    if isinstance(expression, int):
        return expression
    operator, *rest = expression
    if operator == "d":
        return point[rest[0]]
    left, right = rest
    return _OPERATORS[operator](value_of(left, point), value_of(right, point))


def iteration_extents(maps: Sequence[Map], operands: Sequence[Array]) -> list[int]:
    """The extent of each iteration dimension, read off the operands that it indexes directly.

    Raises ArgumentError where two operands disagree, and where none has a dimension of its own.
    """
    extents: dict[int, int] = {}
    for map, array in zip(maps, operands, strict=True):
        for axis, expression in enumerate(map[1]):
            position = position_of(expression)
            if position is not None and extents.setdefault(position, array.shape[axis]) != array.shape[axis]:
                shapes = ", ".join("x".join(["tensor", *_sizes(operand)]) for operand in operands)
                raise ArgumentError(f"sizes {extents[position]} and {array.shape[axis]} do not match: {shapes}")
    try:
        return [extents[dim] for dim in range(maps[0][0])]
    except KeyError as error:
        raise ArgumentError(f"no operand tells the size of dimension d{error}") from None


def _sizes(array: Array) -> list[str]:
    return [str(size) for size in array.shape]


def grid_of(extents: Sequence[int], fixed: dict[int, int] | None = None) -> list[Array]:
    """For each dimension its indices, as an axis of its own; a fixed one has one index."""
    fixed = fixed or {}
    ranges = [slice(fixed[dim], fixed[dim] + 1) if dim in fixed else slice(size) for dim, size in enumerate(extents)]
    return list(np.ogrid[tuple(ranges)]) if ranges else []


def read(array: Array, map: Map, grid: Sequence[Array]) -> Array:
    """`array` as the iteration space sees it: one axis per dimension, of size 1 where `map` does not use it.

    Raises ArgumentError for an index outside of it.
    """
    rank, results = len(grid), map[1]
    positions = [position_of(expression) for expression in results]
    plain = all(
        position is not None and size == grid[position].size
        for position, size in zip(positions, array.shape, strict=True)
    )
    if plain and len(set(positions)) == len(positions):
        order = sorted(range(len(positions)), key=lambda axis: positions[axis] or 0)
        shape = [1] * rank
        for axis in order:
            shape[positions[axis] or 0] = array.shape[axis]
        return array.transpose(order).reshape(shape)
    gathered = array[index_of(map, grid, array.shape)]
    return gathered if gathered.ndim == rank else gathered.reshape([1] * (rank - gathered.ndim) + [*gathered.shape])


def index_of(map: Map, grid: Sequence[Array], shape: Sequence[int]) -> tuple[Array, ...]:
    """The index arrays by which `map` reads a tensor of `shape`. Raises ArgumentError for an index outside of it."""
    indices = tuple(np.asarray(value_of(expression, grid)) for expression in map[1])
    for axis, (index, size) in enumerate(zip(indices, shape, strict=True)):
        check_index(index, axis, size)
    return indices


def check_index(index: Array, axis: int, size: int) -> None:
    """Raise ArgumentError for an index outside of dimension `axis`, which has `size` elements."""
    if index.size and (index.min() < 0 or index.max() >= size):
        wrong = index.min() if index.min() < 0 else index.max()
        raise ArgumentError(f"index {wrong} is outside of dimension {axis} of size {size}")
