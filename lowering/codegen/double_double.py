"""Sums and products of f64 vectors without error, and numbers of twice the bits made of them, on any CPU."""

from __future__ import annotations

from .emit import Function
from .types import Value

Pair = tuple[Value, Value]
"""A number of about 100 bits as an unevaluated sum, the second part less than the last place of the first."""

_SPLITTER = 2.0**27 + 1


def two_sum(f: Function, a: Value, b: Value) -> Pair:
    """a + b exactly (Knuth)."""
    total = f.fadd(a, b)
    shadow = f.fsub(total, a)
    return total, f.fadd(f.fsub(a, f.fsub(total, shadow)), f.fsub(b, shadow))


def fast_two_sum(f: Function, a: Value, b: Value) -> Pair:
    """a + b exactly, for |a| >= |b| (Dekker)."""
    total = f.fadd(a, b)
    return total, f.fsub(b, f.fsub(total, a))


def split(f: Function, a: Value) -> Pair:
    """a in halves of 26 bits (Veltkamp)."""
    scaled = f.fmul(a, f.const(a.type, _SPLITTER))
    high = f.fsub(scaled, f.fsub(scaled, a))
    return high, f.fsub(a, high)


def two_product(f: Function, a: Value, b: Value) -> Pair:
    """a * b exactly (Dekker), which needs no FMA."""
    result = f.fmul(a, b)
    (a1, a2), (b1, b2) = split(f, a), split(f, b)
    error = f.fsub(f.fmul(a1, b1), result)
    error = f.fadd(f.fadd(error, f.fmul(a1, b2)), f.fmul(a2, b1))
    return result, f.fadd(error, f.fmul(a2, b2))


def multiply(f: Function, a: Pair, b: Pair) -> Pair:
    high, low = two_product(f, a[0], b[0])
    cross = f.fadd(f.fmul(a[0], b[1]), f.fmul(a[1], b[0]))
    return fast_two_sum(f, high, f.fadd(low, cross))
