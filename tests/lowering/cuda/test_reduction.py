"""Reductions on the emulated GPU: by rows and by columns, for every kind, length and number of results."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering import compile
from tosaic.lowering.codegen.cuda.team import choose_team
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.meaning import evaluate_op
from tosaic.runtime import load
from tosaic.tosa.dialect.reduction import ArgMaxOp

from ..codegen.harness import Array
from ..codegen.regions import random_arrays
from ..codegen.test_generic_reduction import COMBINE, reduction
from ..programs import Program
from .harness import CAPABILITIES, Emulated, assert_nothing_spills, gpu

SHAPES = [
    ((5, 300), {1}),
    ((300, 37), {0}),
    ((2, 7, 7, 40), {1, 2}),
    ((3, 5, 37), {2}),
    ((4, 9, 3), {1}),
    ((5000,), {0}),
    ((2, 3), {0, 1}),
    ((3, 1), {1}),
    ((40, 40, 16), {0, 1}),
    ((2, 3000), {1}),
]


def hold(region: RegionOp, name: str, terms: int, blocks: int = 0, capability: str = "sm_80") -> None:
    arrays = random_arrays(region)
    if name == "product f32":
        arrays = [np.exp2(np.clip(array / 100, -0.1, 0.1)).astype(np.float32) for array in arrays]
    expected = [np.asarray(result) for result in evaluate_op(region, arrays)]
    results = [np.full(array.shape, 77).astype(array.dtype) for array in expected]
    (actual,) = Emulated(region, gpu(capability)).run(arrays, results, blocks=blocks)
    if name in ("sum f32", "sum f64", "product f32"):
        # Any order of adding or multiplying `terms` numbers errs by at most that many roundings.
        size = 1.0 if name == "product f32" else terms * float(np.abs(arrays[0]).max(initial=0))
        bound = (terms + 2) * float(np.finfo(actual.dtype).eps)
        np.testing.assert_allclose(actual, expected[0], rtol=bound, atol=bound * size)
    else:
        np.testing.assert_array_equal(actual, expected[0])


@pytest.mark.parametrize("name", COMBINE)
@pytest.mark.parametrize(("shape", "axes"), SHAPES, ids=str)
def test_reduction(name: str, shape: Sequence[int], axes: set[int]) -> None:
    hold(reduction(name, shape, axes), name, math.prod(shape[axis] for axis in axes))


@pytest.mark.parametrize("name", ["sum f32", "maximum i8"])
@pytest.mark.parametrize(("shape", "axes"), [((5, 300), {1}), ((300, 37), {0}), ((2, 7, 7, 40), {1, 2})], ids=str)
def test_reduction_with_epilogue(name: str, shape: Sequence[int], axes: set[int]) -> None:
    hold(reduction(name, shape, axes, epilogue=True), name, math.prod(shape[axis] for axis in axes))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.sets(st.integers(0, 2), min_size=1),
    st.sampled_from(["sum i32", "maximum i8", "all"]),
    st.integers(0, 2),
)
def test_any_shape_and_axes(shape: list[int], axes: set[int], name: str, blocks: int) -> None:
    hold(reduction(name, shape, {axis % len(shape) for axis in axes}), name, 1, blocks)


def test_sums_repeat() -> None:
    region = reduction("sum f32", (3000, 20), {0})
    arrays = random_arrays(region)
    emulated = Emulated(region, gpu())
    first, second = (emulated.run(arrays, [np.zeros((1, 20), np.float32)], blocks=blocks)[0] for blocks in (0, 1))
    assert first.tobytes() == second.tobytes()


def argmax(array: Array, axis: int, capability: str = "sm_80") -> Array:
    program = Program(array.dtype, array.shape)
    module = program.finish(program.add(ArgMaxOp(program.inputs[0], axis=axis)))
    with load(compile(module, [f"cuda-emulator@{capability}"])) as compiled:
        (result,) = compiled.run([array])
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.int8], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize(
    ("shape", "axis"), [((6, 21), 1), ((40, 6, 21), 0), ((5, 33), 0), ((1, 3001), 1), ((130, 2), 1)], ids=str
)
def test_argmax_is_the_first_of_the_greatest(dtype: type, shape: tuple[int, ...], axis: int) -> None:
    for seed in range(3):
        array = np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)
        np.testing.assert_array_equal(argmax(array, axis), array.argmax(axis))


def test_argmax_of_the_least_there_is() -> None:
    np.testing.assert_array_equal(argmax(np.full((3, 200), -128, np.int8), 1), np.zeros(3))


def test_argmax_takes_the_first_not_a_number() -> None:
    array = np.random.default_rng(1).standard_normal((4, 300)).astype(np.float32)
    array[1, 77] = array[1, 210] = array[3, 299] = np.nan
    np.testing.assert_array_equal(argmax(array, 1), array.argmax(1))


@pytest.mark.parametrize("by_rows", [True, False])
def test_few_results_of_many_terms_take_many_threads(by_rows: bool) -> None:
    assert choose_team(16, 12544, 4, 4, by_rows=by_rows).members >= 32
    assert choose_team(1 << 20, 4, 1, 4, by_rows=by_rows).members == (4 if by_rows else 1)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(
    ("name", "shape", "axes"),
    [
        ("sum f32", (112, 112, 16), {0, 1}),
        ("sum f32", (512, 1000), {0}),
        ("sum f32", (3, 100000), {1}),
        ("sum f64", (49, 1280), {0}),
        ("maximum i8", (64, 4096), {1}),
        ("maximum bf16", (64, 4096), {0}),
    ],
    ids=str,
)
def test_reductions_of_models_spill_nothing(capability: str, name: str, shape: Sequence[int], axes: set[int]) -> None:
    assert_nothing_spills(Emulated(reduction(name, shape, axes), gpu(capability)))
