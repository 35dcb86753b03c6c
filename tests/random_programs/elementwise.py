"""Random element-wise functions: on whole tensors, and as bodies of generics, maps and reductions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import numbers
from .builder import Builder, Rejected, Size, Value, tensor_type
from .numbers import Number, is_float

ELEMENTS = ("f32", "i32", "i8", "f16", "bf16", "f64", "i64", "i16", "i1")
"""Element types, the simplest first."""

PREDICATES = tuple(numbers.COMPARISONS)
FLOAT_PREDICATES = tuple(numbers.FLOAT_COMPARISONS)


class Body:
    """Scalar lines over elements whose values are known for a whole iteration space at once."""

    def __init__(self, builder: Builder, arguments: Sequence[tuple[str, Number]], sizes: Sequence[Size] | None) -> None:
        """sizes: None for elements; else the lines are on tensors of these sizes."""
        self.builder = builder
        self.values = list(arguments)
        self.sizes = sizes

    def type_of(self, element: str) -> str:
        return element if self.sizes is None else tensor_type(element, self.sizes)

    def emit(self, text: str, number: Number) -> tuple[str, Number]:
        if not number.is_reasonable():
            raise Rejected
        name = self.builder.fresh()
        self.builder.line(f"{name} = {text}")
        self.values.append((name, number))
        return self.values[-1]

    def constant(self, element: str, value: float) -> tuple[str, Number]:
        scalar = self.builder.scalar(element, value)
        shape = self.values[0][1].exact.shape if self.values else ()
        number = scalar.number.map(lambda part: np.broadcast_to(part, shape))
        if self.sizes is None:
            return scalar.name, number
        operand = ", ".join(size.name for size in self.sizes if size.name is not None)
        dynamic = f"[{operand}]" if operand else ""
        name = self.builder.fresh()
        self.builder.line(f"{name} = tensor.splat {scalar.name}{dynamic} : {self.type_of(element)}")
        return name, number

    def any(self, *elements: str) -> tuple[str, Number]:
        """One of the values, of one of the types if any are given."""
        found = [value for value in reversed(self.values) if not elements or value[1].element in elements]
        if not found:
            raise Rejected
        return self.builder.chance.one_of(found)

    def step(self) -> None:
        """One more line, of one of the kinds that fit a value at hand."""
        name, number = self.any()
        if number.element == "index":
            self.cast(name, number)
            return
        kinds = [self.binary, self.unary, self.cast, self.compare_and_select]
        self.builder.chance.one_of(kinds)(name, number)

    def binary(self, name: str, number: Number) -> tuple[str, Number]:
        chance, element = self.builder.chance, number.element
        table = numbers.BINARY_FLOAT if is_float(element) else numbers.BINARY_INTEGER | numbers.DIVISIONS
        operation = chance.one_of(list(table))
        if chance.integer(0, 3):
            other, second = self.any(element)
        else:
            other, second = self.constant(
                element, chance.one_of([1.0, 0.5, -2.0]) if is_float(element) else chance.one_of([1, 0, -3])
            )
        return self.emit(f"{operation} {name}, {other} : {self.type_of(element)}", table[operation](number, second))

    def unary(self, name: str, number: Number) -> tuple[str, Number]:
        chance, element = self.builder.chance, number.element
        if not is_float(element):
            operation = chance.one_of(list(numbers.BY_CONSTANT))
            bits = numbers.width(element)
            shift = "sh" in operation
            if bits == 1:
                raise Rejected
            value = chance.integer(0, bits - 1) if shift else chance.one_of([3, 1, 7, 2])
            other, _ = self.constant(element, value)
            result = numbers.BY_CONSTANT[operation](number, value)
            return self.emit(f"{operation} {name}, {other} : {self.type_of(element)}", result)
        tables = [numbers.UNARY_FLOAT] + [numbers.EXACT_FLOAT] * number.is_exact
        table = chance.one_of(tables)
        operation = chance.one_of([*table, "math.exp", "math.sqrt"])
        if operation == "math.exp":
            if number.exact.size and number.magnitude.max() > 4:
                raise Rejected
            result = numbers.exponential(number)
        elif operation == "math.sqrt":
            name, number = self.emit(
                f"math.absf {name} : {self.type_of(element)}", numbers.UNARY_FLOAT["math.absf"](number)
            )
            result = numbers.square_root(number)
        else:
            result = table[operation](number)
        return self.emit(f"{operation} {name} : {self.type_of(element)}", result)

    def cast(self, name: str, number: Number) -> tuple[str, Number]:
        targets = [e for e in ELEMENTS if numbers.conversions(number.element, e)]
        return self.cast_to(name, number, self.builder.chance.one_of(targets))

    def cast_to(self, name: str, number: Number, element: str) -> tuple[str, Number]:
        """A value as one of another type. Raises Rejected where one conversion does not lead there."""
        if number.element == element:
            return name, number
        possible = numbers.conversions(number.element, element)
        if not possible:
            raise Rejected
        operation = self.builder.chance.one_of(possible)
        if operation == "arith.fptosi":
            bits = numbers.width(element)
            if (
                not number.is_exact
                or bits < 8
                or (number.exact.size and np.abs(number.exact).max() >= 2 ** (bits - 1) - 1)
            ):
                raise Rejected
        text = f"{operation} {name} : {self.type_of(number.element)} to {self.type_of(element)}"
        return self.emit(text, numbers.convert(operation, number, element))

    def compare_and_select(self, name: str, number: Number) -> tuple[str, Number]:
        chance, element = self.builder.chance, number.element
        other, second = self.any(element)
        if is_float(element) and not (number.is_exact and second.is_exact):
            raise Rejected
        predicate = chance.one_of(FLOAT_PREDICATES if is_float(element) else PREDICATES)
        operation = "arith.cmpf" if is_float(element) else "arith.cmpi"
        text = f"{operation} {predicate}, {name}, {other} : {self.type_of(element)}"
        condition, flags = self.emit(text, numbers.compare(predicate, number, second))
        a, first = self.any()
        if first.element == "index":
            raise Rejected
        b, last = self.any(first.element)
        types = f"{self.type_of('i1')}, " if self.sizes is not None else ""
        return self.emit(
            f"arith.select {condition}, {a}, {b} : {types}{self.type_of(first.element)}",
            numbers.select(flags, first, last),
        )


def whole_tensors(builder: Builder) -> Value:
    """arith and math on whole tensors."""
    source = builder.any_tensor()
    same = [value for value in builder.values if value.sizes == source.sizes]
    body = Body(builder, [(value.name, value.number) for value in same], source.shape)
    for _ in range(builder.chance.integer(1, 3)):
        body.step()
    name, number = body.values[-1]
    return builder.keep(Value(name, number, source.sizes))


def scalars(builder: Builder) -> Value:
    """arith and math on scalars."""
    source = builder.any_value(lambda value: value.sizes is None)
    same = [value for value in builder.values if value.sizes is None]
    body = Body(builder, [*((value.name, value.number) for value in same), (source.name, source.number)], None)
    body.step()
    name, number = body.values[-1]
    return builder.keep(Value(name, number, None))
