"""Sizes in generated code: known integers, or what is computed from sizes that only a call knows.

An unknown size is an integer polynomial in registers that hold i64 values. Sizes, strides and offsets made of the same
registers compare structurally, so that loops over contiguous unknown sizes merge as known ones do:

    rows, columns = extent_of(%d0), extent_of(%d1)
    rows * columns == columns * rows                    True
    columns * 1 + 0 == columns                          True
    columns - columns                                   0, an int again
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from .arithmetic import i64
from .emit import Function
from .types import I64, Value

Monomial: TypeAlias = tuple[str, ...]
"""The registers that are multiplied, sorted; () is the constant term."""


class Size:
    """A polynomial that is not a constant. Its order is not known: comparing it with `<` is an error."""

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms = tuple(sorted(terms.items()))

    def __add__(self, other: Extent) -> Extent:
        terms = dict(self.terms)
        for monomial, factor in _terms(other):
            terms[monomial] = terms.get(monomial, 0) + factor
        return _simplest(terms)

    __radd__ = __add__

    def __neg__(self) -> Extent:
        return self * -1

    def __sub__(self, other: Extent) -> Extent:
        return self + -other

    def __rsub__(self, other: Extent) -> Extent:
        return -self + other

    def __mul__(self, other: Extent) -> Extent:
        terms: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = tuple(sorted(left + right))
                terms[monomial] = terms.get(monomial, 0) + a * b
        return _simplest(terms)

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)

    def __repr__(self) -> str:
        return " + ".join("*".join([str(factor), *monomial]) for monomial, factor in self.terms)

    @property
    def register(self) -> str | None:
        """The register that this size simply is."""
        ((monomial, factor), *more) = self.terms
        return monomial[0] if not more and factor == 1 and len(monomial) == 1 else None

    def registers(self) -> set[str]:
        return {register for monomial, _ in self.terms for register in monomial}

    def substitute(self, known: Mapping[str, Extent]) -> Extent:
        """With registers replaced by sizes that they are known to equal."""
        total: Extent = 0
        for monomial, factor in self.terms:
            product: Extent = factor
            for register in monomial:
                product = product * known.get(register, Size({(register,): 1}))
            total = total + product
        return total


Extent: TypeAlias = int | Size
"""A size, stride or offset, in elements."""


def extent_of(value: Value) -> Extent:
    """What an i64 register or literal holds."""
    assert value.type == I64
    return Size({(value.text,): 1}) if value.constant is None else value.constant


def product(extents: Iterable[Extent]) -> Extent:
    """1 for none."""
    result: Extent = 1
    for extent in extents:
        result = result * extent
    return result


def magnitude(extent: Extent) -> tuple[int, int]:
    """A key that sorts the strides of one tensor by size: each is a multiple of the next, by a size or a number."""
    if isinstance(extent, int):
        return 0, extent
    return max((len(monomial), factor) for monomial, factor in extent.terms)


def may_reach(extent: Extent, least: int) -> bool:
    """Whether `extent` may be `least` or more: true where it is not known."""
    return not isinstance(extent, int) or extent >= least


def emit_extent(f: Function, extent: Extent) -> Value:
    """The i64 value of a size: a literal where it is known."""
    if isinstance(extent, int):
        return i64(extent)
    total = i64(0)
    for monomial, factor in extent.terms:
        term = i64(factor)
        for register in monomial:
            term = f.mul(term, Value(I64, register))
        total = f.add(total, term)
    return total


def _terms(extent: Extent) -> Iterable[tuple[Monomial, int]]:
    return extent.terms if isinstance(extent, Size) else [((), extent)]


def _simplest(terms: Mapping[Monomial, int]) -> Extent:
    left = {monomial: factor for monomial, factor in terms.items() if factor}
    if set(left) <= {()}:
        return left.get((), 0)
    return Size(left)
