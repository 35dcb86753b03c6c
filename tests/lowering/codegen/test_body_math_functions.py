"""The elementary functions against float64, in units in the last place, over dense sweeps and special values."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from tosaic.lowering.codegen import math_functions, trigonometry
from tosaic.lowering.codegen.emit import Function
from tosaic.lowering.codegen.wide_functions import wide_function
from tosaic.lowering.target import Target
from tosaic.tosa.numerics import erf as erf_of
from xdsl.dialects import math
from xdsl.ir import Operation

from .harness import Array, Code, Guarded, targets

LANES = 16
FUNCTIONS = ("exp", "log", "tanh", "erf", "sin", "cos", "pow", "rsqrt")
WIDE: dict[str, type[Operation]] = {"exp": math.ExpOp, "tanh": math.TanhOp, "erf": math.ErfOp}
"""Functions of which AVX-512 may have code of its own."""


@cache
def functions_code(target: Target) -> Code:
    texts = []
    for name in FUNCTIONS:
        f = Function(name, [("ptr", "x"), ("ptr", "y"), ("ptr", "out"), ("i64", "n")], linkage="hidden")
        x, y, out, n = f.arguments
        type = f"<{LANES} x float>"
        with f.loop(0, n, LANES) as loop:
            operands = [f.load(type, f.element_pointer(pointer, "float", loop.index)) for pointer in (x, y)]
            module = trigonometry if name in ("sin", "cos") else math_functions
            emit = wide_function(target, WIDE[name], type) if name in WIDE else None
            emit = emit or getattr(module, name)
            result = emit(f, *operands) if name == "pow" else emit(f, operands[0])
            f.store(result, f.element_pointer(out, "float", loop.index))
        texts.append(f.text())
    return Code("\n".join(texts), target=target)


def evaluate(target: Target, name: str, x: Array, y: Array | None = None) -> Array:
    padded = np.zeros(-(-x.size // LANES) * LANES, np.float32)
    padded[: x.size] = x
    second = padded.copy()
    if y is not None:
        second[: y.size] = y
    buffers = [Guarded(array) for array in (padded, second, np.zeros_like(padded))]
    functions_code(target).call(name, *[buffer.address for buffer in buffers], padded.size)
    return buffers[2].array[: x.size].copy()


def ulps(result: Array, exact: Array) -> float:
    """The largest distance, in the spacing of f32 at the exact value; subnormals count in the smallest spacing."""
    with np.errstate(over="ignore"):
        spacing = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    overflow = np.abs(exact) > np.finfo(np.float32).max * (1 + 2.0**-25)
    assert np.all(np.isinf(result[overflow]))
    return float(np.max(np.abs(result.astype(np.float64) - exact)[~overflow] / spacing[~overflow]))


def sweep(low: float, high: float, count: int = 400_001) -> Array:
    return np.linspace(low, high, count).astype(np.float32)


def magnitudes(low: float, high: float, count: int = 400_001) -> Array:
    """Evenly spread in the exponent."""
    return np.exp2(np.linspace(np.log2(low), np.log2(high), count)).astype(np.float32)


def signed(x: Array) -> Array:
    return np.concatenate([x, -x])


CASES: dict[str, tuple[Callable[[Array], Array], Array, float]] = {
    "exp": (np.exp, np.concatenate([sweep(-104, 89), signed(magnitudes(1e-30, 1))]), 1.01),
    "log": (np.log, np.concatenate([magnitudes(1e-45, 3e38), sweep(0.5, 2)]), 0.81),
    "tanh": (np.tanh, signed(np.concatenate([magnitudes(1e-30, 20), sweep(0.5, 10)])), 1.3),
    "erf": (erf_of, signed(np.concatenate([magnitudes(1e-30, 10), sweep(0.1, 4)])), 1.3),
    "sin": (np.sin, signed(np.concatenate([magnitudes(1e-30, 3e38), sweep(0, 100)])), 1.6),
    "cos": (np.cos, signed(np.concatenate([magnitudes(1e-30, 3e38), sweep(0, 100)])), 1.6),
    "rsqrt": (lambda x: 1 / np.sqrt(x), magnitudes(1.2e-38, 3e38), 1.5),
}


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("name", CASES)
def test_error_is_within_the_documented_ulps(name: str, target: Target) -> None:
    function, x, bound = CASES[name]
    with np.errstate(over="ignore", under="ignore"):
        exact = function(x.astype(np.float64))
    assert ulps(evaluate(target, name, x), exact) <= bound


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_pow_error_is_within_the_documented_ulps(target: Target) -> None:
    rng = np.random.default_rng(0)
    x = np.exp2(rng.uniform(-60, 60, 400_000)).astype(np.float32)
    y = rng.uniform(-3, 3, x.size).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        exact = x.astype(np.float64) ** y
    assert ulps(evaluate(target, "pow", x, y), exact) <= 0.51


F32_EPS = float(np.finfo(np.float32).eps)
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -2.5, 1e-45, 3e38, -3e38], np.float32)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erf", "rsqrt"])
def test_special_values(name: str, target: Target) -> None:
    function = CASES[name][0]
    with np.errstate(all="ignore"):
        exact = function(SPECIAL.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(evaluate(target, name, SPECIAL), exact, rtol=2 * F32_EPS)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_of_infinity_is_not_a_number(name: str, target: Target) -> None:
    result = evaluate(target, name, np.array([np.inf, -np.inf, np.nan], np.float32))
    assert np.isnan(result).all()


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_pow_special_values(target: Target) -> None:
    exponents = np.array([0.0, -0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.5, np.inf, -np.inf, np.nan], np.float32)
    x, y = (grid.ravel() for grid in np.meshgrid(SPECIAL, exponents))
    with np.errstate(all="ignore"):
        exact = (x.astype(np.float64) ** y).astype(np.float32)
    np.testing.assert_allclose(evaluate(target, "pow", x, y), exact, rtol=2 * F32_EPS)
