"""Products of matrices in rows: all transpositions and element types, sizes known or not, on every target."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.dialects.linalg import BatchMatmulOp, MatmulOp
from tosaic.lowering.target import Target
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir.affine import AffineDimExpr, AffineMap

from .harness import Array, targets
from .matrices import Product, compiled, product_region, type_of
from .roots import assert_products_close, random_array

BF16 = ml_dtypes.bfloat16
CASES = [
    # lhs, rhs, result
    (np.float32, np.float32, np.float32),
    (np.float64, np.float64, np.float64),
    (np.float32, np.float32, np.float64),
    (np.float16, np.float16, np.float32),
    (np.float16, np.float16, np.float16),
    (BF16, BF16, np.float32),
    (BF16, BF16, BF16),
    (np.float32, np.int8, np.float32),
    (np.int8, np.int8, np.int32),
    (np.int16, np.int16, np.int32),
    (np.int8, np.int16, np.int32),
    (np.int32, np.int32, np.int32),
    (np.int8, np.int8, np.int8),
    (np.int8, np.int8, np.int64),
    (np.int64, np.int64, np.int64),
]
EXAMPLES = settings(max_examples=6, deadline=None, database=None, derandomize=True)
HOST, *LEVELS = targets()
ON_TARGETS = [(HOST, types) for types in CASES] + [
    pytest.param(target, types, marks=pytest.mark.slow) for target in LEVELS for types in CASES
]
SIZE = st.integers(0, 70) | st.sampled_from([1, 64, 128, 192, 129, 200])


def _map(batched: bool, *dims: int) -> AffineMapAttr:
    positions = [0, *(dim + 1 for dim in dims)] if batched else list(dims)
    return AffineMapAttr(AffineMap(4 if batched else 3, 0, tuple(AffineDimExpr(p) for p in positions)))


def compile_plain(
    target: Target, types: tuple[Any, Any, Any], batched: bool, transposed: tuple[bool, bool, bool], sizes: Any
) -> Product:
    """`transposed` tells of (lhs, rhs, result); `sizes` are [batch,] m, n, k, or None where a call tells them."""
    *batch, m, n, k = sizes or ([0] * (3 + batched))
    known = None if sizes else ()
    dims = [
        (2, 0) if transposed[0] else (0, 2),
        (1, 2) if transposed[1] else (2, 1),
        (1, 0) if transposed[2] else (0, 1),
    ]
    shapes = [[*batch, *((m, n, k)[dim] for dim in pair)] for pair in dims]
    lhs, rhs, out = (type_of(type, shape, known) for type, shape in zip(types, shapes, strict=True))

    def root(arguments: Any) -> list[Any]:
        init = EmptyOp(arguments[2:], out)
        op = (BatchMatmulOp if batched else MatmulOp)(arguments[0], arguments[1], init)
        op.indexing_maps = ArrayAttr([_map(batched, *pair) for pair in dims])
        return [init, op]

    return Product(product_region([lhs, rhs], out, root, indices=0 if sizes else len(shapes[2])), target)


compiled_plain = compiled(compile_plain)


def check(product: Product, types: Any, transposed: Any, sizes: Any, known: bool, threads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    *batch, m, n, k = sizes
    left, right = random_array(rng, types[0], (*batch, m, k)), random_array(rng, types[1], (*batch, k, n))

    def placed(array: Array, turn: bool) -> Array:
        return np.ascontiguousarray(np.swapaxes(array, -1, -2)) if turn else array

    result = placed(np.full((*batch, m, n), 77, types[2]), transposed[2])
    inputs = [placed(left, transposed[0]), placed(right, transposed[1]), *(() if known else result.shape)]
    for at_end in (True, False):
        actual = placed(product.run(inputs, result, threads=threads, at_end=at_end), transposed[2])
        assert_products_close(actual, left, right)


def _name(value: Any) -> str:
    return value.name if isinstance(value, Target) else "-".join(np.dtype(type).name for type in value)


@pytest.mark.parametrize(("target", "types"), ON_TARGETS, ids=_name)
@EXAMPLES
@given(
    transposed=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    batch=st.none() | st.integers(0, 3),
    m=SIZE,
    n=SIZE,
    k=SIZE,
    threads=st.integers(1, 4),
    seed=st.integers(0, 100),
)
def test_sizes_known_at_run_time(
    target: Target, types: Any, transposed: Any, batch: int | None, m: int, n: int, k: int, threads: int, seed: int
) -> None:
    sizes = [*(() if batch is None else (batch,)), m, n, k]
    product = compiled_plain(target, types, batch is not None, transposed, None)
    check(product, types, transposed, sizes, False, threads, seed)


@pytest.mark.parametrize("types", [CASES[0], CASES[5], CASES[8]], ids=lambda types: np.dtype(types[0]).name)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(
    transposed=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    batch=st.none() | st.integers(0, 2),
    m=SIZE,
    n=SIZE,
    k=SIZE,
    threads=st.integers(1, 4),
    seed=st.integers(0, 100),
)
def test_sizes_known_to_the_compiler(
    target: Target, types: Any, transposed: Any, batch: int | None, m: int, n: int, k: int, threads: int, seed: int
) -> None:
    sizes = [*(() if batch is None else (batch,)), m, n, k]
    product = compile_plain(target, types, batch is not None, transposed, sizes)
    check(product, types, transposed, sizes, True, threads, seed)


@pytest.mark.parametrize("types", CASES, ids=_name)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize(("n", "k"), [(1, 64), (7, 257), (33, 1000)])
def test_one_row_takes_columns_one_after_another(target: Target, types: Any, n: int, k: int) -> None:
    product = compile_plain(target, types, False, (False, True, False), [1, n, k])
    check(product, types, (False, True, False), [1, n, k], True, 2, n)


@pytest.mark.parametrize("types", [CASES[0], CASES[8], CASES[9]], ids=_name)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("n", [64, 128, 320])
@pytest.mark.parametrize("known", [True, False])
def test_rows_a_multiple_of_a_cache_line_apart_that_begin_anywhere(
    target: Target, types: Any, n: int, known: bool
) -> None:
    straight = (False, False, False)
    if known:
        product = compile_plain(target, types, False, straight, [5, n, 7])
    else:
        product = compiled_plain(target, types, False, straight, None)
    rng = np.random.default_rng(0)
    left, right = random_array(rng, types[0], (5, 7)), random_array(rng, types[1], (7, n))
    result = np.full((5, n), 77, types[2])
    for slack in (right.itemsize, 16, 40):
        inputs = [left, right, *(() if known else result.shape)]
        actual = product.run(inputs, result, threads=2, slack=slack)
        assert_products_close(actual, left, right)
