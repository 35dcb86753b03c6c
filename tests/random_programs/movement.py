"""Random operations of the tensor dialect: parts, paddings, reshapes, single elements."""

from __future__ import annotations

import numpy as np

from .builder import Builder, Size, Value, tensor_type
from .numbers import integers


def pad(builder: Builder) -> Value:
    """Zeros or another constant around a tensor; sizes and amounts may be unknown."""
    chance = builder.chance
    source = builder.any_tensor(lambda value: value.rank > 0)
    low = [chance.integer(0, 2) for _ in source.shape]
    high = [chance.integer(0, 2) for _ in source.shape]
    value = builder.scalar(source.element, chance.one_of([0, 1]))
    sizes = [builder.sum_of(Size(a), size, Size(b)) for a, size, b in zip(low, source.shape, high, strict=True)]
    fill = value.number.exact
    amounts = list(zip(low, high, strict=True))
    number = source.number
    padded = type(number)(
        number.element,
        np.pad(number.exact, amounts, constant_values=fill),
        np.pad(number.error, amounts),
    )
    arguments = ", ".join(f"{builder.fresh()}: index" for _ in source.shape)
    result = builder.emit(f"tensor.pad {source.name} low{low} high{high} {{", padded, sizes)
    builder.line(f"^bb0({arguments}):")
    builder.line(f"  tensor.yield {value.name} : {source.element}")
    builder.line(f"}} : {source.type} to {result.type}")
    return builder.keep(result)


def extract_slice(builder: Builder) -> Value:
    """A part with offsets and strides; offsets may be values, and so may the sizes of what is not known."""
    chance = builder.chance
    source = builder.any_tensor(lambda value: value.rank > 0 and all(size.value > 0 for size in value.shape))
    offsets, sizes, strides, slices = [], [], [], []
    for size in source.shape:
        stride = chance.one_of([1, 1, 2])
        offset = chance.integer(0, size.value - 1)
        most = (size.value - 1 - offset) // stride + 1
        if chance.integer(0, 1) and size.name is None:
            offset, stride, most = 0, 1, size.value
        elif size.name is None:
            most = chance.integer(0, most)
        kept = Size(most) if size.name is None else Size(most, builder.index(most))
        dynamic = chance.integer(0, 3) == 0
        offsets.append(builder.index(offset) if dynamic else str(offset))
        sizes.append(kept)
        strides.append(str(stride))
        slices.append(slice(offset, offset + most * stride, stride))
    number = source.number.map(lambda part: part[tuple(slices)])
    lengths = ", ".join(size.name or str(size.value) for size in sizes)
    text = (
        f"tensor.extract_slice {source.name}[{', '.join(offsets)}] [{lengths}] [{', '.join(strides)}] "
        f": {source.type} to {tensor_type(source.element, sizes)}"
    )
    return builder.keep(builder.emit(text, number, sizes))


def insert_slice(builder: Builder) -> Value:
    """A tensor written over a part of another."""
    chance = builder.chance
    source = builder.any_tensor(lambda value: value.rank > 0)
    dest = builder.any_tensor(
        lambda value: (
            value.rank == source.rank
            and value.element == source.element
            and all(a.value <= b.value for a, b in zip(source.shape, value.shape, strict=True))
        )
    )
    places = [chance.integer(0, b.value - a.value) for a, b in zip(source.shape, dest.shape, strict=True)]
    slices = tuple(slice(at, at + size.value) for at, size in zip(places, source.shape, strict=True))
    exact, error = dest.number.exact.copy(), dest.number.error.copy()
    exact[slices], error[slices] = source.number.exact, source.number.error
    lengths = ", ".join(size.name or str(size.value) for size in source.shape)
    ones = ", ".join("1" for _ in places)
    text = (
        f"tensor.insert_slice {source.name} into {dest.name}[{', '.join(map(str, places))}] [{lengths}] [{ones}] "
        f": {source.type} into {dest.type}"
    )
    return builder.keep(builder.emit(text, type(dest.number)(dest.element, exact, error), dest.sizes))


def concat(builder: Builder) -> Value:
    """Two tensors behind one another."""
    first = builder.any_tensor(lambda value: value.rank > 0)
    dim = builder.chance.integer(0, first.rank - 1)
    second = builder.any_tensor(
        lambda value: (
            value.rank == first.rank
            and value.element == first.element
            and all(a == b for axis, (a, b) in enumerate(zip(value.shape, first.shape, strict=True)) if axis != dim)
        )
    )
    sizes = list(first.shape)
    sizes[dim] = builder.sum_of(first.shape[dim], second.shape[dim])
    parts = [
        np.concatenate([a, b], dim)
        for a, b in ((first.number.exact, second.number.exact), (first.number.error, second.number.error))
    ]
    text = (
        f"tensor.concat dim({dim}) {first.name}, {second.name} : ({first.type}, {second.type}) "
        f"-> {tensor_type(first.element, sizes)}"
    )
    return builder.keep(builder.emit(text, type(first.number)(first.element, *parts), sizes))


def collapse(builder: Builder) -> Value:
    """Two neighbouring dimensions become one."""
    source = builder.any_tensor(lambda value: value.rank > 1)
    at = builder.chance.integer(0, source.rank - 2)
    groups = [[dim] for dim in range(at)] + [[at, at + 1]] + [[dim] for dim in range(at + 2, source.rank)]
    sizes = [
        builder.product_of([source.shape[dim] for dim in group]) if len(group) > 1 else source.shape[group[0]]
        for group in groups
    ]
    text = f"tensor.collapse_shape {source.name} {groups} : {source.type} into {tensor_type(source.element, sizes)}"
    shape = [size.value for size in sizes]
    return builder.keep(builder.emit(text, source.number.map(lambda part: part.reshape(shape)), sizes))


def expand(builder: Builder) -> Value:
    """A dimension becomes two, the inner one of a known size."""
    source = builder.any_tensor(lambda value: 0 < value.rank < 4)
    at = builder.chance.integer(0, source.rank - 1)
    size = source.shape[at]
    inner = builder.chance.one_of([n for n in (1, 2, 3, 4) if size.value % n == 0])
    outer = Size(size.value // inner)
    if size.name is not None:
        index = integers("index", np.asarray(0))
        outer = Size(
            outer.value, builder.emit(f"arith.divsi {size.name}, {builder.index(inner)} : index", index, None).name
        )
    sizes = [*source.shape[:at], outer, Size(inner), *source.shape[at + 1 :]]
    groups = [[dim] for dim in range(at)] + [[at, at + 1]] + [[dim + 1] for dim in range(at + 1, source.rank)]
    lengths = ", ".join(each.name or str(each.value) for each in sizes)
    text = (
        f"tensor.expand_shape {source.name} {groups} output_shape [{lengths}] "
        f": {source.type} into {tensor_type(source.element, sizes)}"
    )
    shape = [each.value for each in sizes]
    return builder.keep(builder.emit(text, source.number.map(lambda part: part.reshape(shape)), sizes))


def extract(builder: Builder) -> Value:
    """One element as a scalar."""
    source = builder.any_tensor(lambda value: value.number.exact.size > 0)
    place = tuple(builder.chance.integer(0, size.value - 1) for size in source.shape)
    names = [builder.index(at) for at in place]
    number = source.number.map(lambda part: np.asarray(part[place]))
    return builder.keep(builder.emit(f"tensor.extract {source.name}[{', '.join(names)}] : {source.type}", number, None))


def from_scalars(builder: Builder) -> Value:
    """Scalars as a tensor, or one of them everywhere."""
    first = builder.any_value(lambda value: value.sizes is None and value.element != "index")
    if builder.chance.integer(0, 1):
        second = builder.any_value(lambda value: value.sizes is None and value.element == first.element)
        parts = [
            np.stack([a, b])
            for a, b in ((first.number.exact, second.number.exact), (first.number.error, second.number.error))
        ]
        text = f"tensor.from_elements {first.name}, {second.name} : tensor<2x{first.element}>"
        return builder.keep(builder.emit(text, type(first.number)(first.element, *parts), [Size(2)]))
    like = builder.any_tensor()
    shape = [size.value for size in like.shape]
    number = first.number.map(lambda part: np.broadcast_to(part, shape))
    operand = builder.dynamic(like.shape)
    text = f"tensor.splat {first.name}{f'[{operand}]' if operand else ''} : {tensor_type(first.element, like.shape)}"
    return builder.keep(builder.emit(text, number, like.shape))


def forget_sizes(builder: Builder) -> Value:
    """A tensor whose sizes the type no longer tells."""
    source = builder.any_tensor(lambda value: value.rank > 0 and any(size.name is None for size in value.shape))
    sizes = [size if size.name is not None else Size(size.value, builder.index(size.value)) for size in source.shape]
    text = f"tensor.cast {source.name} : {source.type} to {tensor_type(source.element, sizes)}"
    return builder.keep(builder.emit(text, source.number, sizes))
