"""Whole random programs, their inputs and what they should return."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from . import contractions, control, elementwise, loops, movement, tosa
from .builder import Builder, Chance, Constants, Rejected, Size, Value
from .elementwise import ELEMENTS
from .numbers import Array, Number, integers

T = TypeVar("T")

SIZES = (4, 3, 1, 0, 2, 8, 5, 17, 16, 33)
"""Of dimensions: none, one, primes, tiles of some target, and one more than a tile."""

_MOST_ELEMENTS = 1 << 13

_SIMPLE: Sequence[Callable[[Builder], Value]] = (
    elementwise.whole_tensors,
    loops.generic,
    loops.reduction,
    loops.named,
    contractions.contraction,
    movement.pad,
    movement.extract_slice,
    movement.insert_slice,
    movement.concat,
    movement.collapse,
    movement.expand,
    movement.extract,
    movement.from_scalars,
    movement.forget_sizes,
    elementwise.scalars,
    contractions.tiles,
    contractions.convolution,
    contractions.pooling,
    control.compare_sizes,
    tosa.operator,
)
_CONTROL = (control.for_loop, control.while_loop, control.branch)


@dataclass(frozen=True)
class Called:
    """A function of a program, arrays to call it with, and what it then returns."""

    name: str
    inputs: list[Array]
    outputs: list[Number]


@dataclass(frozen=True)
class Program:
    text: str
    functions: list[Called]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How hypothesis shows the smallest program that fails."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        shapes = [f"{call.name}: {[f'{a.dtype}{list(a.shape)}' for a in call.inputs]}" for call in self.functions]
        return "\n".join(["", *shapes, self.text])


class _Drawn:
    """Choices that hypothesis makes and shrinks."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def one_of(self, alternatives: Sequence[T]) -> T:
        return alternatives[self.integer(0, len(alternatives) - 1)]

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))


class Random:
    """Choices that a seed makes."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one_of(self, alternatives: Sequence[T]) -> T:
        return self._random.choice(alternatives)

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Valid programs of one or two functions that users call, and others that these call."""
    return make_program(_Drawn(draw))


def make_program(chance: Chance) -> Program:
    """A program of the choices of `chance`."""
    with np.errstate(all="ignore"):  # wrapping is what integers do
        return _make_program(chance)


def _make_program(chance: Chance) -> Program:
    names = Constants()
    texts: list[str] = []
    called: list[Called] = []
    for number in range(chance.integer(1, 2)):
        builder = Builder(f"f{number}", chance, names)
        _draw_arguments(builder)
        _fill(builder, texts, chance.integer(1, 6))
        results = _results(builder)
        texts.append(_text(builder, results, "func.func"))
        inputs = [value.number.as_array() for value in builder.function.arguments]
        called.append(Called(builder.function.name, inputs, [value.number for value in results]))
    return Program("\n".join(texts), called)


def _draw_arguments(builder: Builder) -> None:
    """Tensors over a few sizes that they share, and perhaps scalars."""
    chance = builder.chance
    elements = [chance.one_of(ELEMENTS) for _ in range(chance.integer(1, 2))]
    sizes = [_size(builder) for _ in range(chance.integer(1, 3))]
    first = [chance.one_of(sizes) for _ in range(chance.integer(1, 3))]
    shapes = [first]
    for _ in range(chance.integer(0, 3)):
        kind = chance.integer(0, 2)
        if kind == 0:
            shapes.append(first)
        else:
            shapes.append([chance.one_of(sizes) for _ in range(chance.integer(0, 4))])
    for shape in shapes:
        if np.prod([size.value for size in shape], dtype=np.int64) <= _MOST_ELEMENTS:
            builder.keep(builder.argument(chance.one_of(elements), shape))
    if not builder.values:
        builder.keep(builder.argument(elements[0], sizes[:1]))
    _measure(builder)
    if chance.integer(0, 3) == 0:
        element = chance.one_of([*elements, "index", "i1"])
        value = Value(builder.fresh(), _scalar(chance, element), None)
        builder.function.arguments.append(builder.keep(value))


def _size(builder: Builder) -> Size:
    value = builder.chance.one_of(SIZES)
    return Size(value) if builder.chance.integer(0, 1) == 0 else Size(value, builder.fresh())


def _scalar(chance: Chance, element: str) -> Number:
    from .builder import drawn

    return integers("index", np.asarray(chance.integer(0, 3))) if element == "index" else drawn(chance, element, ())


def _measure(builder: Builder) -> None:
    """Ask the arguments for the sizes that their types do not tell."""
    known: set[str] = set()
    for value in builder.function.arguments:
        for dim, size in enumerate(value.sizes or ()):
            if size.name is not None and size.name not in known:
                known.add(size.name)
                builder.line(f"{size.name} = tensor.dim {value.name}, {builder.index(dim)} : {value.type}")


def _fill(builder: Builder, texts: list[str], count: int) -> None:
    chance = builder.chance
    for _ in range(count):
        with builder.attempt():
            kind = chance.integer(0, 9)
            if kind == 8:
                chance.one_of(_CONTROL)(builder, _simple)
            elif kind == 9 and len(texts) < 3:
                _call(builder, texts)
            else:
                _simple(builder)


def _simple(builder: Builder) -> Value:
    value = builder.chance.one_of(_SIMPLE)(builder)
    if value.number.exact.size > _MOST_ELEMENTS:
        raise Rejected
    return value


def _call(builder: Builder, texts: list[str]) -> Value:
    """A call of a new function, which does a little with one or two of the values here."""
    outer = [builder.any_tensor() for _ in range(builder.chance.integer(1, 2))]
    inner = Builder(f"g{builder.fresh()[2:]}", builder.chance, builder._names)
    for value in outer:
        sizes = tuple(Size(size.value, None if size.name is None else inner.fresh()) for size in value.shape)
        parameter = Value(inner.fresh(), value.number, sizes)
        inner.function.arguments.append(inner.keep(parameter))
    _measure(inner)
    _fill(inner, texts, 2)
    results = _results(inner)[:1]
    texts.append(_text(inner, results, "func.func private"))
    (result,) = results
    types = ", ".join(value.type for value in outer)
    text = f"func.call @{inner.function.name}({', '.join(v.name for v in outer)}) : ({types}) -> {result.type}"
    if result.sizes is None:
        return builder.keep(builder.emit(text, result.number, None))
    called = builder.emit(text, result.number, result.sizes)
    sizes = [builder.measured(called.name, result.sizes, result.element, dim) for dim in range(result.rank)]
    return builder.keep(Value(called.name, result.number, tuple(sizes)))


def _results(builder: Builder) -> list[Value]:
    """The last value, and perhaps others before it."""
    last = builder.values[-1]
    others = [value for value in builder.values[:-1] if builder.chance.integer(0, 4) == 0]
    return [last, *others[:2]]


def _text(builder: Builder, results: Sequence[Value], keyword: str) -> str:
    arguments = ", ".join(f"{value.name}: {value.type}" for value in builder.function.arguments)
    types = ", ".join(value.type for value in results)
    names = ", ".join(value.name for value in results)
    body = "\n".join(builder.lines)
    head = f"{keyword} @{builder.function.name}({arguments}) -> ({types}) {{"
    return f"{head}\n{body}\n  return {names} : {types}\n}}\n"
