"""The error function of f64 vectors and its complement as straight-line code; see `f64_exponential`."""

from __future__ import annotations

from .emit import Function
from .f64_exponential import exp, integers
from .math_functions import clamp, copysign, fabs, polynomial
from .types import Value

_ERF = (
    0.12837916709551256,
    -0.37612638903183543,
    0.11283791670945006,
    -0.02686617064323777,
    0.0052239776071164225,
    -0.0008548325975389692,
    0.00012055294904839707,
    -1.492473690741966e-05,
    1.6447424703317362e-06,
    -1.6208483801871705e-07,
    1.3720064546777686e-08,
    -7.795898827002142e-10,
)
"""erf(x) / x - 1 in x**2, for |x| <= 1."""

_POLE = 3.75
_ERFC = (
    1.2375126308378275,
    -0.14024059858554702,
    0.0035854154854636595,
    0.08227673849015017,
    -0.10880393014170636,
    0.0923043211602373,
    -0.05869339859054567,
    0.02836227742070009,
    -0.009746579548162297,
    0.0017556258418799954,
    0.00029371360428269433,
    -0.0002901540462281235,
    5.1649327115663387e-05,
    2.238421628349864e-05,
    -1.1444642657338937e-05,
    -9.737575162722984e-07,
    1.7521493143336468e-06,
    -5.648882545128533e-08,
    -2.5850383762693714e-07,
    2.2092545188283267e-08,
    3.758556054987387e-08,
    -2.800256565516931e-09,
    -4.021812318055577e-09,
)
"""(1 + 2 x) e**(x**2) erfc(x) in (x - 3.75) / (x + 3.75), for x from 0.5 to 28.

The transformation is that of Shepherd and Laframboise (Chebyshev Approximation of (1 + 2x) exp(x^2) erfc x, 1981).
"""


def erf(f: Function, x: Value) -> Value:
    magnitude, one = fabs(f, x), f.const(x.type, 1.0)
    far = copysign(f, f.fsub(one, _erfc_far(f, magnitude)), x)
    return f.select(f.fcmp("olt", magnitude, one), _erf_near(f, x), far)


def erfc(f: Function, x: Value) -> Value:
    magnitude, one, zero = fabs(f, x), f.const(x.type, 1.0), f.const(x.type, 0.0)
    far = _erfc_far(f, magnitude)
    far = f.select(f.fcmp("olt", x, zero), f.fsub(f.const(x.type, 2.0), far), far)
    return f.select(f.fcmp("olt", magnitude, f.const(x.type, 0.5)), f.fsub(one, _erf_near(f, x)), far)


def _erf_near(f: Function, x: Value) -> Value:
    return f.fadd(f.fmul(x, polynomial(f, f.fmul(x, x), _ERF)), x)


def _erfc_far(f: Function, x: Value) -> Value:
    """For x >= 0.5. The square is taken in two parts, as its exponential shows every bit that it lacks."""
    type, one = x.type, f.const(x.type, 1.0)
    x = clamp(f, x, 0.0, 28.0)
    pole = f.const(type, _POLE)
    t = f.fdiv(f.fsub(x, pole), f.fadd(x, pole))
    scaled = f.fdiv(polynomial(f, t, _ERFC), f.fadd(f.fadd(x, x), one))
    high = f.bitcast(f.and_(f.bitcast(x, integers(x)), f.const(integers(x), -1 << 27)), type)
    rest = f.fneg(f.fmul(f.fsub(x, high), f.fadd(x, high)))
    # e**rest to the third power of rest, which is below 2**-17.
    correction = f.fmul(rest, f.fadd(one, f.fmul(rest, f.fadd(f.const(type, 0.5), f.fmul(rest, f.const(type, 1 / 6))))))
    product = f.fmul(exp(f, f.fneg(f.fmul(high, high))), scaled)
    return f.fadd(product, f.fmul(product, correction))
