"""Every instruction on edge values against what the PTX ISA says of it, in Python's integers and fractions."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from .kernels import Array, apply

_INTEGERS = {"s16": np.int16, "u16": np.uint16, "s32": np.int32, "u32": np.uint32, "s64": np.int64, "u64": np.uint64}


def _integers(type: str) -> Array:
    limits = np.iinfo(_INTEGERS[type])
    edges = {limits.min, limits.min + 1, -1, 0, 1, 2, 7, 1000, limits.max // 2, limits.max - 1, limits.max}
    random = np.random.default_rng(0).integers(limits.min, limits.max, 40, _INTEGERS[type], endpoint=True)
    kept = [value for value in sorted(edges) if limits.min <= value <= limits.max]
    return np.concatenate([np.array(kept, _INTEGERS[type]), random])


def _pairs(type: str) -> tuple[Array, Array]:
    values = _integers(type)
    return tuple(np.ascontiguousarray(side).reshape(-1) for side in np.meshgrid(values, values))  # pyright: ignore[reportReturnType]


def _truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


_BINARY: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul.lo": lambda a, b: a * b,
    "min": min,
    "max": max,
    "div": lambda a, b: _truncated(a, b),
    "rem": lambda a, b: a - b * _truncated(a, b),
}


@pytest.mark.parametrize("type", ["s16", "u16", "s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("name", [*_BINARY, "mul.hi"])
def test_integers(name: str, type: str) -> None:
    left, right = _pairs(type)
    if name in ("div", "rem"):
        left, right = left[right != 0], right[right != 0]
    bits = 8 * left.itemsize
    function = _BINARY.get(name) or (lambda a, b: a * b >> bits)
    expected = [function(int(a), int(b)) & ((1 << bits) - 1) for a, b in zip(left, right, strict=True)]
    assert apply(f"{name}.{type}", [type, type], type, [left, right]).tolist() == expected


@pytest.mark.parametrize("type", ["s16", "u16"])
@pytest.mark.parametrize("name", ["add", "min", "max"])
def test_pairs_of_integers(name: str, type: str) -> None:
    """`max.s16x2` is two `max.s16`, whatever carries or signs there are between them."""
    left, right = _pairs(type)
    even = slice(None, left.size // 2 * 2)
    left, right = left[even], right[even]
    pairs = [np.ascontiguousarray(each).view(np.uint32) for each in (left, right)]
    got = np.asarray(apply(f"{name}.{type}x2", ["b32", "b32"], "b32", pairs), np.uint32).view(np.uint16)
    expected = [_BINARY[name](int(a), int(b)) & 0xFFFF for a, b in zip(left, right, strict=True)]
    assert got.tolist() == expected


@pytest.mark.parametrize(("name", "function"), [("add.rn", np.add), ("mul.rn", np.multiply)])
def test_pairs_of_halves(name: str, function: Callable[..., Array]) -> None:
    halves = np.random.default_rng(0).normal(0, 100, (2, 64)).astype(np.float16)
    pairs = [half.view(np.uint32) for half in halves]
    got = np.asarray(apply(f"{name}.f16x2", ["b32", "b32"], "b32", pairs), np.uint32).view(np.float16)
    np.testing.assert_array_equal(got, function(*halves))


def test_what_an_underscore_stands_for_is_dropped() -> None:
    words = np.array([0x12345678, 0x9ABCDEF0], np.uint32)
    high = "mov.b32 {{_, %rs7}}, {0}; cvt.u32.u16 {out}, %rs7;"
    assert apply(high, ["b32"], "b32", [words]).tolist() == [0x1234, 0x9ABC]


@pytest.mark.parametrize("left", ["s32", "u32"])
@pytest.mark.parametrize("right", ["s32", "u32"])
def test_four_products_of_bytes_are_added(left: str, right: str) -> None:
    result = "u32" if left == right == "u32" else "s32"
    a, b, c = (_integers(type) for type in (left, right, result))
    rest = slice(None, min(a.size, b.size, c.size))
    a, b, c = a[rest], np.roll(b[rest], 5), c[rest]

    def parts(word: int, type: str) -> list[int]:
        return (
            list((word & 0xFFFFFFFF).to_bytes(4, "little"))
            if type == "u32"
            else [int(byte) for byte in np.frombuffer((word & 0xFFFFFFFF).to_bytes(4, "little"), np.int8)]
        )

    expected = [
        (int(z) + sum(p * q for p, q in zip(parts(int(x), left), parts(int(y), right), strict=True))) & 0xFFFFFFFF
        for x, y, z in zip(a, b, c, strict=True)
    ]
    found = apply(f"dp4a.{left}.{right}", [left, right, result], result, [a, b, c])
    assert (found.astype(np.int64) & 0xFFFFFFFF).tolist() == expected


@pytest.mark.parametrize("type", ["s32", "u32"])
def test_a_wide_product_keeps_all_bits(type: str) -> None:
    left, right = _pairs(type)
    addend = _integers(f"{type[0]}64")[: left.size]
    addend = np.resize(addend, left.size)
    result = f"{type[0]}64"
    expected = [(int(a) * int(b) + int(c)) & ((1 << 64) - 1) for a, b, c in zip(left, right, addend, strict=True)]
    assert apply(f"mad.wide.{type}", [type, type, result], result, [left, right, addend]).tolist() == expected


@pytest.mark.parametrize("type", ["s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("name", ["shl", "shr"])
def test_shifts_beyond_the_width_shift_everything_out(name: str, type: str) -> None:
    values = _integers(type)
    bits = 8 * values.itemsize
    amounts = np.array([0, 1, bits - 1, bits, bits + 1, 255, 2**32 - 1], np.uint32)
    left, right = (np.ascontiguousarray(side).reshape(-1) for side in np.meshgrid(values, amounts))
    wide = [min(int(amount), 4 * bits) for amount in right]
    expected = [
        (int(a) << n if name == "shl" else int(a) >> n) & ((1 << bits) - 1) for a, n in zip(left, wide, strict=True)
    ]
    spelled = f"b{bits}" if name == "shl" else type
    assert apply(f"{name}.{spelled}", [type, "u32"], type, [left, right]).tolist() == expected


@pytest.mark.parametrize(("type", "bits"), [("b32", 32), ("b64", 64)])
def test_counts(type: str, bits: int) -> None:
    values = _integers(f"u{bits}")
    ones = [int(value).bit_count() for value in values]
    zeros = [bits - int(value).bit_length() for value in values]
    assert apply(f"popc.{type}", [f"u{bits}"], "u32", [values]).tolist() == ones
    assert apply(f"clz.{type}", [f"u{bits}"], "u32", [values]).tolist() == zeros


@pytest.mark.parametrize("type", ["u32", "s32", "u64", "s64"])
def test_extracted_bits(type: str) -> None:
    bits = 8 * np.dtype(_INTEGERS[type]).itemsize
    values = np.repeat(_integers(type), 6)
    position = np.resize(np.array([0, 3, bits - 2, bits - 1, bits, 9], np.uint32), values.size)
    length = np.resize(np.array([0, 1, 5, bits, 200], np.uint32), values.size)
    expected = []
    for value, p, n in zip(values, position, length, strict=True):
        # A field that reaches beyond the value ends with its sign (PTX ISA 9.7.1.19).
        field = int(value) >> int(p) if type.startswith("s") else int(value) >> int(p) & ((1 << int(n)) - 1)
        kept = min(int(n), bits)
        field &= (1 << kept) - 1
        if type.startswith("s") and kept and field >> (kept - 1):
            field -= 1 << kept
        expected.append(field & ((1 << bits) - 1))
    assert apply(f"bfe.{type}", [type, "u32", "u32"], type, [values, position, length]).tolist() == expected


def test_bytes_are_permuted_or_become_their_signs() -> None:
    low, high = np.array([0x04030281], np.uint32), np.array([0xF8070605], np.uint32)
    for selector, expected in ((0x7210, 0xF8030281), (0x8888, 0xFFFFFFFF), (0x9999, 0), (0x4567, 0x050607F8)):
        chosen = np.array([selector], np.uint32)
        assert apply("prmt.b32", ["b32"] * 3, "b32", [low, high, chosen]).tolist() == [expected]


@pytest.mark.parametrize("direction", ["l", "r"])
@pytest.mark.parametrize("mode", ["wrap", "clamp"])
def test_funnel_shifts(direction: str, mode: str) -> None:
    low, high = np.array([0x89ABCDEF] * 6, np.uint32), np.array([0x01234567] * 6, np.uint32)
    amounts = [0, 1, 8, 31, 32, 40]
    expected = []
    for amount in amounts:
        n = amount % 32 if mode == "wrap" else min(amount, 32)
        both = 0x0123456789ABCDEF
        expected.append((both << n >> 32 if direction == "l" else both >> n) & 0xFFFFFFFF)
    got = apply(f"shf.{direction}.{mode}.b32", ["b32"] * 3, "b32", [low, high, np.array(amounts, np.uint32)])
    assert got.tolist() == expected


_FLOATS = np.array(
    [0.0, -0.0, 1.0, -1.0, 1.5, 3.0, 1e-45, 1e-38, 3.4e38, math.inf, -math.inf, math.nan, 0.1, -7.25, 16777217.0],
    np.float32,
)


@pytest.mark.parametrize(("type", "dtype"), [("f32", np.float32), ("f64", np.float64)])
def test_floats(type: str, dtype: Any) -> None:
    values = _FLOATS.astype(dtype)
    left, right = (np.ascontiguousarray(side).reshape(-1) for side in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        expected = {"add.rn": left + right, "sub.rn": left - right, "mul.rn": left * right, "div.rn": left / right}
    for name, wanted in expected.items():
        got = apply(f"{name}.{type}", [type, type], type, [left, right]).view(dtype)
        np.testing.assert_array_equal(got, wanted)


def test_the_smaller_of_a_number_and_none_is_the_number_and_zeros_have_signs() -> None:
    left = np.array([math.nan, 1.0, 0.0, -0.0, 2.0], np.float32)
    right = np.array([1.0, math.nan, -0.0, 0.0, 3.0], np.float32)
    least = apply("min.f32", ["f32", "f32"], "f32", [left, right]).view(np.float32)
    most = apply("max.f32", ["f32", "f32"], "f32", [left, right]).view(np.float32)
    assert least.tolist() == [1, 1, 0, 0, 2] and np.signbit(least).tolist() == [False, False, True, True, False]
    assert most.tolist() == [1, 1, 0, 0, 3] and not np.signbit(most).any()


def _rounded_once(a: float, b: float, c: float) -> float:
    """a * b + c in f32, from the exact value: the nearest of the floats around it, even at a tie."""
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    middle = np.float32(float(exact))  # at most one float away
    around = [np.nextafter(middle, np.float32(-math.inf)), middle, np.nextafter(middle, np.float32(math.inf))]
    return float(min(around, key=lambda each: (abs(Fraction(float(each)) - exact), int(each.view(np.uint32)) & 1)))


def test_a_fused_multiply_add_is_rounded_once() -> None:
    random = np.random.default_rng(1)
    a, b = (random.standard_normal(600).astype(np.float32) for _ in range(2))
    # Sums that nearly cancel, ties, and addends far below the last bit of the product.
    c = np.concatenate([-(a[:200] * b[:200]), random.standard_normal(200), a[400:] * b[400:] * 2.0**-25])
    c = c.astype(np.float32)
    a[0], b[0], c[0] = 1 + 2**-12, 1 + 2**-12, 2.0**-60  # a tie, but for the addend
    got = apply("fma.rn.f32", ["f32"] * 3, "f32", [a, b, c]).view(np.float32)
    expected = [_rounded_once(*map(float, each)) for each in zip(a, b, c, strict=True)]
    np.testing.assert_array_equal(got, np.array(expected, np.float32))


@pytest.mark.parametrize(
    "name", ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"]
)
def test_comparisons_of_floats(name: str) -> None:
    left, right = (np.ascontiguousarray(side).reshape(-1) for side in np.meshgrid(_FLOATS, _FLOATS))
    unordered = np.isnan(left) | np.isnan(right)
    if name in ("num", "nan"):
        expected = unordered == (name == "nan")
    else:
        base = name.removesuffix("u")
        compare = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal}
        compare |= {"gt": np.greater, "ge": np.greater_equal}
        expected = compare[base](left, right)
        expected = expected | unordered if name.endswith("u") else expected & ~unordered
    code = f"setp.{name}.f32 %p1, {{0}}, {{1}}; selp.b32 {{out}}, 1, 0, %p1;"
    got = apply(code, ["f32", "f32"], "u32", [left, right])
    assert got.tolist() == expected.astype(int).tolist()


def test_powers_of_two_are_close_and_subnormal_ones_zero() -> None:
    values = np.array([0, -0.5, -3, 1.25, -126, -126.5, -150, -np.inf, 127.5, 128.5], np.float32)
    got = apply("ex2.approx.ftz.f32", ["f32"], "f32", [values]).view(np.float32)
    with np.errstate(over="ignore"):
        expected = np.exp2(values.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(got[:5], expected[:5], rtol=2**-22)
    assert got[5:].tolist() == [0, 0, 0, expected[8], np.inf]
