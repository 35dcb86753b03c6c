"""The elementary functions of f64 in units in the last place, against 64-bit mantissas or the C library."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from tosaic.lowering.codegen import f64_error, f64_exponential, f64_logarithm, f64_trigonometry
from tosaic.lowering.codegen.emit import Function
from tosaic.lowering.target import Target

from .harness import Array, Code, Guarded, targets

LANES = 8
FUNCTIONS: dict[str, Callable[..., object]] = {
    **{name: getattr(f64_exponential, name) for name in ("exp", "exp2", "expm1", "tanh", "sinh", "cosh")},
    **{
        name: getattr(f64_logarithm, name)
        for name in ("log", "log2", "log10", "log1p", "asinh", "acosh", "atanh", "cbrt", "pow_of_magnitude")
    },
    **{name: getattr(f64_trigonometry, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "atan2")},
    **{name: getattr(f64_error, name) for name in ("erf", "erfc")},
}
BINARY = ("pow_of_magnitude", "atan2")


@cache
def functions_code(target: Target) -> Code:
    texts = []
    for name, emit in FUNCTIONS.items():
        f = Function(name, [("ptr", "x"), ("ptr", "y"), ("ptr", "out"), ("i64", "n")], linkage="hidden")
        x, y, out, n = f.arguments
        with f.loop(0, n, LANES) as loop:
            operands = [f.load(f"<{LANES} x double>", f.element_pointer(p, "double", loop.index)) for p in (x, y)]
            result = emit(f, *operands[: 2 if name in BINARY else 1])
            f.store(result, f.element_pointer(out, "double", loop.index))  # pyright: ignore[reportArgumentType]
        texts.append(f.text())
    return Code("\n".join(texts), target=target)


def evaluate(target: Target, name: str, x: Array, y: Array | None = None) -> Array:
    padded = np.ones(-(-x.size // LANES) * LANES)
    padded[: x.size] = x
    second = padded.copy()
    if y is not None:
        second[: y.size] = y
    buffers = [Guarded(array) for array in (padded, second, np.zeros_like(padded))]
    functions_code(target).call(name, *[buffer.address for buffer in buffers], padded.size)
    return buffers[2].array[: x.size].copy()


def ulps(result: Array, exact: Array) -> float:
    """The largest distance, in the spacing of f64 at the exact value, which may be a longdouble."""
    with np.errstate(over="ignore"):
        exact = np.where(np.isfinite(exact.astype(np.float64)), exact, exact.astype(np.float64))
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(result[~finite], exact[~finite].astype(np.float64))
    spacing = np.spacing(np.abs(exact[finite]).astype(np.float64))
    return float(np.max(np.abs(result[finite].astype(np.longdouble) - exact[finite]) / spacing))


def sweep(low: float, high: float, count: int = 60_001) -> Array:
    return np.linspace(low, high, count)


def magnitudes(low: float, high: float, count: int = 60_001) -> Array:
    """Evenly spread in the exponent."""
    return np.exp2(np.linspace(np.log2(low), np.log2(high), count))


def signed(x: Array) -> Array:
    return np.concatenate([x, -x])


def libm(function: Callable[[float], float]) -> Callable[[Array], Array]:
    return lambda x: np.array([function(float(value)) for value in x])


NEAR = signed(magnitudes(1e-300, 1, 20_001))
CASES: dict[str, tuple[Callable[[Array], Array], Array, float]] = {
    "exp": (np.exp, np.concatenate([sweep(-746, 710), NEAR]), 1.0),
    "exp2": (np.exp2, np.concatenate([sweep(-1076, 1025), NEAR]), 1.1),
    "expm1": (np.expm1, np.concatenate([sweep(-60, 710), sweep(-2, 2), NEAR]), 2.0),
    "tanh": (np.tanh, np.concatenate([sweep(-25, 25), NEAR]), 2.5),
    "sinh": (np.sinh, np.concatenate([sweep(-711, 711), sweep(-3, 3), NEAR]), 3.0),
    "cosh": (np.cosh, np.concatenate([sweep(-711, 711), sweep(-3, 3), NEAR]), 3.0),
    "log": (np.log, np.concatenate([magnitudes(5e-324, 1.7e308), sweep(0.5, 2)]), 1.0),
    "log2": (np.log2, np.concatenate([magnitudes(5e-324, 1.7e308), sweep(0.5, 2)]), 1.0),
    "log10": (np.log10, np.concatenate([magnitudes(5e-324, 1.7e308), sweep(0.5, 2)]), 1.0),
    "log1p": (np.log1p, np.concatenate([magnitudes(1e-300, 1.7e308), sweep(-0.999, 2), NEAR[NEAR > -1]]), 1.5),
    "asinh": (np.arcsinh, signed(magnitudes(1e-300, 1.7e308)), 2.5),
    "acosh": (np.arccosh, np.concatenate([magnitudes(1, 1.7e308), sweep(1, 3)]), 2.5),
    "atanh": (np.arctanh, np.concatenate([sweep(-0.9999, 0.9999), NEAR[np.abs(NEAR) < 1]]), 2.5),
    "cbrt": (np.cbrt, signed(magnitudes(5e-324, 1.7e308)), 1.0),
    "sin": (np.sin, np.concatenate([sweep(-100, 100), signed(magnitudes(1e-300, 1e6))]), 1.0),
    "cos": (np.cos, np.concatenate([sweep(-100, 100), signed(magnitudes(1e-300, 1e6))]), 1.0),
    "tan": (np.tan, np.concatenate([sweep(-100, 100), signed(magnitudes(1e-300, 1e6))]), 2.0),
    "asin": (np.arcsin, np.concatenate([sweep(-1, 1), NEAR]), 2.1),
    "acos": (np.arccos, np.concatenate([sweep(-1, 1), NEAR]), 1.5),
    "atan": (np.arctan, np.concatenate([sweep(-20, 20), signed(magnitudes(1e-300, 1e300))]), 1.7),
    # The C library's error function may itself be off by one.
    "erf": (libm(math.erf), np.concatenate([sweep(-7, 7), NEAR]), 2.0),
    "erfc": (libm(math.erfc), np.concatenate([sweep(-7, 26), NEAR]), 6.0),
}


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("name", CASES)
def test_error_is_within_the_stated_ulps(name: str, target: Target) -> None:
    function, x, bound = CASES[name]
    with np.errstate(all="ignore"):
        exact = function(x.astype(np.longdouble))
    assert ulps(evaluate(target, name, x), exact) <= bound


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_pow(target: Target) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([np.exp2(rng.uniform(-1000, 1000, 50_000)), rng.uniform(0.5, 2, 50_000)])
    y = np.concatenate([rng.uniform(-1, 1, 50_000), rng.uniform(-900, 900, 50_000)])
    with np.errstate(all="ignore"):
        exact = x.astype(np.longdouble) ** y.astype(np.longdouble)
    assert ulps(evaluate(target, "pow_of_magnitude", x, y), exact) <= 1.5


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_atan2_in_every_direction(target: Target) -> None:
    rng = np.random.default_rng(0)
    x, y = (np.exp2(rng.uniform(-30, 30, 50_000)) * rng.choice([-1, 1], 50_000) for _ in range(2))
    exact = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
    assert ulps(evaluate(target, "atan2", y, x), exact) <= 1.7
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e308, 5e-324])
    a, b = (grid.ravel() for grid in np.meshgrid(special, special))
    np.testing.assert_allclose(evaluate(target, "atan2", a, b), np.arctan2(a, b), rtol=2**-51, atol=5e-324)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_large_angles(name: str, target: Target) -> None:
    """Up to the largest float. The C library loses some digits next to zeros."""
    x = np.concatenate([magnitudes(1e6, 1.7e308, 4001), [-1e22, 2.0**1023]])
    exact = np.array([getattr(math, name)(value) for value in x])
    ordinary = (np.abs(exact) > 1e-9) & (np.abs(exact) < 1e9)
    assert ulps(evaluate(target, name, x)[ordinary], exact[ordinary]) <= 3.0


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_angles_next_to_multiples_of_a_right_angle(target: Target) -> None:
    """The float that is nearest of all to one (Muller, Elementary Functions), by 400 digits of pi."""
    result = evaluate(target, "cos", np.array([6381956970095103 * 2.0**797]))
    np.testing.assert_allclose(result, -4.687165924254627611e-19, rtol=2.0**-51)


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -0.5, 5e-324, 1.7e308, -1.7e308])


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("name", CASES)
def test_special_values(name: str, target: Target) -> None:
    x = SPECIAL
    if name in ("sin", "cos", "tan"):  # above
        x = SPECIAL[np.abs(SPECIAL) < 1e300]
    with np.errstate(all="ignore"):
        exact = CASES[name][0](x)
    result = evaluate(target, name, x)
    np.testing.assert_allclose(result, exact, rtol=2.0**-50)
    zeros = (x == 0) & (exact == 0)
    np.testing.assert_array_equal(np.signbit(result[zeros]), np.signbit(exact[zeros]))
