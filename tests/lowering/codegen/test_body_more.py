"""The rarer operations of bodies: integers of odd widths, extended arithmetic, functions by way of f64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from tosaic.lowering.dialects.dispatch import RegionOp

from .harness import Array
from .regions import check, elementwise, random_array

SIZE = 77


def region_of(inputs: list[str], result: str, body: str) -> RegionOp:
    maps = ["d0"] * (len(inputs) + 1)
    return elementwise([f"{SIZE}x{type}" for type in inputs], [f"{SIZE}x{result}"], maps, body, 1)


def integers(region: RegionOp) -> list[Array]:
    rng = np.random.default_rng(0)
    return [random_array(rng, value.type.get_element_type(), (SIZE,)) for value in region.inputs]  # pyright: ignore


@pytest.mark.parametrize("element", ["i4", "i8", "i12", "i32", "i64"])
@pytest.mark.parametrize(
    "operation",
    ["arith.addi", "arith.muli", "arith.subi", "arith.maxui", "arith.divui", "arith.remui", "arith.ceildivui"],
)
def test_arithmetic_wraps_at_the_width(operation: str, element: str) -> None:
    region = region_of([element] * 2, element, f"%r = {operation} %a0, %a1 : {element}\nlinalg.yield %r : {element}")
    a, b = integers(region)
    b[b == 0] = 1
    check(region, [a, b])


@pytest.mark.parametrize("element", ["i4", "i8", "i12", "i32", "i64"])
@pytest.mark.parametrize("operation", ["math.ctlz", "math.cttz", "math.ctpop"])
def test_bits_are_counted(operation: str, element: str) -> None:
    region = region_of([element], element, f"%r = {operation} %a0 : {element}\nlinalg.yield %r : {element}")
    (a,) = integers(region)
    a[:5] = 0
    check(region, [a])


@pytest.mark.parametrize("element", ["i4", "i8", "i32", "i64"])
@pytest.mark.parametrize("operation", ["shli", "shrsi", "shrui"])
def test_shifts(operation: str, element: str) -> None:
    region = region_of(
        [element] * 2, element, f"%r = arith.{operation} %a0, %a1 : {element}\nlinalg.yield %r : {element}"
    )
    a, b = integers(region)
    check(region, [a, b % min(int(element[1:]), 7)])


@pytest.mark.parametrize("element", ["i8", "i32", "i64"])
def test_integer_powers(element: str) -> None:
    region = region_of([element] * 2, element, f"%r = math.ipowi %a0, %a1 : {element}\nlinalg.yield %r : {element}")
    a, b = integers(region)
    a[::3] = np.resize([-1, 0, 1, 2, 3], a[::3].shape)
    b = (b % 9 - 3).astype(b.dtype)
    b[a == 0] = np.abs(b[a == 0])
    check(region, [a, b])


@pytest.mark.parametrize("operation", ["mulsi_extended", "mului_extended"])
@pytest.mark.parametrize("element", ["i8", "i32", "i64"])
def test_products_of_both_halves(operation: str, element: str) -> None:
    body = f"""%l, %h = arith.{operation} %a0, %a1 : {element}
    %r = arith.xori %l, %h : {element}
    linalg.yield %r : {element}"""
    region = region_of([element] * 2, element, body)
    a, b = integers(region)
    signed = operation.startswith("muls")
    bits = int(element[1:])
    wide = [[int(v) if signed else int(v) % (1 << bits) for v in array] for array in (a, b)]
    products = [(x * y) % (1 << 2 * bits) for x, y in zip(*wide, strict=True)]
    expected = [(p ^ (p >> bits)) % (1 << bits) for p in products]
    (result,) = check(region, [a, b])
    assert [int(v) % (1 << bits) for v in result] == expected


def test_sum_with_carry() -> None:
    body = """%s, %c = arith.addui_extended %a0, %a1 : i32, i1
    %w = arith.extui %c : i1 to i32
    %r = arith.muli %s, %w : i32
    linalg.yield %r : i32"""
    region = region_of(["i32"] * 2, "i32", body)
    a, b = integers(region)
    (result,) = check(region, [a, b])
    total = a.view(np.uint32).astype(np.uint64) + b.view(np.uint32)
    np.testing.assert_array_equal(result.view(np.uint32), np.where(total >> 32, total & 0xFFFFFFFF, 0))


@pytest.mark.parametrize("element", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize(
    "operation",
    [
        *("exp2", "expm1", "log2", "log10", "log1p", "cbrt", "sinh", "cosh", "asinh", "acosh", "atanh"),
        *("tan", "asin", "acos", "atan", "sin", "cos", "exp", "log", "tanh", "erf", "erfc", "rsqrt"),
    ],
)
def test_functions_of_every_float(operation: str, element: str) -> None:
    region = region_of([element], element, f"%r = math.{operation} %a0 : {element}\nlinalg.yield %r : {element}")
    (x,) = integers(region)
    x = np.abs(x) if operation.startswith(("log", "acosh", "rsqrt")) else x
    x = x + np.asarray(1, x.dtype) if operation in ("acosh",) else x
    x = x / np.asarray(16, x.dtype) if operation in ("asin", "acos", "atanh") else x
    # Our functions err by 3 units in the last place at most and numpy's by one; half precision rounds once more.
    eps = {"f32": 2.0**-23, "f64": 2.0**-52, "f16": 2.0**-10, "bf16": 2.0**-7}[element]
    check(region, [x], rtol=4 * eps, atol=float(np.finfo(np.float16).tiny) * eps)


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.parametrize("operation", ["powf", "atan2", "copysign"])
def test_functions_of_two_floats(operation: str, element: str) -> None:
    region = region_of(
        [element] * 2, element, f"%r = math.{operation} %a0, %a1 : {element}\nlinalg.yield %r : {element}"
    )
    x, y = integers(region)
    check(region, [x, y], rtol=4 * (2.0**-23 if element == "f32" else 2.0**-52))


@pytest.mark.parametrize("element", ["f32", "f64", "f16"])
def test_float_to_an_integer_power(element: str) -> None:
    body = f"%r = math.fpowi %a0, %a1 : {element}, i32\nlinalg.yield %r : {element}"
    region = region_of([element, "i32"], element, body)
    x, n = integers(region)
    check(region, [x, (n % 7 - 3).astype(np.int32)], rtol={"f32": 2.0**-22, "f64": 2.0**-50, "f16": 2.0**-9}[element])


@pytest.mark.parametrize("element", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize("operation", ["isnan", "isinf", "isfinite", "isnormal"])
def test_floats_are_classified(operation: str, element: str) -> None:
    region = region_of([element], "i1", f"%r = math.{operation} %a0 : {element}\nlinalg.yield %r : i1")
    (x,) = integers(region)
    tiny = ml_dtypes.finfo(x.dtype).smallest_normal
    x[:8] = np.array([0, -np.inf, np.inf, np.nan, tiny, tiny / 2, -tiny, -tiny / 2]).astype(x.dtype)
    check(region, [x])


def test_narrow_integers_convert() -> None:
    body = """%u = arith.extui %a0 : i4 to i32
    %s = arith.extsi %a0 : i4 to i32
    %f = arith.uitofp %a0 : i4 to f32
    %i = arith.fptosi %f : f32 to i32
    %t = arith.muli %u, %s : i32
    %r = arith.addi %t, %i : i32
    linalg.yield %r : i32"""
    region = region_of(["i4"], "i32", body)
    (a,) = integers(region)
    (result,) = check(region, [a])
    wide = a.astype(np.int32)
    np.testing.assert_array_equal(result, wide % 16 * wide + wide % 16)
