"""The linear maps of Winograd's convolution F(m, 3), exactly, and their emission on vectors.

An m x m tile of results is A^T [(G g G^T) * (B^T d B)] A of the 3x3 filter g and the (m+2) x (m+2) pixels d (Lavin and
Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). The maps come of evaluating polynomials at m+1 points
and at infinity (Cook and Toom); which points decides how much rounding errors grow. The root mean square error, summed
over channels in parts (see `winograd_plan`), beside that of one chain of multiply-adds over all 9 c products, is 0.3 to
0.9 for m = 2 with the points 0, 1, -1; for m = 4 and 64 to 256 channels 1.0 to 1.6 with 0, +-3/4, +-3/2, where the
usual 0, +-1, +-2 give 2.1 to 3.0. The points are few bits long, so that their powers are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from .emit import Function
from .types import Value

Matrix = tuple[tuple[Fraction, ...], ...]

TAPS = 3
"""Taps of a filter along one axis."""

_POINTS = {
    2: (Fraction(0), Fraction(1), Fraction(-1)),
    4: (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)),
}
"""Zero, then pairs of opposite points: what makes rows come in pairs that share their sums of even and odd terms."""


@dataclass(frozen=True)
class Transforms:
    """The maps of F(outputs, 3) along one axis; infinity is the last of the `points`."""

    outputs: int
    image: Matrix
    """B^T [points, points], of pixels."""
    filter: Matrix
    """G [points, 3], of taps."""
    result: Matrix
    """A^T [outputs, points], of products."""

    @property
    def points(self) -> int:
        """Pixels of a tile, and products, along one axis."""
        return self.outputs + TAPS - 1

    @staticmethod
    @cache
    def of(outputs: int) -> Transforms:
        """Those for tiles of 2 or 4 results."""
        points = _POINTS[outputs]
        last = len(points)
        image, filter = [], []
        for point in points:
            others = [other for other in points if other != point]
            scale = Fraction(1)
            for other in others:
                scale *= point - other
            # A sign alone costs the filter a multiplication and the pixels, whose coefficients then are 1, nothing.
            sign = -1 if scale == -1 else 1
            scale *= sign
            image.append((*(sign * coefficient for coefficient in _polynomial(others)), Fraction(0)))
            filter.append(tuple(point**power / scale for power in range(TAPS)))
        image.append(_polynomial(points))
        filter.append(tuple(Fraction(power == TAPS - 1) for power in range(TAPS)))
        result = [(*(point**power for point in points), Fraction(power == outputs - 1)) for power in range(outputs)]
        assert len(image) == last + 1 == outputs + TAPS - 1
        return Transforms(outputs, tuple(image), tuple(filter), tuple(result))


def _polynomial(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The coefficients of the product of (x - root), constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return tuple(coefficients)


def apply_rows(f: Function, matrix: Matrix, values: Sequence[Value]) -> list[Value]:
    """matrix times `values` for B^T and G: rows of opposite points share their sums of even and of odd terms."""
    first, *middle, last = matrix
    results = [_combine(f, first, values)]
    for row in middle[::2]:
        even = _combine(f, [entry if i % 2 == 0 else Fraction(0) for i, entry in enumerate(row)], values)
        odds = [(entry, value) for entry, value in zip(row[1::2], values[1::2], strict=True) if entry]
        if len(odds) == 1 and abs(odds[0][0]) != 1:
            coefficient, value = odds[0]
            results += [f.fma(value, f.const(value.type, float(c)), even) for c in (coefficient, -coefficient)]
            continue
        odd = _combine(f, [entry if i % 2 else Fraction(0) for i, entry in enumerate(row)], values)
        results += [f.fadd(even, odd), f.fsub(even, odd)]
    return [*results, _combine(f, last, values)]


def cost_of_rows(matrix: Matrix) -> int:
    """Instructions of `apply_rows`."""
    first, *middle, last = matrix
    cost = _cost(first) + _cost(last)
    for row in middle[::2]:
        odd = row[1::2]
        shared = sum(map(bool, odd)) > 1 or any(abs(entry) == 1 for entry in odd)
        cost += _cost(row[::2]) + (_cost(odd) if shared else 0) + 2
    return cost


def apply_columns(f: Function, matrix: Matrix, values: Sequence[Value]) -> list[Value]:
    """matrix times `values` for A^T: columns of opposite points come as sums in even rows, as differences in odd."""
    first, *middle, last = values
    pairs = list(zip(middle[::2], middle[1::2], strict=True))
    sums = [f.fadd(a, b) for a, b in pairs]
    differences = [f.fsub(a, b) for a, b in pairs]
    results = []
    for i, row in enumerate(matrix):
        entries = [row[0], *row[1:-1:2], row[-1]]
        results.append(_combine(f, entries, [first, *(differences if i % 2 else sums), last]))
    return results


def _cost(coefficients: Sequence[Fraction]) -> int:
    """Instructions of `_combine`."""
    return sum(map(bool, coefficients)) - (1 in coefficients)


def _combine(f: Function, coefficients: Sequence[Fraction], values: Sequence[Value]) -> Value:
    """The sum of coefficients times values; it starts with a term that needs no multiplication, if there is one."""
    terms = [(c, value) for c, value in zip(coefficients, values, strict=True) if c]
    terms.sort(key=lambda term: term[0] != 1)
    (coefficient, total), *rest = terms
    if coefficient != 1:
        total = f.fmul(total, f.const(total.type, float(coefficient)))
    for coefficient, value in rest:
        if abs(coefficient) == 1:
            total = (f.fadd if coefficient == 1 else f.fsub)(total, value)
        else:
            total = f.fma(value, f.const(value.type, float(coefficient)), total)
    return total
