"""Operations that make, move or reshape whole tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError
from .evaluator import Array, Scope, evaluate_block, meaning_of
from .maps import check_index, grid_of
from .records import Operation


@meaning_of("encoding.set_encoding", "encoding.unset_encoding", "device.transfer")
def _same_values(_: Operation, operands: Sequence[Array], __: Scope) -> Sequence[Array]:
    return operands[:1]


@meaning_of("tensor.cast")
def _cast(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    (source,) = operands
    shape = operation.types[0].shape or ()
    if len(shape) != source.ndim or any(a not in (None, b) for a, b in zip(shape, source.shape, strict=True)):
        raise ArgumentError(f"tensor.cast: a tensor of shape {source.shape} is none of shape {_text(shape)}")
    return (source,)


def _text(shape: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)


@meaning_of("tensor.empty")
def _empty(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    return (np.zeros(merge(operation.types[0].shape or (), operands), operation.types[0].dtype),)


@meaning_of("tensor.splat")
def _splat(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    value, *sizes = operands
    return (np.full(merge(operation.types[0].shape or (), sizes), value, operation.types[0].dtype),)


@meaning_of("linalg.fill")
def _fill(_: Operation, operands: Sequence[Array], __: Scope) -> Sequence[Array]:
    value, output = operands
    return (np.full(output.shape, value, output.dtype),)


@meaning_of("tensor.from_elements")
def _from_elements(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    return (np.asarray(list(operands), operation.types[0].dtype).reshape(merge(operation.types[0].shape or (), ())),)


@meaning_of("tensor.generate")
def _generate(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    extents = merge(operation.types[0].shape or (), operands)
    (values,) = evaluate_block(operation.blocks[0], grid_of(extents), scope)
    return (np.broadcast_to(values, extents).astype(operation.types[0].dtype),)


@meaning_of("tensor.dim")
def _dim(_: Operation, operands: Sequence[Array], __: Scope) -> Sequence[Array]:
    source, dim = operands
    return (np.asarray(source.shape[int(dim)], np.int64),)


@meaning_of("tensor.rank")
def _rank(_: Operation, operands: Sequence[Array], __: Scope) -> Sequence[Array]:
    return (np.asarray(operands[0].ndim, np.int64),)


@meaning_of("tensor.extract")
def _extract(_: Operation, operands: Sequence[Array], __: Scope) -> Sequence[Array]:
    """In the body of a generic the indices are arrays over the iteration space."""
    source, *indices = operands
    return (np.asarray(source[_inside(source, indices)]),)


@meaning_of("tensor.gather")
def _gather(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    """Slices at the positions along `dims` that the last dimension of the indices holds."""
    source, indices = operands
    dims = operation.attributes["dims"]
    places = [indices[..., position].astype(np.int64) for position in range(len(dims))]
    for dim, place in zip(dims, places, strict=True):
        check_index(place, dim, source.shape[dim])
    rest = [dim for dim in range(source.ndim) if dim not in dims]
    picked = source.transpose([*dims, *rest])[tuple(places)]
    batch = indices.ndim - 1
    if len(operation.types[0].shape or ()) == batch + source.ndim:
        picked = np.expand_dims(picked, tuple(batch + dim for dim in dims))
    return (np.ascontiguousarray(picked),)


@meaning_of("tensor.insert")
def _insert(_: Operation, operands: Sequence[Array], __: Scope) -> Sequence[Array]:
    value, dest, *indices = operands
    result = dest.copy()
    result[_inside(dest, indices)] = value
    return (result,)


def _inside(array: Array, indices: Sequence[Array]) -> tuple[Array, ...]:
    for axis, (index, size) in enumerate(zip(indices, array.shape, strict=True)):
        check_index(index, axis, size)
    return tuple(indices)


@meaning_of("tensor.collapse_shape")
def _collapse(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    (source,) = operands
    groups = operation.attributes["groups"]
    return (source.reshape([int(np.prod([source.shape[dim] for dim in group], dtype=np.int64)) for group in groups]),)


@meaning_of("tensor.expand_shape")
def _expand(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    source, *sizes = operands
    shape = merge(operation.attributes["shape"], sizes)
    for size, group in zip(source.shape, operation.attributes["groups"], strict=True):
        if np.prod([shape[dim] for dim in group], dtype=np.int64) != size:
            raise ArgumentError(
                f"tensor.expand_shape: a tensor of {source.shape} does not become one of {tuple(shape)}"
            )
    return (source.reshape(shape),)


@meaning_of("tensor.reshape")
def _reshape(_: Operation, operands: Sequence[Array], __: Scope) -> Sequence[Array]:
    source, shape = operands
    sizes = [int(size) for size in shape]
    if np.prod(sizes, dtype=np.int64) != source.size or min(sizes, default=0) < 0:
        raise ArgumentError(f"tensor.reshape: a tensor of {source.shape} does not become one of {tuple(sizes)}")
    return (source.reshape(sizes),)


@meaning_of("tensor.concat")
def _concat(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    return (np.concatenate(list(operands), axis=operation.attributes["dim"]),)


@meaning_of("tensor.extract_slice")
def _extract_slice(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    source, *dynamic = operands
    part = source[_slices(operation, source, dynamic)]
    shape = operation.types[0].shape or ()
    if len(shape) != part.ndim:  # the result may drop dimensions of size 1
        dropped = _dropped(part.shape, shape)
        part = part.squeeze(tuple(dropped))
    return (np.ascontiguousarray(part),)


def _dropped(sizes: Sequence[int], shape: Sequence[int | None]) -> list[int]:
    """The dimensions of size 1 that `shape` lacks: the first that let the rest match, as in MLIR."""
    dropped: list[int] = []
    wanted = list(shape)
    for dim, size in enumerate(sizes):
        if wanted and (wanted[0] == size or wanted[0] is None) and not (size == 1 and wanted[0] is None):
            wanted.pop(0)
        elif size == 1 and len(sizes) - dim > len(wanted):
            dropped.append(dim)
        else:
            wanted.pop(0)
    return dropped


@meaning_of("tensor.insert_slice")
def _insert_slice(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    source, dest, *dynamic = operands
    result = dest.copy()
    slices = _slices(operation, dest, dynamic)
    place = result[slices]
    if place.size != source.size:
        raise ArgumentError(f"tensor.insert_slice: a tensor of {source.shape} does not fill a slice of {place.shape}")
    result[slices] = source.reshape(place.shape)
    return (result,)


def _slices(operation: Operation, array: Array, dynamic: Sequence[Array]) -> tuple[slice, ...]:
    remaining = iter(dynamic)
    parts = [
        [int(next(remaining)) if value is None else value for value in operation.attributes[name]]
        for name in ("offsets", "sizes", "strides")
    ]
    for extent, offset, size, stride in zip(array.shape, *parts, strict=True):
        if offset < 0 or size < 0 or (size and not 0 <= offset + (size - 1) * stride < extent) or offset > extent:
            raise ArgumentError(f"{operation.name}: {size} elements from {offset} on, {stride} apart, leave {extent}")
    return tuple(_slice(*each) for each in zip(*parts, strict=True))


def _slice(offset: int, size: int, stride: int) -> slice:
    stop = offset + size * stride
    return slice(offset, stop if stop >= 0 else None, stride) if size and stride else slice(offset, offset)


@meaning_of("tensor.pad")
def _pad(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    source, *amounts = operands
    count = list(operation.attributes["low"]).count(None)
    low = merge(operation.attributes["low"], amounts[:count])
    high = merge(operation.attributes["high"], amounts[count:])
    (block,) = operation.blocks
    extents = [before + size + after for before, size, after in zip(low, source.shape, high, strict=True)]
    if min([*low, *high], default=0) < 0:
        raise ArgumentError("tensor.pad: an amount is negative")
    (value,) = evaluate_block(block, grid_of(extents), scope)
    result = np.empty(extents, source.dtype)
    result[...] = value
    result[tuple(slice(before, before + size) for before, size in zip(low, source.shape, strict=True))] = source
    return (result,)


def merge(static: Sequence[int | None], dynamic: Sequence[Array]) -> list[int]:
    """Static sizes with `dynamic` ones in place of each None. Raises ArgumentError for a negative one."""
    remaining = iter(dynamic)
    sizes = [int(next(remaining)) if size is None else size for size in static]
    if min(sizes, default=0) < 0:
        raise ArgumentError(f"a tensor cannot have the sizes {sizes}")
    return sizes
