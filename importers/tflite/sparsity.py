"""Expands a sparse constant (block compressed sparse rows) to its dense form."""

from __future__ import annotations

import math

import numpy as np
import tflite
from flatbuffers.table import Table

from .accessors import integers, present, vector
from .errors import FieldError
from .model import Array

_SPARSE_CSR = 1
_MAX_DENSE_BYTES = 1 << 31
_INDEX_VECTORS = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}


def densify(elements: Array, shape: tuple[int, ...], sparsity: tflite.SparsityParameters, path: str) -> Array:
    """The dense tensor of `shape` that holds `elements`, its non-zero ones in traversal order.

    The levels of `traversal_order` are the n dimensions of the tensor, then those that index inside a block;
    `block_map` tells which dimension each of the latter subdivides.
    Source: the comments of SparsityParameters in schema.fbs.
    Raises FieldError where the parameters contradict each other or the shape.
    """
    order = list(integers(sparsity.TraversalOrderAsNumpy()))
    block_map = list(integers(sparsity.BlockMapAsNumpy()))
    rank, levels = len(shape), len(order)
    if sorted(order) != list(range(levels)) or levels != rank + len(block_map):
        raise FieldError(
            f"{path}.traversal_order", f"{order} is no order of {rank} dimensions and {len(block_map)} blocks"
        )
    if any(not 0 <= dim < rank for dim in block_map) or len(set(block_map)) != len(block_map):
        raise FieldError(f"{path}.block_map", f"{block_map} names a dimension twice or one that {list(shape)} lacks")
    if sparsity.DimMetadataLength() != levels:
        raise FieldError(f"{path}.dim_metadata", f"{sparsity.DimMetadataLength()} entries for {levels} dimensions")
    if math.prod(shape) * elements.itemsize > _MAX_DENSE_BYTES:
        raise FieldError(path, f"the dense form {list(shape)} would take more than {_MAX_DENSE_BYTES} bytes")
    extents = _level_extents(shape, order, block_map, sparsity, path)

    # One row per stored position at the current level, one column per traversed dimension.
    coordinates = np.zeros((1, 0), np.int64)
    for level in range(levels):
        where = f"{path}.dim_metadata[{level}]"
        metadata = present(sparsity.DimMetadata(level))
        extent = extents[order[level]]
        if metadata.Format() == _SPARSE_CSR:
            parents, indices = _sparse_level(metadata, len(coordinates), extent, where)
        else:
            if len(coordinates) * extent > elements.size:
                raise FieldError(where, f"describes more than the {elements.size} stored elements")
            parents = np.repeat(np.arange(len(coordinates)), extent)
            indices = np.tile(np.arange(extent), len(coordinates))
        coordinates = np.column_stack([coordinates[parents], indices])
    if len(coordinates) != elements.size:
        raise FieldError(path, f"describes {len(coordinates)} elements, but the buffer holds {elements.size}")

    position = np.zeros((levels, elements.size), np.int64)
    position[order] = coordinates.T
    for block, dim in enumerate(block_map):
        position[dim] = position[dim] * extents[rank + block] + position[rank + block]
    dense = np.zeros(shape, elements.dtype)
    dense[tuple(position[:rank])] = elements
    return dense


def _level_extents(
    shape: tuple[int, ...], order: list[int], block_map: list[int], sparsity: tflite.SparsityParameters, path: str
) -> list[int]:
    """The extents of the n outer dimensions, counted in blocks, and of the blocks; indexed like `traversal_order`."""
    extents = [*shape, *(0 for _ in block_map)]
    for block, dim in enumerate(block_map):
        level = order.index(len(shape) + block)
        metadata = present(sparsity.DimMetadata(level))
        size = metadata.DenseSize()
        if metadata.Format() == _SPARSE_CSR or size <= 0 or shape[dim] % size:
            where = f"{path}.dim_metadata[{level}].dense_size"
            raise FieldError(where, f"blocks of {size} do not divide dimension {dim} of {list(shape)}")
        extents[len(shape) + block] = size
        extents[dim] = shape[dim] // size
    assert math.prod(extents) == math.prod(shape)
    return extents


def _sparse_level(metadata: tflite.DimensionMetadata, parent_count: int, extent: int, path: str) -> tuple[Array, Array]:
    """The parent and the index of every stored position of a compressed level."""
    segments = _index_vector(metadata.ArraySegmentsType(), metadata.ArraySegments(), f"{path}.array_segments")
    indices = _index_vector(metadata.ArrayIndicesType(), metadata.ArrayIndices(), f"{path}.array_indices")
    counts = np.diff(segments)
    if segments.size != parent_count + 1 or segments[0] != 0 or (counts < 0).any() or segments[-1] != indices.size:
        raise FieldError(
            f"{path}.array_segments", f"no row pointers of {parent_count} rows with {indices.size} elements"
        )
    if indices.size and (indices.min() < 0 or indices.max() >= extent):
        raise FieldError(f"{path}.array_indices", f"an index is not below the extent {extent}")
    return np.repeat(np.arange(parent_count), counts), indices


def _index_vector(tag: int, union: Table | None, path: str) -> Array:
    if tag not in _INDEX_VECTORS or union is None:
        raise FieldError(path, "a compressed dimension lacks this vector")
    table = _INDEX_VECTORS[tag]()
    table.Init(union.Bytes, union.Pos)
    return vector(table.ValuesAsNumpy()).astype(np.int64)
