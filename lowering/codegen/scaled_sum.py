"""Quantised additions in f32: `tosa.apply_scale` of a sum of small integers, each scaled before.

An addition of bytes brings both to one scale, x * 2**left * multiplier / 2**shift rounded to integers, adds them, and
scales the sum (`shifted_scale` and `requantize`). What comes of it is floor(t), t = a x + b y + 1/2, but for the
roundings in between, and those are small: the common scale is 2**20 times finer than a byte's. So two fused
multiply-adds give z = t - low + 256 + `MARGIN` ulp, of which `float_scale` takes the integral part, or computes again
in integers.

How wrong z may be, in ulp of [256, 512), is known when code is generated: by what a, b and the constant are rounded to
floats, times x and y; by 2**-24 of the inner sum's greatest magnitude; by half an ulp for the outer sum; by what the
integers are rounded before, times the last scale; and by the 2**(30 - shift) of rounding twice. Only where all of it is
at most `MARGIN` is this right. Beyond [256, 512) z is wrong by more, but it stays on its side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import SSAValue

from ..dialects.scalar import ApplyScaleOp
from .emit import Function
from .float_scale import ULP
from .shifted_scale import ShiftedScale, constant_integer
from .types import F32, Value, lanes_of

MARGIN = 4
"""Ulp that z may be wrong by."""

_ULP = Fraction(ULP)
_FEWEST_BITS = 16
"""Of a scale. Sums of shorter ones lie halfway between integers so often that most would be computed again."""


@dataclass(frozen=True)
class Term:
    """`scale` * (x + `offset`), of an x that is at most `most` in magnitude; the integer is at most `error` from it."""

    x: SSAValue
    offset: int
    most: int
    scale: Fraction
    error: int

    @staticmethod
    def of(value: SSAValue) -> Term | None:
        """None for what is no scaled or shifted small integer."""
        owner = value.owner
        if isinstance(owner, ApplyScaleOp):
            shifted = ShiftedScale.of(owner)
            if shifted is None:
                return None
            scale = Fraction(shifted.multiplier << shifted.left, 1 << shifted.shift)
            return Term._small(shifted.x, scale, 1)
        if isinstance(owner, arith.ShLIOp):
            left = constant_integer(owner.rhs)
            return None if left is None or not 0 <= left <= 30 else Term._small(owner.lhs, Fraction(1 << left), 0)
        return None

    @staticmethod
    def _small(x: SSAValue, scale: Fraction, error: int) -> Term | None:
        offset = 0
        while isinstance(x.owner, arith.AddiOp | arith.SubiOp):
            constant = constant_integer(x.owner.rhs)
            if constant is None:
                return None
            offset += constant if isinstance(x.owner, arith.AddiOp) else -constant
            x = x.owner.lhs
        if not isinstance(x.owner, arith.ExtSIOp) or not isinstance(x.owner.input.type, IntegerType):
            return None
        return Term(x, offset, 1 << (x.owner.input.type.width.data - 1), scale, error)

    @property
    def magnitude(self) -> Fraction:
        return self.scale * (self.most + abs(self.offset)) + self.error


@dataclass(frozen=True)
class ScaledSum:
    """z of a sum of two terms, in the order that they are added: x * scale + (y * scale + constant)."""

    terms: tuple[Term, Term]
    scales: tuple[np.float32, np.float32]
    constant: np.float32

    @staticmethod
    def of(operation: ApplyScaleOp, low: int) -> ScaledSum | None:
        """For a result that is then limited to some of [low, low + 256); None where integers are needed."""
        multiplier, shift = constant_integer(operation.multiplier), constant_integer(operation.shift)
        total = operation.value.owner
        if multiplier is None or shift is None or multiplier < 1 or not isinstance(total, arith.AddiOp):
            return None
        found = [Term.of(total.lhs), Term.of(total.rhs)]
        terms = [term for term in found if term is not None]
        if len(terms) != 2 or sum(term.magnitude for term in terms) >= 1 << 31:
            return None
        last = Fraction(multiplier, 1 << shift)
        terms.sort(key=lambda term: term.scale * term.most, reverse=True)
        exact = [term.scale * last for term in terms]
        if all(_bits(scale) < _FEWEST_BITS for scale in exact):
            return None
        offset = sum(scale * term.offset for scale, term in zip(exact, terms, strict=True))
        constant = 256 - low + Fraction(1, 2) + MARGIN * _ULP + offset
        scales = [np.float32(float(scale)) for scale in exact]
        rounded = np.float32(float(constant))
        inner = exact[1] * terms[1].most + abs(constant)
        errors = [
            *(abs(Fraction(float(a)) - b) * term.most for a, b, term in zip(scales, exact, terms, strict=True)),
            abs(Fraction(float(rounded)) - constant),
            inner / (1 << 24),
            _ULP / 2,
            sum(term.error for term in terms) * last,
            Fraction(1 << 30, 1 << shift),
        ]
        if sum(errors) > MARGIN * _ULP:
            return None
        return ScaledSum((terms[0], terms[1]), (scales[0], scales[1]), rounded)

    def emit(self, f: Function, get: Callable[[SSAValue], Value], lanes: int) -> Value:
        """z, where `get` has x and y: `lanes` of them, or what all lanes share."""
        found = [get(term.x) for term in self.terms]
        wide = [value if lanes_of(value.type) == lanes else f.splat(value, lanes) for value in found]
        outer, inner = (f.cast("sitofp", value, F32) for value in wide)
        scales = [f.const(outer.type, float(scale)) for scale in self.scales]
        return f.fma(outer, scales[0], f.fma(inner, scales[1], f.const(outer.type, float(self.constant))))


def _bits(scale: Fraction) -> int:
    """Significant bits of a scale, whose denominator is a power of two."""
    return (scale.numerator // (scale.numerator & -scale.numerator)).bit_length()
