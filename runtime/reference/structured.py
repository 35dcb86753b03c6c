"""linalg's operations that name their scalar function: element-wise ones, contractions, convolutions, poolings.

All are one operation here, `linalg.structured`: `function` over the iteration space that `maps` and `iterators` tell.
Elements are first cast to the type of the output, integers as signed ones or with `unsigned` as unsigned ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .elementwise import apply, cast
from .evaluator import Array, Scope, meaning_of
from .generics import WHOLE_WIDTHS, iterate_body
from .records import Operation, ValueType, width_of

_UNARY = {
    **{name: f"math.{name}" for name in ("exp", "log", "ceil", "floor", "round", "sqrt", "rsqrt", "tanh", "erf")},
    "abs": "math.abs?",
    "negf": "arith.negf",
}
_BINARY = {
    "add": "arith.add?",
    "sub": "arith.sub?",
    "mul": "arith.mul?",
    "div": ("arith.divsi", "arith.divf"),
    "div_unsigned": "arith.divui",
    "max": ("arith.maxsi", "arith.maximumf"),
    "min": ("arith.minsi", "arith.minimumf"),
    "max_signed": ("arith.maxsi", "arith.maximumf"),
    "min_signed": ("arith.minsi", "arith.minimumf"),
    "max_unsigned": ("arith.maxui", "arith.maximumf"),
    "min_unsigned": ("arith.minui", "arith.minimumf"),
    "powf": "math.powf",
}
_POOLINGS = {
    "pooled_sum": "add",
    **{f"pooled_{name}": name for name in ("max", "min", "max_unsigned", "min_unsigned")},
}
_PRODUCTS = ("multiply_add", "multiply_add_offset")
FUNCTIONS = frozenset({*_UNARY, *_BINARY, *_POOLINGS, *_PRODUCTS, "copy", "square", "reciprocal", "select"})


def _operation(name: str | tuple[str, str], type: ValueType) -> str:
    """The operation for integers or floats."""
    integer = bool(width_of(type.element))
    return name[not integer] if isinstance(name, tuple) else name.replace("?", "i" if integer else "f")


def _apply(function: str, type: ValueType, inputs: Sequence[Array]) -> Array:
    """An element-wise function of inputs of `type`."""
    if function == "copy":
        return inputs[0]
    if function == "square":
        return _apply("mul", type, (inputs[0], inputs[0]))
    if function == "reciprocal":
        return apply("arith.divf", type, np.ones((), type.dtype), *inputs)
    table = _UNARY if function in _UNARY else _BINARY
    return apply(_operation(table[function], type), type, *inputs)


@meaning_of("linalg.structured")
def structured(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    """Attributes as in the head of this file, and `elements`: the element type of each operand."""
    attributes = operation.attributes
    function: str = attributes["function"]
    type = ValueType(operation.types[0].element, None)

    def inputs_of(elements: Sequence[Array]) -> list[Array]:
        own = attributes["elements"][: len(elements)]
        return [cast(value, name, type, attributes["unsigned"]) for value, name in zip(elements, own, strict=True)]

    def added(elements: Sequence[Array], grid: Sequence[Array]) -> Sequence[Array]:
        """What a reduction adds to the output's element."""
        if function in _POOLINGS:
            return (inputs_of(elements[:1])[0],)
        first, second, *offsets = inputs_of(elements[:-1])
        if offsets:
            first, second = (
                apply(_operation("arith.sub?", type), type, *pair)
                for pair in ((first, offsets[0]), (second, offsets[1]))
            )
        return (_apply("mul", type, (first, second)),)

    def step(elements: Sequence[Array], grid: Sequence[Array]) -> Sequence[Array]:
        if function == "select":
            condition, *values = elements[:-1]
            return (np.where(condition, *values),)
        if function in _POOLINGS:
            return (_apply(_POOLINGS[function], type, (elements[-1], *added(elements, grid))),)
        if function in _PRODUCTS:
            return (_apply("add", type, (elements[-1], *added(elements, grid))),)
        return (_apply(function, type, inputs_of(elements[:-1])),)

    sums = function in _PRODUCTS or function == "pooled_sum"
    at_once = ([np.add], added) if sums and width_of(type.element) in WHOLE_WIDTHS else None
    return iterate_body(step, attributes["maps"], attributes["iterators"], operands, 1, at_once)


@meaning_of("linalg.softmax")
def _softmax(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    values, axis = operands[0], operation.attributes["dimension"]
    if not values.size:
        return (values,)
    wide = values.astype(np.float32, copy=False) if values.dtype.itemsize == 2 else values
    powers = np.exp(wide - wide.max(axis, keepdims=True))
    return ((powers / powers.sum(axis, keepdims=True)).astype(values.dtype),)
