"""Elements with what is known of them: exact integers, and reals with a bound of what rounding may have done to them.

Nothing here shares code with the product: integers are signed Python-like numbers wrapped to their width (an i1 is 0 or
-1), floats are computed in f64 beside a running error bound. With u the unit roundoff of the type, an operation adds
u * |result| to what its operands' errors become through it; a sum of n terms (n + 2) * u times the sum of their
magnitudes, in whatever order they are added up. Every bound is computed in f64 with room for its own rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

ROUNDOFF = {"f64": 2.0**-53, "f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}
FLOATS = tuple(ROUNDOFF)
INTEGERS = ("i64", "i32", "i16", "i8", "i1")

LARGEST = {"f64": 1e6, "f32": 1e6, "f16": 2e4, "bf16": 1e6}
"""What magnitudes, errors included, programs keep below, far from overflow."""

TINY = {"f64": 1e-300, "f32": 1e-37, "f16": 6e-8, "bf16": 1e-37}
"""What underflow may lose: the least number, or (bf16 instructions take subnormals for zero) the least normal one."""

FUNCTION_ROUNDOFFS = 4
"""A transcendental function may be wrong by so many roundoffs."""

_DTYPES = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}


def is_float(element: str) -> bool:
    return element in ROUNDOFF


def width(element: str) -> int:
    return 64 if element == "index" else int(element[1:])


def dtype_of(element: str) -> np.dtype[Any]:
    """The dtype of arrays that a program takes and returns."""
    if is_float(element):
        return np.dtype(_DTYPES[element])
    return np.dtype(np.bool_) if element == "i1" else np.dtype(f"int{width(element)}")


@dataclass(frozen=True)
class Number:
    """Elements of one type: int64 `exact` values, or f64 ones with the absolute `error` that a program may make."""

    element: str
    exact: Array
    error: Array

    @property
    def is_exact(self) -> bool:
        return not np.any(self.error)

    @property
    def magnitude(self) -> Array:
        return np.abs(self.exact) + self.error

    def map(self, function: Callable[[Array], Array]) -> Number:
        """The same movement of elements on values and errors."""
        return Number(self.element, function(self.exact), function(self.error))

    def is_reasonable(self) -> bool:
        """Far enough from overflow, and known well enough, to go on with."""
        if not is_float(self.element) or not self.exact.size:
            return True
        bound = self.magnitude
        return bool(np.all(np.isfinite(bound)) and bound.max() < LARGEST[self.element])

    def as_array(self) -> Array:
        """The array that a program takes; exact values only."""
        if self.element == "i1":
            return self.exact.astype(np.bool_)
        return self.exact.astype(dtype_of(self.element))

    def explain_difference(self, found: Array) -> str | None:
        """What is wrong with a program's result, if anything."""
        if found.shape != self.exact.shape or found.dtype != dtype_of(self.element):
            return f"expected {dtype_of(self.element)}{self.exact.shape}, got {found.dtype}{found.shape}"
        if not is_float(self.element):
            values = -found.astype(np.int64) if self.element == "i1" else found.astype(np.int64)
            wrong = values != self.exact
        else:
            values = found.astype(np.float64)
            wrong = ~(np.abs(values - self.exact) <= self.error)
        if not np.any(wrong):
            return None
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        return (
            f"{int(wrong.sum())} of {wrong.size} elements are wrong, the first at {place}: {values[place]!r}, "
            f"expected {self.exact[place]!r} +- {self.error[place]!r}"
        )


def integers(element: str, values: Array) -> Number:
    """Wrapped to the width of `element`."""
    values = np.asarray(values, np.int64)
    spare = np.int64(64 - width(element))
    return Number(element, (values << spare) >> spare, np.zeros(values.shape))


def reals(element: str, values: Array, error: Array | float = 0.0) -> Number:
    values = np.asarray(values, np.float64)
    return Number(element, values, np.broadcast_to(np.asarray(error, np.float64), values.shape))


def rounded(element: str, values: Array, error: Array) -> Number:
    """A real that is rounded once to `element`."""
    return reals(element, values, error + ROUNDOFF[element] * (np.abs(values) + error) * 1.01 + TINY[element])


def unsigned(number: Number) -> Array:
    """uint64 of the same bits."""
    mask = np.uint64((1 << width(number.element)) - 1)
    return number.exact.astype(np.uint64) & mask


def _of_unsigned(element: str, values: Array) -> Number:
    return integers(element, values.astype(np.uint64).view(np.int64))


def add(a: Number, b: Number) -> Number:
    if not is_float(a.element):
        return integers(a.element, a.exact + b.exact)
    return rounded(a.element, a.exact + b.exact, a.error + b.error)


def subtract(a: Number, b: Number) -> Number:
    if not is_float(a.element):
        return integers(a.element, a.exact - b.exact)
    return rounded(a.element, a.exact - b.exact, a.error + b.error)


def multiply(a: Number, b: Number) -> Number:
    if not is_float(a.element):
        return integers(a.element, a.exact * b.exact)
    return rounded(a.element, a.exact * b.exact, product_error(a, b))


def product_error(a: Number, b: Number) -> Array:
    return np.abs(a.exact) * b.error + np.abs(b.exact) * a.error + a.error * b.error


def _extreme(function: Callable[[Array, Array], Array]) -> Callable[[Number, Number], Number]:
    return lambda a, b: Number(a.element, function(a.exact, b.exact), np.maximum(a.error, b.error))


maximum = _extreme(np.maximum)
minimum = _extreme(np.minimum)


def _bits(function: Callable[[Array, Array], Array]) -> Callable[[Number, Number], Number]:
    return lambda a, b: integers(a.element, function(a.exact, b.exact))


def _unsigned(function: Callable[[Array, Array], Array]) -> Callable[[Number, Number], Number]:
    return lambda a, b: _of_unsigned(a.element, function(unsigned(a), unsigned(b)))


def _smooth(function: Callable[[Array], Array], slope: float) -> Callable[[Number], Number]:
    """A function whose derivative is nowhere greater than `slope`."""

    def apply(a: Number) -> Number:
        values = function(a.exact)
        return reals(a.element, values, slope * a.error + _function_error(a.element, np.abs(values) + slope * a.error))

    return apply


def _function_error(element: str, magnitude: Array) -> Array:
    return FUNCTION_ROUNDOFFS * ROUNDOFF[element] * magnitude + TINY[element]


def exponential(a: Number) -> Number:
    high = np.exp(a.exact + a.error)
    values = np.exp(a.exact)
    return reals(a.element, values, (high - values) * 1.01 + _function_error(a.element, high))


def square_root(a: Number) -> Number:
    values = np.sqrt(a.exact)
    low, high = np.sqrt(np.maximum(a.exact - a.error, 0)), np.sqrt(a.exact + a.error)
    return reals(a.element, values, (high - low) * 1.01 + _function_error(a.element, high))


def total(terms: Number, start: Number, axes: tuple[int, ...]) -> Number:
    """start + the sum over `axes`, in the type of `start`, whose type the terms may not have reached yet."""
    if not is_float(start.element):
        return integers(start.element, start.exact + terms.exact.sum(axes))
    count = int(np.prod([terms.exact.shape[axis] for axis in axes], dtype=np.int64))
    magnitude = start.magnitude + terms.magnitude.sum(axes)
    error = start.error + terms.error.sum(axes) + (count + 2) * (ROUNDOFF[start.element] * magnitude * 1.01)
    return reals(start.element, start.exact + terms.exact.sum(axes), error + (count + 2) * TINY[start.element])


Function: TypeAlias = Callable[..., Number]

UNARY_FLOAT: dict[str, Function] = {
    "arith.negf": lambda a: Number(a.element, -a.exact, a.error),
    "math.absf": lambda a: Number(a.element, np.abs(a.exact), a.error),
    "math.tanh": _smooth(np.tanh, 1.0),
    "math.sin": _smooth(np.sin, 1.0),
    "math.cos": _smooth(np.cos, 1.0),
    "math.atan": _smooth(np.arctan, 1.0),
}
BINARY_FLOAT: dict[str, Function] = {
    "arith.addf": add,
    "arith.subf": subtract,
    "arith.mulf": multiply,
    "arith.maximumf": maximum,
    "arith.minimumf": minimum,
    "arith.maxnumf": maximum,
    "arith.minnumf": minimum,
}
EXACT_FLOAT: dict[str, Function] = {
    "math.floor": lambda a: reals(a.element, np.floor(a.exact)),
    "math.ceil": lambda a: reals(a.element, np.ceil(a.exact)),
    "math.trunc": lambda a: reals(a.element, np.trunc(a.exact)),
    "math.roundeven": lambda a: reals(a.element, np.rint(a.exact)),
    "math.round": lambda a: reals(a.element, np.trunc(a.exact + np.copysign(0.5, a.exact))),
}
"""Steps, for operands known without error."""
BINARY_INTEGER: dict[str, Function] = {
    "arith.addi": add,
    "arith.subi": subtract,
    "arith.muli": multiply,
    "arith.maxsi": maximum,
    "arith.minsi": minimum,
    "arith.andi": _bits(np.bitwise_and),
    "arith.ori": _bits(np.bitwise_or),
    "arith.xori": _bits(np.bitwise_xor),
    "arith.maxui": _unsigned(np.maximum),
    "arith.minui": _unsigned(np.minimum),
}
DIVISIONS: dict[str, Function] = {
    "arith.divsi": lambda a, b: _divided(a, b, _truncating_divide),
    "arith.divui": lambda a, b: _divided(a, b, np.floor_divide),
    "arith.remsi": lambda a, b: subtract(a, multiply(_divided(a, b, _truncating_divide), b)),
    "arith.remui": lambda a, b: subtract(a, multiply(_divided(a, b, np.floor_divide), b)),
}
"""Division by zero, which MLIR leaves open, gives zero here, and leaves the dividend."""


def _divided(a: Number, b: Number, divide: Callable[[Array, Array], Array]) -> Number:
    signed = divide is _truncating_divide
    first, second = (a.exact, b.exact) if signed else (unsigned(a), unsigned(b))
    zero = second == 0
    quotient = np.where(zero, first.dtype.type(0), divide(first, np.where(zero, first.dtype.type(1), second)))
    return integers(a.element, quotient.view(np.int64))


BY_CONSTANT: dict[str, Callable[[Number, int], Number]] = {
    "arith.shli": lambda a, n: integers(a.element, a.exact << np.int64(n)),
    "arith.shrsi": lambda a, n: integers(a.element, a.exact >> np.int64(n)),
    "arith.shrui": lambda a, n: _of_unsigned(a.element, unsigned(a) >> np.uint64(n)),
    "arith.divsi": lambda a, n: integers(a.element, _truncating_divide(a.exact, n)),
    "arith.remsi": lambda a, n: integers(a.element, a.exact - _truncating_divide(a.exact, n) * n),
    "arith.divui": lambda a, n: _of_unsigned(a.element, unsigned(a) // np.uint64(n)),
    "arith.remui": lambda a, n: _of_unsigned(a.element, unsigned(a) % np.uint64(n)),
    "arith.floordivsi": lambda a, n: integers(a.element, np.floor_divide(a.exact, n)),
    "arith.ceildivsi": lambda a, n: integers(a.element, -np.floor_divide(-a.exact, n)),
}
"""Integer operations whose second operand is a positive constant, for shifts one below the width."""


def _truncating_divide(values: Array, divisor: Array | int) -> Array:
    quotient = np.floor_divide(values, divisor)
    return quotient + ((quotient < 0) & (quotient * divisor != values))


COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "slt": np.less,
    "sle": np.less_equal,
    "sgt": np.greater,
    "sge": np.greater_equal,
    "ult": np.less,
    "ule": np.less_equal,
    "ugt": np.greater,
    "uge": np.greater_equal,
}
FLOAT_COMPARISONS = {
    "oeq": np.equal,
    "une": np.not_equal,
    "olt": np.less,
    "ole": np.less_equal,
    "ogt": np.greater,
    "oge": np.greater_equal,
    "ult": np.less,
}


def compare(predicate: str, a: Number, b: Number) -> Number:
    """cmpi, or cmpf on values known without error."""
    if is_float(a.element):
        return integers("i1", -FLOAT_COMPARISONS[predicate](a.exact, b.exact).astype(np.int64))
    first, second = (unsigned(a), unsigned(b)) if predicate[0] == "u" else (a.exact, b.exact)
    return integers("i1", -COMPARISONS[predicate](first, second).astype(np.int64))


def select(condition: Number, a: Number, b: Number) -> Number:
    chosen = condition.exact != 0
    return Number(a.element, np.where(chosen, a.exact, b.exact), np.where(chosen, a.error, b.error))


def convert(name: str, a: Number, element: str) -> Number:
    """One of arith's conversions to `element`."""
    kind = name.removeprefix("arith.")
    if kind == "extf":
        return reals(element, a.exact, a.error)
    if kind == "truncf":
        return rounded(element, a.exact, a.error)
    if kind == "sitofp":
        return rounded(element, a.exact.astype(np.float64), np.abs(a.exact) * 2.0**-53)
    if kind == "uitofp":
        values = unsigned(a).astype(np.float64)
        return rounded(element, values, values * 2.0**-53)
    if kind == "fptosi":
        return integers(element, np.trunc(a.exact).astype(np.int64))
    if kind == "extui":
        return integers(element, unsigned(a).view(np.int64))
    return integers(element, a.exact)  # extsi, trunci, index_cast


def conversions(source: str, to: str) -> Sequence[str]:
    """The operations that lead from one type to another; fptosi only where values are small and known."""
    if source == to or ("index" in (source, to) and (is_float(source) or is_float(to))):
        return ()
    if "index" in (source, to):
        return ("arith.index_cast",)
    if is_float(source) and is_float(to):
        wider = dtype_of(to).itemsize - dtype_of(source).itemsize
        return ("arith.extf",) if wider > 0 else ("arith.truncf",) if wider < 0 else ()
    if is_float(to):
        return ("arith.sitofp", "arith.uitofp")
    if is_float(source):
        return ("arith.fptosi",)
    return ("arith.extsi", "arith.extui") if width(to) > width(source) else ("arith.trunci",)
