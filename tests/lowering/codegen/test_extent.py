"""Sizes that compare and combine as the numbers that they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering.codegen.extent import Extent, Size, extent_of, magnitude, may_reach, product
from tosaic.lowering.codegen.types import I64, Value

N, M = (extent_of(Value(I64, name)) for name in ("%n", "%m"))
EXTENTS = st.recursive(
    st.one_of(st.integers(-9, 9), st.sampled_from([N, M])),
    lambda parts: st.one_of(
        st.tuples(parts, parts).map(lambda pair: pair[0] + pair[1]),
        st.tuples(parts, parts).map(lambda pair: pair[0] * pair[1]),
    ),
    max_leaves=6,
)


def value(extent: Extent, n: int, m: int) -> int:
    result = extent if isinstance(extent, int) else extent.substitute({"%n": n, "%m": m})
    assert isinstance(result, int)
    return result


@given(EXTENTS, EXTENTS, st.integers(0, 50), st.integers(0, 50))
def test_arithmetic_is_that_of_the_numbers(a: Extent, b: Extent, n: int, m: int) -> None:
    assert value(a + b, n, m) == value(a, n, m) + value(b, n, m)
    assert value(a - b, n, m) == value(a, n, m) - value(b, n, m)
    assert value(a * b, n, m) == value(a, n, m) * value(b, n, m)


def test_equal_sizes_compare_equal_and_constants_are_integers() -> None:
    assert N * M == M * N
    assert hash(N * M) == hash(M * N)
    assert N * 2 - N == N
    assert isinstance(N - N, int)
    assert isinstance(N * 0, int)
    assert N != M
    assert N != 1


def test_strides_sort_by_size() -> None:
    shape = [N, 3, M, 4]
    strides = [product(shape[axis + 1 :]) for axis in range(4)]
    assert sorted(strides, key=magnitude, reverse=True) == strides


def test_unknown_sizes_may_reach_anything() -> None:
    assert may_reach(N, 1000)
    assert may_reach(3, 3)
    assert not may_reach(3, 4)
    assert isinstance(N + 1, Size)
