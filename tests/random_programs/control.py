"""Random control flow: loops, branches, and calls of functions written before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .builder import Builder, Rejected, Value
from .numbers import Number, integers

Operation = Callable[[Builder], Value]


def for_loop(builder: Builder, step: Operation) -> Value:
    """A tensor that goes through the same operation a few times; the number of times may be an unknown size."""
    carried = builder.any_tensor()
    bound = builder.any_tensor(lambda value: value.rank > 0 and value.shape[0].value <= 3)
    trips = bound.shape[0].value
    lower, one = builder.index(0), builder.index(1)
    upper = bound.shape[0].name or builder.index(trips)
    index, inner = builder.fresh(), builder.fresh()
    scale = builder.scalar(carried.element, 1)
    name = builder.fresh()
    loop = f"scf.for {index} = {lower} to {upper} step {one} iter_args({inner} = {carried.name})"
    builder.line(f"{name} = {loop} -> ({carried.type}) {{")
    with builder.block():
        number = _repeat(builder, Value(inner, carried.number, carried.sizes), scale, trips)
    builder.line("}")
    if not number.is_reasonable():
        raise Rejected
    return builder.keep(Value(name, number, carried.sizes))


def _repeat(builder: Builder, carried: Value, scale: Value, trips: int) -> Number:
    """The body of a loop, which adds a constant to every element, written once; its value after `trips` times."""
    from . import numbers

    operation = "arith.addf" if numbers.is_float(carried.element) else "arith.addi"
    filled = builder.filled(carried.element, carried.shape, 1)
    total = builder.fresh()
    builder.line(f"{total} = {operation} {carried.name}, {filled.name} : {carried.type}")
    builder.line(f"scf.yield {total} : {carried.type}")
    number = carried.number
    for _ in range(trips):
        number = numbers.add(number, filled.number)
    return number


def while_loop(builder: Builder, step: Operation) -> Value:
    """A counter that goes up to a limit in steps of one, and a tensor that is negated or doubled on the way."""
    from . import numbers

    carried = builder.any_tensor(lambda value: value.element not in ("index", "i1"))
    limit = builder.chance.integer(0, 3)
    zero, one, most = builder.index(0), builder.index(1), builder.index(limit)
    name = builder.fresh()
    count, tensor, goes_on, next_count, next_tensor = (builder.fresh() for _ in range(5))
    inner_count, inner = builder.fresh(), builder.fresh()
    types = f"index, {carried.type}"
    builder.line(f"{name}:2 = scf.while ({count} = {zero}, {tensor} = {carried.name}) : ({types}) -> ({types}) {{")
    with builder.block():
        builder.line(f"{goes_on} = arith.cmpi slt, {count}, {most} : index")
        builder.line(f"scf.condition({goes_on}) {count}, {tensor} : {types}")
    builder.line("} do {")
    builder.line(f"^bb0({inner_count}: index, {inner}: {carried.type}):")
    operation, function = ("arith.addf" if numbers.is_float(carried.element) else "arith.addi"), numbers.add
    with builder.block():
        builder.line(f"{next_count} = arith.addi {inner_count}, {one} : index")
        builder.line(f"{next_tensor} = {operation} {inner}, {inner} : {carried.type}")
        builder.line(f"scf.yield {next_count}, {next_tensor} : {types}")
    builder.line("}")
    number = carried.number
    for _ in range(limit):
        number = function(number, number)
    if not number.is_reasonable():
        raise Rejected
    return builder.keep(Value(f"{name}#1", number, carried.sizes))


def branch(builder: Builder, step: Operation) -> Value:
    """Either of two computations of one type, by a condition on an element or a size."""
    condition = builder.any_value(lambda value: value.sizes is None and value.element == "i1")
    taken = bool(condition.number.exact)
    like = builder.any_tensor(lambda value: value.element not in ("index", "i1"))
    name = builder.fresh()
    builder.line(f"{name} = scf.if {condition.name} -> ({like.type}) {{")
    numbers: list[Number] = []
    for position in range(2):
        with builder.block():
            made = step(builder)
            result = made if made.type == like.type and made.sizes == like.sizes else like
            builder.line(f"scf.yield {result.name} : {like.type}")
            numbers.append(result.number)
        builder.line("} else {" if position == 0 else "}")
    return builder.keep(Value(name, numbers[0] if taken else numbers[1], like.sizes))


def compare_sizes(builder: Builder) -> Value:
    """Whether one size is less than another: a condition that only a call may know."""
    first, second = (builder.any_tensor(lambda value: value.rank > 0).shape[0] for _ in range(2))
    names = [size.name or builder.index(size.value) for size in (first, second)]
    number = integers("i1", np.asarray(-int(first.value < second.value)))
    return builder.keep(builder.emit(f"arith.cmpi slt, {names[0]}, {names[1]} : index", number, None))
