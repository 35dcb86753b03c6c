"""Every operation a body may hold, as vectors and as the scalars of a remainder, against its meaning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen import compile_region
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.target import resolve_target
from tosaic.runtime.errors import UnsupportedError

from .harness import Array, Code, run_kernel, targets
from .regions import check, elementwise, random_arrays

SIZE = 77
"""Whole vectors and a remainder on every target."""


def unary(operation: str, source: str, result: str) -> RegionOp:
    body = f"%r = {operation} %a0 : {source}{'' if source == result else f' to {result}'}\nlinalg.yield %r : {result}"
    return elementwise([f"{SIZE}x{source}"], [f"{SIZE}x{result}"], ["d0", "d0"], body, 1)


def binary(operation: str, element: str, result: str | None = None) -> RegionOp:
    result = result or element
    body = f"%r = {operation} %a0, %a1 : {element}\nlinalg.yield %r : {result}"
    return elementwise([f"{SIZE}x{element}"] * 2, [f"{SIZE}x{result}"], ["d0"] * 3, body, 1)


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, 0.5, -0.5, 1.5, 2.5, 0.49999997, 8388609.0]


def floats(element: str, seed: int) -> Array:
    """Ordinary and special values in any order."""
    dtype = random_arrays(unary("arith.negf", element, element))[0].dtype
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(size=SIZE - len(SPECIAL)) * 10, SPECIAL])
    with np.errstate(over="ignore"):
        return rng.permutation(values).astype(dtype)


def integers(element: str, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    dtype = np.dtype(f"int{element[1:]}")
    info = np.iinfo(dtype)
    edges = np.array([info.min, info.min + 1, -1, 0, 1, 2, info.max], dtype)
    return np.where(rng.random(SIZE) < 0.4, rng.choice(edges, SIZE), rng.integers(-50, 50, SIZE, dtype=dtype))


@pytest.mark.parametrize("element", ["i8", "i16", "i32", "i64"])
@pytest.mark.parametrize(
    "operation",
    ["addi", "subi", "muli", "maxsi", "minsi", "maxui", "minui", "andi", "ori", "xori"],
)
def test_integer_arithmetic(operation: str, element: str) -> None:
    check(binary(f"arith.{operation}", element), [integers(element, 0), integers(element, 1)])


@pytest.mark.parametrize("element", ["i8", "i16", "i32", "i64"])
@pytest.mark.parametrize("operation", ["divsi", "divui", "remsi", "remui", "floordivsi", "ceildivsi"])
def test_integer_division(operation: str, element: str) -> None:
    a, b = integers(element, 0), integers(element, 1)
    b[b == 0] = 3
    # Negating the most negative number wraps, which numpy's meaning of these does not follow.
    a[a == np.iinfo(a.dtype).min] += 1
    check(binary(f"arith.{operation}", element), [a, b])


@pytest.mark.parametrize("element", ["i8", "i32", "i64"])
@pytest.mark.parametrize("operation", ["divsi", "divui", "remsi", "remui", "floordivsi", "ceildivsi"])
def test_no_division_traps(operation: str, element: str) -> None:
    """x86 raises a signal for n / 0 and for the most negative number / -1; code for all data must not."""
    a, b = integers(element, 0), integers(element, 1)
    a[:9] = np.iinfo(a.dtype).min
    b[:9] = [0, -1, 1] * 3
    region = binary(f"arith.{operation}", element)
    for target in targets():
        kernel = compile_region(region, target, "kernel")
        run_kernel(Code(kernel.text, target=target), "kernel", [a, b], [np.zeros_like(a)])


@pytest.mark.parametrize("element", ["i8", "i16", "i32", "i64"])
@pytest.mark.parametrize("operation", ["shli", "shrsi", "shrui"])
def test_shifts(operation: str, element: str) -> None:
    amounts = np.random.default_rng(0).integers(0, int(element[1:]), SIZE).astype(f"int{element[1:]}")
    check(binary(f"arith.{operation}", element), [integers(element, 0), amounts])


@pytest.mark.parametrize("element", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize("operation", ["addf", "subf", "mulf", "divf", "maximumf", "minimumf", "maxnumf", "minnumf"])
def test_float_arithmetic(operation: str, element: str) -> None:
    with np.errstate(over="ignore"):
        check(binary(f"arith.{operation}", element), [floats(element, 0), floats(element, 1)])


@pytest.mark.parametrize("constant", ["0.0", "6.0", "-1.0"])
@pytest.mark.parametrize("operation", ["maximumf", "minimumf"])
def test_clamps_by_constants_keep_not_a_number(operation: str, constant: str) -> None:
    body = f"""
    %c = arith.constant {constant} : f32
    %x = arith.{operation} %a0, %c : f32
    %y = arith.{operation} %c, %a0 : f32
    linalg.yield %x, %y : f32, f32"""
    region = elementwise([f"{SIZE}xf32"], [f"{SIZE}xf32"] * 2, ["d0"] * 3, body, 1)
    check(region, [floats("f32", 0)])


@pytest.mark.parametrize("element", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize(
    "operation", ["arith.negf", "math.absf", "math.ceil", "math.floor", "math.trunc", "math.roundeven"]
)
def test_exact_float_functions(operation: str, element: str) -> None:
    check(unary(operation, element, element), [floats(element, 0)])


@pytest.mark.parametrize("operation", ["math.round", "math.sqrt"])
def test_rounding_and_roots_are_correctly_rounded(operation: str) -> None:
    check(unary(operation, "f32", "f32"), [floats("f32", 0)])


@pytest.mark.parametrize(("operation", "element"), [("math.absi", "i8"), ("math.absi", "i32"), ("math.ctlz", "i32")])
def test_integer_functions(operation: str, element: str) -> None:
    check(unary(operation, element, element), [integers(element, 0)])


@pytest.mark.parametrize("operation", ["exp", "log", "tanh", "erf", "sin", "cos", "rsqrt"])
# One step of the narrow types; in f32 the steps by which ours and numpy's functions err together.
@pytest.mark.parametrize(("element", "rtol"), [("f32", 4 * 2**-23), ("f16", 2**-10), ("bf16", 2**-7)])
def test_elementary_functions(operation: str, element: str, rtol: float) -> None:
    values = floats(element, 0)
    check(unary(f"math.{operation}", element, element), [np.abs(values) if operation == "log" else values], rtol=rtol)


def test_power() -> None:
    check(binary("math.powf", "f32"), [floats("f32", 0), floats("f32", 1)], rtol=4 * 2**-23)


PREDICATES = ["eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"]
FLOAT_PREDICATES = ["oeq", "ogt", "oge", "olt", "ole", "one", "ord", "ueq", "ugt", "uge", "ult", "ule", "une", "uno"]


@pytest.mark.parametrize("predicate", PREDICATES)
def test_integer_comparison(predicate: str) -> None:
    check(binary(f"arith.cmpi {predicate},", "i8", "i1"), [integers("i8", 0), integers("i8", 1)])


@pytest.mark.parametrize("predicate", FLOAT_PREDICATES)
@pytest.mark.parametrize("element", ["f32", "bf16"])
def test_float_comparison(predicate: str, element: str) -> None:
    check(binary(f"arith.cmpf {predicate},", element, "i1"), [floats(element, 0), floats(element, 1)])


@pytest.mark.parametrize("element", ["f32", "f16", "bf16", "i8", "i64", "i1"])
def test_select(element: str) -> None:
    body = f"%r = arith.select %a0, %a1, %a2 : {element}\nlinalg.yield %r : {element}"
    check(elementwise([f"{SIZE}xi1", *[f"{SIZE}x{element}"] * 2], [f"{SIZE}x{element}"], ["d0"] * 4, body, 1))


@pytest.mark.parametrize(
    ("operation", "source", "result"),
    [
        ("arith.extsi", "i8", "i32"),
        ("arith.extsi", "i1", "i8"),
        ("arith.extsi", "i32", "i64"),
        ("arith.extsi", "i32", "i48"),
        ("arith.extui", "i8", "i32"),
        ("arith.extui", "i1", "i32"),
        ("arith.trunci", "i32", "i8"),
        ("arith.trunci", "i64", "i32"),
        ("arith.trunci", "i32", "i1"),
        ("arith.trunci", "i64", "i48"),
        ("arith.sitofp", "i32", "f32"),
        ("arith.sitofp", "i8", "f16"),
        ("arith.sitofp", "i64", "f64"),
        ("arith.uitofp", "i8", "f32"),
        ("arith.uitofp", "i1", "f32"),
        ("arith.bitcast", "i32", "f32"),
        ("arith.bitcast", "f16", "i16"),
    ],
)
def test_casts(operation: str, source: str, result: str) -> None:
    check(unary(operation, source, result))


@pytest.mark.parametrize(
    ("operation", "source", "result"),
    [
        ("arith.extf", "f16", "f32"),
        ("arith.extf", "bf16", "f32"),
        ("arith.extf", "f32", "f64"),
        ("arith.truncf", "f32", "f16"),
        ("arith.truncf", "f32", "bf16"),
        ("arith.truncf", "f64", "f32"),
    ],
)
def test_float_casts(operation: str, source: str, result: str) -> None:
    check(unary(operation, source, result), [floats(source, 0)])


@pytest.mark.parametrize(("source", "result"), [("f16", "f32"), ("bf16", "f32")])
def test_every_half_is_extended_exactly(source: str, result: str) -> None:
    count = 1 << 16
    region = elementwise(
        [f"{count}x{source}"],
        [f"{count}x{result}"],
        ["d0", "d0"],
        f"%r = arith.extf %a0 : {source} to {result}\nlinalg.yield %r : {result}",
        1,
    )
    dtype = random_arrays(region)[0].dtype
    check(region, [np.arange(count, dtype=np.uint16).view(dtype)])


@pytest.mark.parametrize("result", ["f16", "bf16"])
def test_halves_are_rounded_to_nearest_even(result: str) -> None:
    """All neighbourhoods of the halves: the values themselves, their midpoints and a little beside them."""
    count = 3 * (1 << 16)
    region = elementwise(
        [f"{count}xf32"],
        [f"{count}x{result}"],
        ["d0", "d0"],
        f"%r = arith.truncf %a0 : f32 to {result}\nlinalg.yield %r : {result}",
        1,
    )
    half = random_arrays(unary("arith.negf", result, result))[0].dtype
    exact = np.arange(1 << 16, dtype=np.uint16).view(half).astype(np.float32)
    with np.errstate(all="ignore"):
        beyond = np.nextafter(exact.astype(half), half.type(np.inf)).astype(np.float32)
        middle = (exact + beyond) / 2
        check(region, [np.concatenate([exact, middle, np.nextafter(middle, np.float32(np.inf))])])


@pytest.mark.parametrize("result", ["i8", "i16", "i32", "i64"])
@pytest.mark.parametrize("source", ["f32", "f64", "f16"])
def test_floats_to_integers_saturate(source: str, result: str) -> None:
    """TOSA 1.0, CAST: towards zero here, limited to the range; NaN, which numpy leaves open, becomes 0."""
    values = floats(source, 0)
    info = np.iinfo(f"int{result[1:]}")
    wide = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=1e300, neginf=-1e300)
    expected = np.array([min(max(int(v), info.min), info.max) for v in wide], f"int{result[1:]}")
    for target in targets():
        kernel = compile_region(unary("arith.fptosi", source, result), target, "kernel")
        (actual,) = run_kernel(Code(kernel.text, target=target), "kernel", [values], [np.zeros_like(expected)])
        np.testing.assert_array_equal(actual, expected, err_msg=target.name)


@pytest.mark.parametrize("mode", ["SINGLE_ROUND", "DOUBLE_ROUND"])
@pytest.mark.parametrize("element", ["i32", "i48"])
def test_apply_scale(element: str, mode: str) -> None:
    body = f"""
    %r = "tosa.apply_scale"(%a0, %a1, %a2)
      <{{rounding_mode = #tosa.rounding_mode<{mode}>}}> : ({element}, i32, i8) -> i32
    linalg.yield %r : i32"""
    region = elementwise([f"600x{element}", "600xi32", "600xi8"], ["600xi32"], ["d0"] * 4, body, 1)
    rng = np.random.default_rng(0)
    shift = rng.integers(2, 63, 600).astype(np.int8)
    multiplier = rng.integers(0, 1 << 31, 600).astype(np.int32)
    # The specification asks for |value| < 2**(shift - 1), so that the result fits.
    limit = np.minimum(np.exp2(shift.astype(np.float64) - 1), 2.0**31 if element == "i32" else 2.0**32)
    value = np.trunc(rng.uniform(-1, 1, 600) * (limit - 1))
    value[:40] = np.trunc(limit[:40] - 1)
    value[40:80] = np.trunc(1 - limit[40:80])
    check(region, [value.astype(np.int32 if element == "i32" else np.int64), multiplier, shift])


@pytest.mark.parametrize("mode", ["SINGLE_ROUND", "DOUBLE_ROUND"])
@pytest.mark.parametrize("low", [-128, 5, 7])
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_apply_scale_by_upper_halves(mode: str, low: int, data: st.DataObject) -> None:
    """Shifts from 32 on, with and without a limit that makes the signs of values immaterial, at and around ties."""
    zero_point = data.draw(st.integers(4, 6))
    body = f"""
    %r = "tosa.apply_scale"(%a0, %a1, %a2)
      <{{rounding_mode = #tosa.rounding_mode<{mode}>, high_half}}> : (i32, i32, i8) -> i32
    %zero_point = arith.constant {zero_point} : i32
    %sum = arith.addi %r, %zero_point : i32
    %low = arith.constant {low} : i32
    %above = arith.maxsi %sum, %low : i32
    linalg.yield %above : i32"""
    region = elementwise(["640xi32", "640xi32", "640xi8"], ["640xi32"], ["d0"] * 4, body, 1)
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    shift = rng.integers(32, 63, 640)
    multiplier = rng.integers(1, 1 << 31, 640)
    # Values whose products lie about the rounding boundaries of one and of two roundings, and any others.
    ties = ((2 * rng.integers(-300, 300, 640) + 1) << (shift - 1)) + rng.choice([-(1 << 30), 0, 1 << 30], 640)
    value = ties // multiplier + rng.integers(-1, 2, 640)
    value[::4] = rng.integers(-(1 << 31), 1 << 31, 160)
    value[1::4] = rng.integers(-5, 5, 160)
    # Powers of two meet the boundaries exactly.
    multiplier[2::4] = 1 << rng.integers(20, 31, 160)
    value[2::4] = ties[2::4] // multiplier[2::4]
    value = np.clip(value, -(1 << 31), (1 << 31) - 1)
    check(region, [value.astype(np.int32), multiplier.astype(np.int32), shift.astype(np.int8)])


@pytest.mark.parametrize("mode", ["SINGLE_ROUND", "DOUBLE_ROUND"])
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_apply_scale_to_shifted_bytes(mode: str, data: st.DataObject) -> None:
    left = data.draw(st.integers(0, 23))
    shift = data.draw(st.integers(max(2, left), min(62, left + 30)))
    multiplier = data.draw(st.integers(0, (1 << 31) - 1))
    zero_point = data.draw(st.integers(-128, 127))
    body = f"""
    %wide = arith.extsi %a0 : i8 to i32
    %zero_point = arith.constant {zero_point} : i32
    %difference = arith.subi %wide, %zero_point : i32
    %left = arith.constant {left} : i32
    %shifted = arith.shli %difference, %left : i32
    %multiplier = arith.constant {multiplier} : i32
    %shift = arith.constant {shift} : i8
    %r = "tosa.apply_scale"(%shifted, %multiplier, %shift)
      <{{rounding_mode = #tosa.rounding_mode<{mode}>}}> : (i32, i32, i8) -> i32
    linalg.yield %r : i32"""
    region = elementwise(["256xi8"], ["256xi32"], ["d0"] * 2, body, 1)
    check(region, [np.arange(-128, 128, dtype=np.int8)])


def test_scalar_results_reach_every_lane() -> None:
    body = "%c = arith.constant 3 : i8\nlinalg.yield %c : i8"
    check(elementwise([], [f"{SIZE}xi8"], ["d0"], body, 1))


def test_an_operation_without_a_rule_is_named() -> None:
    body = '%r = "test.unknown"(%a0) : (f32) -> f32\nlinalg.yield %r : f32'
    with pytest.raises(UnsupportedError, match=r"unregistered in the body"):
        compile_region(elementwise(["8xf32"], ["8xf32"], ["d0"] * 2, body, 1), resolve_target("x86-64-v3"), "kernel")
