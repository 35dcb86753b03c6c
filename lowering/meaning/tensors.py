"""Meanings of the operations that make, move or reshape whole tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects import tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, IntegerType
from xdsl.ir import Operation, SSAValue

from ...tosa.dialect import ConstOp
from ...tosa.dialect.types import element_of, shape_of
from ...tosa.elements import numpy_dtype
from ..dialects import dispatch, encoding, linalg
from .interpreter import Array, Values, evaluate_block, meaning_of


@meaning_of(ConstOp)
def _constant(operation: ConstOp, _: Sequence[Array], __: Values) -> Sequence[Array]:
    return (operation.array,)


@meaning_of(dispatch.RegionOp, dispatch.SegmentOp)
def _outlined(
    operation: dispatch.RegionOp | dispatch.SegmentOp, operands: Sequence[Array], _: Values
) -> Sequence[Array]:
    """What the arguments do not stand for are sizes of the results, known from these."""
    block = operation.body.block
    return evaluate_block(block, operands[: len(block.args)], {})


@meaning_of(encoding.SetOp, encoding.UnsetOp, tensor.CastOp)
def _same_values(_: Operation, operands: Sequence[Array], __: Values) -> Sequence[Array]:
    return operands


@meaning_of(tensor.EmptyOp)
def _empty(operation: tensor.EmptyOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    return (np.zeros(_merge(shape_of(operation.tensor), operands), _dtype(operation.tensor)),)


@meaning_of(tensor.SplatOp)
def _splat(operation: tensor.SplatOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    value, *sizes = operands
    return (np.full(_merge(shape_of(operation.result), sizes), value, _dtype(operation.result)),)


@meaning_of(tensor.DimOp)
def _dim(_: tensor.DimOp, operands: Sequence[Array], __: Values) -> Sequence[Array]:
    source, dim = operands
    return (np.asarray(source.shape[int(dim)], np.int64),)


@meaning_of(tensor.CollapseShapeOp)
def _collapse(operation: tensor.CollapseShapeOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    (source,) = operands
    groups = [[int(dim.value.data) for dim in group] for group in operation.reassociation]
    return (source.reshape([int(np.prod([source.shape[dim] for dim in group])) for group in groups]),)


@meaning_of(tensor.ExpandShapeOp)
def _expand(operation: tensor.ExpandShapeOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    source, *sizes = operands
    return (source.reshape(_merge(_static(operation.static_output_shape), sizes)),)


@meaning_of(tensor.ConcatOp)
def _concat(operation: tensor.ConcatOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    return (np.concatenate(list(operands), axis=operation.dim.value.data),)


@meaning_of(tensor.ExtractSliceOp)
def _extract_slice(operation: tensor.ExtractSliceOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    part = operands[0][_slices(operation)]
    return (part.reshape(shape_of(operation.result)),)  # the result may drop dimensions of size 1


@meaning_of(tensor.InsertSliceOp)
def _insert_slice(operation: tensor.InsertSliceOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    source, dest, *_dynamic = operands
    result = dest.copy()
    slices = _slices(operation)
    result[slices] = source.reshape(result[slices].shape)
    return (result,)


@meaning_of(tensor.PadOp)
def _pad(operation: tensor.PadOp, operands: Sequence[Array], captured: Values) -> Sequence[Array]:
    source, *amounts = operands
    low_count = len(operation.low)
    low = _merge(_static(operation.static_low), amounts[:low_count])
    high = _merge(_static(operation.static_high), amounts[low_count:])
    block = operation.region.block
    if any(argument.uses for argument in block.args):
        raise NotImplementedError("tensor.pad with a value that depends on the position")
    (value,) = evaluate_block(block, [np.asarray(0)] * len(block.args), captured)
    return (np.pad(source, list(zip(low, high, strict=True)), constant_values=value),)


@meaning_of(linalg.PackOp)
def _pack(operation: linalg.PackOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    source, dest, *rest = operands
    padding = rest[0] if operation.padding_value is not None else 0
    tiles = dict(zip(operation.tiled_dims, operation.tile_sizes, strict=True))
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
    order = [*(outer[dim] for dim in operation.outer_permutation(source.ndim)), *(inner[dim] for dim in tiles)]
    return (np.ascontiguousarray(padded.reshape(split).transpose(order)).reshape(dest.shape),)


@meaning_of(linalg.UnpackOp)
def _unpack(operation: linalg.UnpackOp, operands: Sequence[Array], _: Values) -> Sequence[Array]:
    source, dest = operands
    rank = dest.ndim
    outer = {dim: axis for axis, dim in enumerate(operation.outer_permutation(rank))}
    inner = {dim: rank + i for i, dim in enumerate(operation.tiled_dims)}
    order = [axis for dim in range(rank) for axis in ((outer[dim], inner[dim]) if dim in inner else (outer[dim],))]
    sizes = [source.shape[outer[dim]] * (source.shape[inner[dim]] if dim in inner else 1) for dim in range(rank)]
    rows = source.transpose(order).reshape(sizes)
    return (np.ascontiguousarray(rows[tuple(slice(size) for size in dest.shape)]),)


def _slices(operation: tensor.ExtractSliceOp | tensor.InsertSliceOp) -> tuple[slice, ...]:
    parts = [_static(part) for part in (operation.static_offsets, operation.static_sizes, operation.static_strides)]
    if any(DYNAMIC_INDEX in part for part in parts):
        raise NotImplementedError(f"{operation.name} with offsets, sizes or strides known only at run time")
    return tuple(
        slice(offset, offset + (size - 1) * stride + 1 if size else offset, stride)
        for offset, size, stride in zip(*parts, strict=True)
    )


def _static(values: DenseArrayBase) -> tuple[int, ...]:
    return cast("DenseArrayBase[IntegerType]", values).get_values()


def _merge(static: Sequence[int], dynamic: Sequence[Array]) -> list[int]:
    """Static sizes with `dynamic` ones in place of each DYNAMIC_INDEX."""
    remaining = iter(dynamic)
    return [int(next(remaining)) if size == DYNAMIC_INDEX else size for size in static]


def _dtype(value: SSAValue) -> np.dtype:
    return numpy_dtype(element_of(value))
