"""1 / (1 + e**-x) against float64, in units in the last place: in code of its own and put together from its parts."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.lowering.codegen import compile_region
from tosaic.lowering.target import Target

from .harness import Array, Code, run_kernel, targets
from .regions import elementwise

BODY = """
    %one = arith.constant 1.0 : f32
    %negated = arith.negf %a0 : f32
    %power = math.exp %negated : f32
    %total = arith.addf {operands} : f32
    %r = arith.divf %one, %total : f32
    linalg.yield {results} : {types}"""
SMALLEST = float(np.finfo(np.float32).tiny)


def evaluate(x: Array, target: Target, operands: str = "%one, %power", parts: bool = False) -> Array:
    results = "%r, %total" if parts else "%r"
    body = BODY.format(operands=operands, results=results, types="f32, f32" if parts else "f32")
    outputs = [f"{x.size}xf32"] * (1 + parts)
    region = elementwise([f"{x.size}xf32"], outputs, ["d0"] * (1 + len(outputs)), body, 1)
    kernel = compile_region(region, target, "kernel")
    results = [np.zeros_like(x) for _ in outputs]
    return run_kernel(Code(kernel.text, target=target), "kernel", [x], results)[0]


def exact(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x.astype(np.float64)))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_error_is_within_the_documented_ulps(target: Target) -> None:
    small = np.exp2(np.linspace(-100, 0, 50_001))
    x = np.concatenate([np.linspace(-87.3, 100, 400_003), small, -small]).astype(np.float32)
    expected = exact(x)
    spacing = np.spacing(expected.astype(np.float32)).astype(np.float64)
    # The exponential is right to 1.0, each of sum and quotient to half; the smallest results lie near a power of two.
    assert np.max(np.abs(evaluate(x, target) - expected) / spacing) <= 2.5


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("operands", ["%one, %power", "%power, %one"])
def test_ends_and_not_a_number(operands: str, target: Target) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, 0.0, -0.0, 1e-40, 104, -104, -88, -90, 87, 89], np.float32)
    result = evaluate(np.tile(x, 3), target, operands)
    # Below the smallest normal number all that is asked for is that the result is not above it.
    np.testing.assert_allclose(result, np.tile(exact(x), 3), rtol=2.0**-22, atol=SMALLEST)
    assert result[1] == 0 and result[4] == 0


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_parts_that_are_read_elsewhere_stay(target: Target) -> None:
    x = np.linspace(-10, 10, 77).astype(np.float32)
    np.testing.assert_allclose(evaluate(x, target, parts=True), exact(x), rtol=2.0**-22)
