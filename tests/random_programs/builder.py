"""Writes functions as text while it computes, on the side and on given inputs, what they should return."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from .numbers import Number, integers, is_float, reals

T = TypeVar("T")


class Chance(Protocol):
    """Where choices come from; the first alternative is the simplest."""

    def one_of(self, alternatives: Sequence[T]) -> T: ...

    def integer(self, low: int, high: int) -> int: ...


@dataclass(frozen=True)
class Size:
    """The size of a dimension: known when compiling, or `?` and then the value `name` of type index."""

    value: int
    name: str | None = None

    def __str__(self) -> str:
        return str(self.value) if self.name is None else "?"


@dataclass(frozen=True)
class Value:
    """An SSA value: a tensor, or with `sizes` None a scalar."""

    name: str
    number: Number
    sizes: tuple[Size, ...] | None

    @property
    def element(self) -> str:
        return self.number.element

    @property
    def type(self) -> str:
        return self.element if self.sizes is None else tensor_type(self.element, self.sizes)

    @property
    def shape(self) -> tuple[Size, ...]:
        assert self.sizes is not None
        return self.sizes

    @property
    def rank(self) -> int:
        return len(self.shape)


def tensor_type(element: str, sizes: Sequence[Size]) -> str:
    return f"tensor<{''.join(f'{size}x' for size in sizes)}{element}>"


class Rejected(Exception):
    """An operation that would lead to overflow, or to values of which too little is known: it is left out."""


@dataclass
class Function:
    """What is called from outside: arguments with their values, and the results to expect."""

    name: str
    arguments: list[Value]
    results: list[Value] = field(default_factory=list)


class Builder:
    """One function under construction. `values` are those in scope; blocks of control flow have a list of their own."""

    def __init__(self, name: str, chance: Chance, constants: Constants) -> None:
        self.function = Function(name, [])
        self.chance = chance
        self.lines: list[str] = []
        self.values: list[Value] = []
        self.callees: list[Callee] = []
        self._indent = 1
        self._names = constants

    # Text

    def line(self, text: str) -> None:
        self.lines.append("  " * self._indent + text)

    def fresh(self) -> str:
        return self._names.fresh()

    def emit(self, text: str, number: Number, sizes: Sequence[Size] | None) -> Value:
        """`%name = text`, whose value is `number`. Raises Rejected where that is nothing to go on with."""
        value = Value(self.fresh(), number, None if sizes is None else tuple(sizes))
        if not number.is_reasonable():
            raise Rejected
        if sizes is not None:
            assert number.exact.shape == tuple(size.value for size in sizes), (text, number.exact.shape, sizes)
        self.line(f"{value.name} = {text}")
        return value

    @contextmanager
    def block(self) -> Iterator[None]:
        """Lines are indented, and values made inside are forgotten after."""
        count = len(self.values)
        self._indent += 1
        try:
            yield
        finally:
            self._indent -= 1
            del self.values[count:]

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What is rejected inside leaves no trace."""
        lines, values, indent = len(self.lines), len(self.values), self._indent
        try:
            yield
        except Rejected:
            del self.lines[lines:], self.values[values:]
            self._indent = indent

    # Values

    def keep(self, value: Value) -> Value:
        """Let later operations use `value`."""
        self.values.append(value)
        return value

    def index(self, value: int) -> str:
        return self.emit(f"arith.constant {value} : index", integers("index", np.asarray(value)), None).name

    def scalar(self, element: str, value: float | int) -> Value:
        """A constant."""
        if is_float(element):
            return self.emit(f"arith.constant {float(value)!r} : {element}", reals(element, np.asarray(value)), None)
        number = integers(element, np.asarray(value))
        text = "true" if element == "i1" and number.exact else "false" if element == "i1" else int(number.exact)
        return self.emit(f"arith.constant {text}{'' if element == 'i1' else f' : {element}'}", number, None)

    def dynamic(self, sizes: Sequence[Size]) -> str:
        """The operands for the `?` of a type."""
        return ", ".join(size.name for size in sizes if size.name is not None)

    def sum_of(self, *sizes: Size) -> Size:
        """The size that is the sum of others."""
        total = sum(size.value for size in sizes)
        if all(size.name is None for size in sizes):
            return Size(total)
        names = [size.name or self.index(size.value) for size in sizes]
        result = names[0]
        for name in names[1:]:
            result = self.emit(f"arith.addi {result}, {name} : index", integers("index", np.asarray(0)), None).name
        return Size(total, result)

    def product_of(self, sizes: Sequence[Size]) -> Size:
        """The size that is the product of others."""
        product = int(np.prod([size.value for size in sizes], dtype=np.int64))
        if all(size.name is None for size in sizes):
            return Size(product)
        result = self.index(1)
        for size in sizes:
            name = size.name or self.index(size.value)
            result = self.emit(f"arith.muli {result}, {name} : index", integers("index", np.asarray(0)), None).name
        return Size(product, result)

    def measured(self, name: str, sizes: Sequence[Size], element: str, dim: int) -> Size:
        """The size of a dimension of a tensor, asked of the tensor where it is not known."""
        if sizes[dim].name is None:
            return sizes[dim]
        type = tensor_type(element, sizes)
        text = f"tensor.dim {name}, {self.index(dim)} : {type}"
        return Size(sizes[dim].value, self.emit(text, integers("index", np.asarray(0)), None).name)

    def empty(self, element: str, sizes: Sequence[Size]) -> Value:
        """A tensor of nothing in particular: a destination."""
        shape = tuple(size.value for size in sizes)
        number = reals(element, np.zeros(shape)) if is_float(element) else integers(element, np.zeros(shape, np.int64))
        return self.emit(f"tensor.empty({self.dynamic(sizes)}) : {tensor_type(element, sizes)}", number, sizes)

    def filled(self, element: str, sizes: Sequence[Size], value: float | int) -> Value:
        """A tensor of one constant."""
        scalar, empty = self.scalar(element, value), self.empty(element, sizes)
        shape = tuple(size.value for size in sizes)
        number = scalar.number.map(lambda part: np.broadcast_to(part, shape))
        return self.emit(
            f"linalg.fill ins({scalar.name} : {element}) outs({empty.name} : {empty.type}) -> {empty.type}",
            number,
            sizes,
        )

    def constant(self, element: str, shape: Sequence[int]) -> Value:
        """A dense constant of drawn elements."""
        number = drawn(self.chance, element, shape)
        text = _elements_text(number.exact, is_float(element))
        if not number.exact.size:
            text = ""
        type = tensor_type(element, [Size(size) for size in shape])
        return self.emit(f"arith.constant dense<{text}> : {type}", number, [Size(size) for size in shape])

    def argument(self, element: str, sizes: Sequence[Size]) -> Value:
        """A new argument with drawn elements; its unknown sizes are asked of it at once."""
        name = self.fresh()
        number = drawn(self.chance, element, [size.value for size in sizes])
        value = Value(name, number, tuple(sizes))
        self.function.arguments.append(value)
        return value

    # Choices

    def any_value(self, accepts: Callable[[Value], bool] = lambda _: True) -> Value:
        """One of the values in scope, later ones first. Raises Rejected where there is none."""
        candidates = [value for value in reversed(self.values) if accepts(value)]
        if not candidates:
            raise Rejected
        return self.chance.one_of(candidates)

    def any_tensor(self, accepts: Callable[[Value], bool] = lambda _: True) -> Value:
        return self.any_value(lambda value: value.sizes is not None and accepts(value))


@dataclass(frozen=True)
class Callee:
    """A finished function that others may call: its text says the types, `evaluate` the results."""

    name: str
    types: Sequence[str]
    results: Sequence[str]
    evaluate: Callable[[Sequence[Any]], Sequence[Number]]


class Constants:
    """Numbers for names, unique in a module."""

    def __init__(self) -> None:
        self._next = 0

    def fresh(self) -> str:
        self._next += 1
        return f"%v{self._next}"


def drawn(chance: Chance, element: str, shape: Sequence[int]) -> Number:
    """Elements that the type holds exactly: small multiples of 1/8, or any integer."""
    generator = np.random.default_rng(chance.integer(0, 1 << 16))
    if is_float(element):
        return reals(element, generator.integers(-16, 17, shape) / 8)
    if element == "index":
        return integers(element, generator.integers(-8, 9, shape))
    return integers(element, generator.integers(-(1 << 63), (1 << 63) - 1, shape, np.int64))


def _elements_text(values: np.ndarray[Any, Any], floats: bool) -> str:
    if values.ndim == 0:
        return repr(float(values)) if floats else str(int(values))
    return "[" + ", ".join(_elements_text(part, floats) for part in values) + "]"
