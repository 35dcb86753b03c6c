"""Tensors in tiles and back: `linalg.pack` and `linalg.unpack`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .evaluator import Array, Scope, meaning_of
from .records import Operation
from .tensors import merge


@meaning_of("linalg.pack")
def _pack(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    """Operands: source, dest, the padding value where there is one, sizes of tiles known only at run time."""
    source, dest, *rest = operands
    padding = rest.pop(0) if operation.attributes["padded"] else 0
    tiles = dict(zip(operation.attributes["positions"], merge(operation.attributes["tiles"], rest), strict=True))
    amounts = [(0, -size % tiles.get(dim, 1)) for dim, size in enumerate(source.shape)]
    padded = np.pad(source, amounts, constant_values=padding) if np.any(amounts) else source
    split: list[int] = []
    outer: dict[int, int] = {}
    inner: dict[int, int] = {}
    for dim, size in enumerate(padded.shape):
        outer[dim] = len(split)
        split.append(size // tiles.get(dim, 1))
        if dim in tiles:
            inner[dim] = len(split)
            split.append(tiles[dim])
    order = [*(outer[dim] for dim in _outer(operation, source.ndim)), *(inner[dim] for dim in tiles)]
    return (np.ascontiguousarray(padded.reshape(split).transpose(order)).reshape(dest.shape),)


@meaning_of("linalg.unpack")
def _unpack(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    source, dest, *_tiles = operands
    rank = dest.ndim
    outer = {dim: axis for axis, dim in enumerate(_outer(operation, rank))}
    inner = {dim: rank + i for i, dim in enumerate(operation.attributes["positions"])}
    order = [axis for dim in range(rank) for axis in ((outer[dim], inner[dim]) if dim in inner else (outer[dim],))]
    sizes = [source.shape[outer[dim]] * (source.shape[inner[dim]] if dim in inner else 1) for dim in range(rank)]
    rows = source.transpose(order).reshape(sizes)
    return (np.ascontiguousarray(rows[tuple(slice(size) for size in dest.shape)]),)


def _outer(operation: Operation, rank: int) -> Sequence[int]:
    """For each outer dimension of the tiles, the plain dimension that it counts tiles of."""
    return operation.attributes["outer"] or range(rank)
