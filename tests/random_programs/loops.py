"""Random `linalg.generic`s, and the operations that are generics with a name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import numbers
from .builder import Builder, Rejected, Size, Value
from .elementwise import ELEMENTS, Body
from .numbers import Array, Number, is_float


def generic(builder: Builder) -> Value:
    """A parallel generic: inputs broadcast, the output transposed and perhaps read, indices perhaps used."""
    chance = builder.chance
    space = builder.any_tensor()
    sizes = list(space.shape)
    rank = len(sizes)
    inputs, maps, views = [space], [tuple(range(rank))], [space.number]
    for _ in range(chance.integer(0, 2)):
        other = builder.any_tensor(lambda value: _placement(value, sizes) is not None)
        placed = _placement(other, sizes)
        assert placed is not None
        inputs.append(other)
        maps.append(placed)
        views.append(other.number.map(lambda part, placed=placed: spread(part, placed, rank)))
    order = _permutation(builder, rank)
    out_sizes = [sizes[dim] for dim in order]
    shape = [size.value for size in sizes]
    reads_output = chance.integer(0, 3) == 0
    if reads_output:
        output = builder.any_tensor(lambda value: list(value.shape) == out_sizes)
        element = output.element
    else:
        element = chance.one_of(ELEMENTS)
        output = builder.empty(element, out_sizes)
    outputs = [output]
    if chance.integer(0, 5) == 5:
        outputs.append(builder.empty(chance.one_of(ELEMENTS), sizes))
    lines = len(builder.lines)
    with builder.block():
        names = [builder.fresh() for _ in [*inputs, *outputs]]
        arguments = [
            (name, view.map(lambda part: np.broadcast_to(part, shape)))
            for name, view in zip(names, views, strict=False)
        ]
        if reads_output:
            arguments.append(
                (names[len(inputs)], output.number.map(lambda part: np.broadcast_to(spread(part, order, rank), shape)))
            )
        body = Body(builder, arguments, None)
        if rank and chance.integer(0, 4) == 0:
            dim = chance.integer(0, rank - 1)
            index = np.arange(shape[dim]).reshape([-1 if axis == dim else 1 for axis in range(rank)])
            body.emit(f"linalg.index {dim} : index", numbers.integers("index", np.broadcast_to(index, shape)))
        for _ in range(chance.integer(1, 4)):
            body.step()
        name, number = _of_type(body, element)
        yielded, results = [name], [number.map(lambda part: np.array(part.transpose(order)))]
        for extra in outputs[1:]:
            name, number = body.cast_to(*body.any(), extra.element)
            yielded.append(name)
            results.append(number)
        builder.line(f"linalg.yield {', '.join(yielded)} : {', '.join(each.element for each in outputs)}")
    kinds = ["parallel"] * rank
    return _finish(builder, lines, inputs, outputs, [*maps, order, tuple(range(rank))], kinds, names, results)


def reduction(builder: Builder) -> Value:
    """A generic that combines the elements of its input along some dimensions, starting from any tensor."""
    chance = builder.chance
    source = builder.any_tensor(lambda value: value.rank > 0)
    rank = source.rank
    reduced = [dim for dim in range(rank) if chance.integer(0, 1)] or [rank - 1]
    kept = [dim for dim in range(rank) if dim not in reduced]
    sizes = [source.shape[dim] for dim in kept]
    operation, element, start = _reducer(builder, source.element)
    output = builder.filled(element, sizes, start)
    if chance.integer(0, 3) == 0:
        output = builder.any_tensor(lambda value: list(value.shape) == sizes and value.element == element)
    shape = [size.value for size in source.shape]
    lines = len(builder.lines)
    with builder.block():
        names = [builder.fresh(), builder.fresh()]
        body = Body(builder, [(names[0], source.number)], None)
        if chance.integer(0, 1):
            body.step()
        name, terms = _of_type(body, element)
        combined = builder.fresh()
        operands = f"{names[1]}, {name}" if chance.integer(0, 1) else f"{name}, {names[1]}"
        builder.line(f"{combined} = {operation} {operands} : {element}")
        builder.line(f"linalg.yield {combined} : {element}")
    terms = terms.map(lambda part: np.broadcast_to(part, shape))
    number = reduce_number(operation, terms, output.number, tuple(reduced))
    kinds = ["reduction" if dim in reduced else "parallel" for dim in range(rank)]
    return _finish(builder, lines, [source], [output], [tuple(range(rank)), tuple(kept)], kinds, names, [number])


_REDUCERS = {
    "arith.addf": np.add,
    "arith.addi": np.add,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.maxsi": np.maximum,
    "arith.minsi": np.minimum,
    "arith.ori": np.bitwise_or,
    "arith.andi": np.bitwise_and,
    "arith.xori": np.bitwise_xor,
    "arith.muli": np.multiply,
}


def _reducer(builder: Builder, element: str) -> tuple[str, str, float]:
    """An operation, the type to accumulate in and the value to start from."""
    if is_float(element):
        accumulator = builder.chance.one_of([element, "f32"] if element in ("f16", "bf16") else [element])
        operation = builder.chance.one_of(["arith.addf", "arith.maximumf", "arith.minimumf"])
        return operation, accumulator if operation == "arith.addf" else element, 0.0
    names = [name for name in _REDUCERS if name.endswith("i")]
    return builder.chance.one_of(names), element, 1 if builder.chance.integer(0, 1) else 0


def reduce_number(operation: str, terms: Number, start: Number, axes: tuple[int, ...]) -> Number:
    """start combined with the terms over `axes`."""
    if operation == "arith.addf":
        return numbers.total(terms, start, axes)
    function = _REDUCERS[operation]
    values, errors = terms.exact, terms.error
    kept = [axis for axis in range(values.ndim) if axis not in axes]
    # Reduced axes in front, the start as one more element: a reduction of nothing has no other meaning.
    count = int(np.prod([values.shape[axis] for axis in axes], dtype=np.int64))
    shape = (count, *start.exact.shape)
    flat, spoiled = (part.transpose([*axes, *kept]).reshape(shape) for part in (values, errors))
    exact = function.reduce(np.concatenate([start.exact[None], flat]), axis=0)
    error = np.concatenate([start.error[None], spoiled]).max(0)
    return (
        numbers.reals(start.element, exact, error)
        if is_float(start.element)
        else numbers.integers(start.element, exact)
    )


def _of_type(body: Body, element: str) -> tuple[str, Number]:
    """The last value of the body as one of type `element`."""
    name, number = body.values[-1]
    if number.element == "index":
        name, number = body.cast_to(name, number, "i64")
    return body.cast_to(name, number, element)


def _placement(value: Value, sizes: Sequence[Size]) -> tuple[int, ...] | None:
    """Dimensions of an iteration space that `value` can be read along, in increasing order from the back."""
    found: list[int] = []
    free = len(sizes)
    for size in reversed(value.shape):
        fitting = [dim for dim in range(free) if sizes[dim] == size]
        if not fitting:
            return None
        free = fitting[-1]
        found.append(free)
    return tuple(reversed(found))


def spread(array: Array, dims: Sequence[int], rank: int) -> Array:
    """`array` whose axis i is dimension dims[i] of a space of `rank` dimensions, with size 1 along the others."""
    order = sorted(range(len(dims)), key=lambda axis: dims[axis])
    shape = [1] * rank
    for axis in order:
        shape[dims[axis]] = array.shape[axis]
    return array.transpose(order).reshape(shape)


def _permutation(builder: Builder, rank: int) -> tuple[int, ...]:
    order = list(range(rank))
    if rank > 1 and builder.chance.integer(0, 3) == 0:
        first = builder.chance.integer(0, rank - 2)
        order[first], order[first + 1] = order[first + 1], order[first]
    return tuple(order)


def _finish(
    builder: Builder,
    lines: int,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    maps: Sequence[Sequence[int]],
    kinds: Sequence[str],
    names: Sequence[str],
    results: Sequence[Number],
) -> Value:
    """Put the head of a generic before its body, which began at `lines`; the last of its results."""
    body = builder.lines[lines:]
    del builder.lines[lines:]
    dims = ", ".join(f"d{dim}" for dim in range(len(kinds)))
    used = maps[: len(inputs) + len(outputs)]
    texts = [f"affine_map<({dims}) -> ({', '.join(f'd{dim}' for dim in map)})>" for map in used]
    operands = {
        keyword: f"{keyword}({', '.join(v.name for v in values)} : {', '.join(v.type for v in values)})"
        for keyword, values in (("ins", inputs), ("outs", outputs))
        if values
    }
    quoted = ", ".join(f'"{kind}"' for kind in kinds)
    attributes = f"{{indexing_maps = [{', '.join(texts)}], iterator_types = [{quoted}]}}"
    head = f"linalg.generic {attributes} {' '.join(operands.values())} {{"
    arguments = ", ".join(f"{name}: {v.element}" for name, v in zip(names, [*inputs, *outputs], strict=True))
    if not all(number.is_reasonable() for number in results):
        raise Rejected
    name, count = builder.fresh(), len(outputs)
    builder.line(f"{name}{f':{count}' if count > 1 else ''} = {head}")
    builder.line(f"^bb0({arguments}):")
    builder.lines += body
    types = ", ".join(output.type for output in outputs)
    builder.line(f"}} -> {f'({types})' if count > 1 else types}")
    for position, (number, output) in enumerate(zip(results, outputs, strict=True)):
        builder.keep(Value(f"{name}#{position}" if count > 1 else name, number, output.sizes))
    return builder.values[-1]


def named(builder: Builder) -> Value:
    """transpose, broadcast, reduce, map and element-wise operations by their names."""
    return builder.chance.one_of([_transpose, _broadcast, _named_reduce, _map, _named_elementwise])(builder)


def _transpose(builder: Builder) -> Value:
    source = builder.any_tensor(lambda value: value.rank > 1)
    order = _permutation(builder, source.rank)
    order = order if order != tuple(range(source.rank)) else order[::-1]
    empty = builder.empty(source.element, [source.shape[dim] for dim in order])
    operands = f"ins({source.name} : {source.type}) outs({empty.name} : {empty.type})"
    text = f"linalg.transpose {operands} permutation = {list(order)}"
    return builder.keep(builder.emit(text, source.number.map(lambda part: part.transpose(order)), empty.sizes))


def _broadcast(builder: Builder) -> Value:
    chance = builder.chance
    source = builder.any_tensor(lambda value: value.rank < 4)
    more = builder.any_tensor(lambda value: value.rank > 0).shape[0]
    if more.value * source.number.exact.size > 1 << 14:
        raise Rejected
    at = chance.integer(0, source.rank)
    sizes = [*source.shape[:at], more, *source.shape[at:]]
    empty = builder.empty(source.element, sizes)
    text = f"linalg.broadcast ins({source.name} : {source.type}) outs({empty.name} : {empty.type}) dimensions = [{at}]"
    shape = [size.value for size in sizes]
    number = source.number.map(lambda part: np.broadcast_to(np.expand_dims(part, at), shape))
    return builder.keep(builder.emit(text, number, sizes))


def _named_reduce(builder: Builder) -> Value:
    source = builder.any_tensor(lambda value: value.rank > 0)
    operation, element, start = _reducer(builder, source.element)
    if element != source.element:
        raise Rejected
    at = builder.chance.integer(0, source.rank - 1)
    sizes = [size for dim, size in enumerate(source.shape) if dim != at]
    init = builder.filled(element, sizes, start)
    text = (
        f"linalg.reduce {{ {operation} }} ins({source.name} : {source.type}) "
        f"outs({init.name} : {init.type}) dimensions = [{at}]"
    )
    return builder.keep(builder.emit(text, reduce_number(operation, source.number, init.number, (at,)), sizes))


def _map(builder: Builder) -> Value:
    first = builder.any_tensor(lambda value: value.element != "index")
    second = builder.any_tensor(lambda value: value.sizes == first.sizes and value.element == first.element)
    table = numbers.BINARY_FLOAT if is_float(first.element) else numbers.BINARY_INTEGER
    operation = builder.chance.one_of(list(table))
    empty = builder.empty(first.element, first.shape)
    text = (
        f"linalg.map {{ {operation} }} ins({first.name}, {second.name} : {first.type}, {second.type}) "
        f"outs({empty.name} : {empty.type})"
    )
    return builder.keep(builder.emit(text, table[operation](first.number, second.number), first.sizes))


_NAMED = {
    "add": numbers.add,
    "sub": numbers.subtract,
    "mul": numbers.multiply,
    "max": numbers.maximum,
    "min": numbers.minimum,
}


def _named_elementwise(builder: Builder) -> Value:
    first = builder.any_tensor(lambda value: value.element not in ("index", "i1"))
    second = builder.any_tensor(lambda value: value.sizes == first.sizes and value.element == first.element)
    name = builder.chance.one_of(list(_NAMED))
    empty = builder.empty(first.element, first.shape)
    text = (
        f"linalg.{name} ins({first.name}, {second.name} : {first.type}, {second.type}) "
        f"outs({empty.name} : {empty.type}) -> {empty.type}"
    )
    return builder.keep(builder.emit(text, _NAMED[name](first.number, second.number), first.sizes))
