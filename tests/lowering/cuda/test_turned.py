"""Transposes on the emulated GPU: every order of dimensions, element and size, with element-wise work and without."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.meaning import evaluate_op

from ..codegen.regions import elementwise, random_arrays
from ..codegen.test_generic import ROWS, type_of
from .harness import CAPABILITIES, Emulated, assert_nothing_spills, gpu


def compile_kernel(region: RegionOp, capability: str = "sm_80") -> Emulated:
    return Emulated(region, gpu(capability))


def hold(region: RegionOp, blocks: int = 0) -> None:
    arrays = random_arrays(region)
    expected = [np.asarray(result) for result in evaluate_op(region, arrays)]
    results = [np.full(array.shape, 77).astype(array.dtype) for array in expected]
    for actual, exact in zip(compile_kernel(region).run(arrays, results, blocks=blocks), expected, strict=True):
        np.testing.assert_array_equal(actual, exact)


def transpose(shape: tuple[int, ...], order: list[int], element: str) -> RegionOp:
    """A result of `shape` whose dimension order[i] is the operand's i-th."""
    loops = [f"d{i}" for i in range(len(shape))]
    source = type_of(tuple(shape[axis] for axis in order), element)
    reads = ", ".join(loops[axis] for axis in order)
    maps = [reads, ", ".join(loops)]
    return elementwise([source], [type_of(shape, element)], maps, f"linalg.yield %a0 : {element}", len(shape))


@pytest.mark.parametrize("element", ["i1", "i8", "i16", "bf16", "f16", "f32", "i64", "f64"])
@pytest.mark.parametrize("shape", [(32, 64), (8, 8), (70, 41), (9, 300)], ids=str)
def test_a_matrix_of_any_element(element: str, shape: tuple[int, int]) -> None:
    region = transpose(shape, [1, 0], element)
    assert compile_kernel(region).launch.shared_bytes
    hold(region)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
    st.sampled_from(["i8", "f32"]),
    st.integers(0, 2),
)
def test_any_order_of_any_shape(shape: tuple[int, ...], batch: int, random: Random, element: str, blocks: int) -> None:
    shape = (batch, *shape)
    order = list(range(len(shape)))
    random.shuffle(order)
    hold(transpose(shape, order, element), blocks)


@pytest.mark.parametrize("element", ["i8", "f32"])
def test_with_arithmetic_and_an_operand_as_the_result_lies(element: str) -> None:
    add = "arith.addi" if element == "i8" else "arith.addf"
    region = elementwise(
        [type_of((41, 37), element), type_of((37, 41), element), type_of((41, 37), element)],
        [type_of((37, 41), element)],
        ["d1, d0", ROWS, "d1, d0", ROWS],
        f"%s = {add} %a0, %a1 : {element}\n%t = {add} %s, %a2 : {element}\nlinalg.yield %t : {element}",
        2,
    )
    hold(region)


def test_short_sides_are_read_as_they_are() -> None:
    assert not compile_kernel(transpose((300, 3), [1, 0], "f32")).launch.shared_bytes


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("element", ["i8", "bf16", "f32"])
def test_transposes_of_models_spill_nothing(capability: str, element: str) -> None:
    assert_nothing_spills(compile_kernel(transpose((12, 64, 128), [2, 0, 1], element), capability))
