"""Random operators of TOSA, on tensors of known sizes."""

from __future__ import annotations

import numpy as np

from . import numbers
from .builder import Builder, Rejected, Size, Value, tensor_type
from .loops import reduce_number

_ELEMENTS = ("f32", "i32", "f16", "bf16")
_BINARY = {"add": numbers.add, "sub": numbers.subtract, "maximum": numbers.maximum, "minimum": numbers.minimum}


def _static(value: Value) -> bool:
    return value.sizes is not None and all(size.name is None and size.value > 0 for size in value.sizes)


def operator(builder: Builder) -> Value:
    """An element-wise operator, a reduction, or a reshape."""
    source = builder.any_tensor(lambda value: _static(value) and value.element in _ELEMENTS and value.rank > 0)
    return builder.chance.one_of([_binary, _reduce, _reshape, _absolute])(builder, source)


def _binary(builder: Builder, first: Value) -> Value:
    name = builder.chance.one_of(list(_BINARY))
    second = builder.any_tensor(lambda value: value.sizes == first.sizes and value.element == first.element)
    text = f'"tosa.{name}"({first.name}, {second.name}) : ({first.type}, {second.type}) -> {first.type}'
    return builder.keep(builder.emit(text, _BINARY[name](first.number, second.number), first.sizes))


def _absolute(builder: Builder, source: Value) -> Value:
    number = type(source.number)(source.element, np.abs(source.number.exact), source.number.error)
    if source.element == "i32" and np.any(source.number.exact == -(1 << 31)):
        raise Rejected
    return builder.keep(
        builder.emit(f'"tosa.abs"({source.name}) : ({source.type}) -> {source.type}', number, source.sizes)
    )


def _reduce(builder: Builder, source: Value) -> Value:
    if source.element == "i32" and np.any(np.abs(source.number.exact) > 1 << 24):
        raise Rejected  # an overflow of tosa.reduce_sum is an error of the program
    axis = builder.chance.integer(0, source.rank - 1)
    sizes = [Size(1) if dim == axis else size for dim, size in enumerate(source.shape)]
    shape = [size.value for dim, size in enumerate(source.shape) if dim != axis]
    floats = numbers.is_float(source.element)
    start = (
        numbers.reals(source.element, np.zeros(shape)) if floats else numbers.integers(source.element, np.zeros(shape))
    )
    total = reduce_number("arith.addf" if floats else "arith.addi", source.number, start, (axis,))
    result = tensor_type(source.element, sizes)
    text = f'"tosa.reduce_sum"({source.name}) <{{axis = {axis} : i32}}> : ({source.type}) -> {result}'
    return builder.keep(builder.emit(text, total.map(lambda part: np.expand_dims(part, axis)), sizes))


def _reshape(builder: Builder, source: Value) -> Value:
    count = source.number.exact.size
    first = builder.chance.one_of([n for n in (1, 2, 3, 4) if count % n == 0])
    shape = [first, count // first]
    sizes = [Size(n) for n in shape]
    target = builder.fresh()
    builder.line(
        f'{target} = "tosa.const_shape"() <{{values = dense<{shape}> : tensor<2xindex>}}> : () -> !tosa.shape<2>'
    )
    result = tensor_type(source.element, sizes)
    text = f'"tosa.reshape"({source.name}, {target}) : ({source.type}, !tosa.shape<2>) -> {result}'
    return builder.keep(builder.emit(text, source.number.map(lambda part: part.reshape(shape)), sizes))
