"""Element-wise regions against their meaning, on every target, between guard pages."""

from __future__ import annotations

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen import compile_region
from tosaic.lowering.dialects.dispatch import RegionOp

from .harness import Code, run_kernel, targets
from .regions import check, elementwise, generic_text, parse_region, random_arrays

ROWS = "d0, d1"


def type_of(shape: tuple[int, ...], element: str) -> str:
    return "x".join([*map(str, shape), element])


@pytest.mark.parametrize("columns", [1, 3, 8, 16, 37, 64, 129])
@pytest.mark.parametrize("element", ["f32", "i8", "i32", "f16", "bf16", "f64", "i64", "i16"])
def test_addition_with_a_broadcast_row(element: str, columns: int) -> None:
    add = "arith.addf" if "f" in element else "arith.addi"
    body = f"%s = {add} %a0, %a1 : {element}\nlinalg.yield %s : {element}"
    matrix, row = f"5x{columns}x{element}", f"{columns}x{element}"
    check(elementwise([matrix, row], [matrix], [ROWS, "d1", ROWS], body, 2))


def test_broadcast_along_the_lanes_and_of_a_scalar() -> None:
    body = "%s = arith.mulf %a0, %a1 : f32\n%t = arith.subf %s, %a2 : f32\nlinalg.yield %t : f32"
    check(elementwise(["7x45xf32", "7xf32", "f32"], ["7x45xf32"], [ROWS, "d0", "", ROWS], body, 2))


def test_two_results() -> None:
    body = "%s = arith.addi %a0, %a0 : i8\n%t = arith.extsi %a0 : i8 to i32\nlinalg.yield %s, %t : i8, i32"
    check(elementwise(["3x50xi8"], ["3x50xi8", "3x50xi32"], [ROWS] * 3, body, 2))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 21), min_size=1, max_size=4).map(tuple),
    st.randoms(use_true_random=False),
    st.sampled_from(["i8", "f32", "i16"]),
)
def test_any_transpose_of_any_shape(shape: tuple[int, ...], random: Random, element: str) -> None:
    order = list(range(len(shape)))
    random.shuffle(order)
    loops = [f"d{i}" for i in range(len(shape))]
    source = type_of(tuple(shape[axis] for axis in order), element)
    reads = ", ".join(loops[axis] for axis in order)
    region = elementwise(
        [source], [type_of(shape, element)], [reads, ", ".join(loops)], f"linalg.yield %a0 : {element}", len(shape)
    )
    check(region, threads=(2,))


@pytest.mark.parametrize("shape", [(64, 128), (37, 41), (16, 16), (5, 300)])
@pytest.mark.parametrize("element", ["i8", "f32", "f64"])
def test_transpose_with_arithmetic(shape: tuple[int, int], element: str) -> None:
    add = "arith.addi" if element == "i8" else "arith.addf"
    region = elementwise(
        [type_of(shape[::-1], element), type_of(shape, element)],
        [type_of(shape, element)],
        ["d1, d0", ROWS, ROWS],
        f"%s = {add} %a0, %a1 : {element}\nlinalg.yield %s : {element}",
        2,
    )
    check(region)


def test_reverse_and_strided_access() -> None:
    check(elementwise(["90xf32"], ["90xf32"], ["-d0 + 89", "d0"], "linalg.yield %a0 : f32", 1))
    check(elementwise(["4x90xi8"], ["4x30xi8"], ["d0, d1 * 3", ROWS], "linalg.yield %a0 : i8", 2))


def test_quasi_linear_access() -> None:
    """Subscripts with floordiv and mod, as nearest-neighbour upsampling writes them."""
    maps = ["d0 floordiv 2, d1 floordiv 3, d2", "d0, d1, d2"]
    check(elementwise(["5x7x19xf32"], ["10x21x19xf32"], maps, "linalg.yield %a0 : f32", 3))
    check(elementwise(["7xi8"], ["21xi8"], ["d0 mod 7", "d0"], "linalg.yield %a0 : i8", 1))


def test_subscripts_that_wrap_below_zero() -> None:
    """Affine mod and floordiv round towards minus infinity."""
    check(elementwise(["7xi32"], ["9xi32"], ["(d0 - 3) mod 7", "d0"], "linalg.yield %a0 : i32", 1))
    maps = ["(d0 - 3) floordiv 2 + 2, (d1 - 5) ceildiv 3 + 1", ROWS]
    check(elementwise(["6x5xi32"], ["9x12xi32"], maps, "linalg.yield %a0 : i32", 2))


def test_index_of_merged_and_vectorised_loops() -> None:
    body = """
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %k = linalg.index 2 : index
    %c = arith.constant 1000 : index
    %p = arith.muli %i, %c : index
    %q = arith.addi %p, %j : index
    %r = arith.muli %q, %c : index
    %s = arith.addi %r, %k : index
    %t = arith.index_cast %s : index to i32
    linalg.yield %t : i32"""
    check(elementwise([], ["4x5x37xi32"], ["d0, d1, d2"], body, 3))


def test_no_iteration_and_single_elements() -> None:
    check(elementwise(["f32"], ["f32"], ["", ""], "%s = arith.negf %a0 : f32\nlinalg.yield %s : f32", 0))
    check(elementwise(["1x1xf32"], ["1x1xf32"], [ROWS, ROWS], "linalg.yield %a0 : f32", 2))


GATHER = """
    %i = arith.index_cast %a0 : i32 to index
    %c = linalg.index 1 : index
    %x = tensor.extract %1[%i, %c] : tensor<50x{columns}x{element}>
    linalg.yield %x : {element}"""


@pytest.mark.parametrize(("element", "columns"), list(itertools.product(["i8", "f32", "i16"], [1, 5, 40])))
def test_gather_of_rows_and_of_elements(element: str, columns: int) -> None:
    body = GATHER.format(element=element, columns=columns)
    region = gather_region(element, columns, body)
    rng = np.random.default_rng(0)
    arrays = random_arrays(region)
    arrays[0] = rng.integers(0, 50, arrays[0].shape, dtype=np.int32)
    check(region, arrays)


def gather_region(element: str, columns: int, body: str) -> RegionOp:
    result = f"23x{columns}x{element}"
    text = generic_text(["23xi32"], [result], ["d0", ROWS], body, ["parallel"] * 2)
    return parse_region(["23xi32", f"50x{columns}x{element}"], [result], text)


def test_an_index_outside_of_the_tensor_reads_inside_of_it() -> None:
    """What is read is not told, but the guard pages show that nothing outside is."""
    region = gather_region("f32", 5, GATHER.format(element="f32", columns=5))
    arrays = random_arrays(region)
    arrays[0] = np.array([-1, 50, 2**31 - 1, -(2**31)] * 6, np.int32)[:23]
    for target in targets():
        kernel = compile_region(region, target, "kernel")
        (result,) = run_kernel(Code(kernel.text, target=target), "kernel", arrays, [np.zeros((23, 5), np.float32)])
        assert np.isin(result, arrays[1]).all()


@pytest.mark.parametrize("size", [1, 7, 64, 200, 1000])
def test_byte_table(size: int) -> None:
    body = """
    %w = arith.extsi %a0 : i8 to i32
    %c = arith.constant 128 : i32
    %o = arith.addi %w, %c : i32
    %i = arith.index_cast %o : i32 to index
    %x = tensor.extract %1[%i] : tensor<256xi8>
    linalg.yield %x : i8"""
    text = generic_text([f"{size}xi8"], [f"{size}xi8"], ["d0", "d0"], body, ["parallel"])
    check(parse_region([f"{size}xi8", "256xi8"], [f"{size}xi8"], text))


def test_work_of_many_threads_is_done_once() -> None:
    """In place of 3 threads 16, more than there are rows; every element is written."""
    body = "%s = arith.addf %a0, %a0 : f32\nlinalg.yield %s : f32"
    check(elementwise(["9x4001xf32"], ["9x4001xf32"], [ROWS, ROWS], body, 2), threads=(1, 2, 16))
    check(elementwise(["40001xf32"], ["40001xf32"], ["d0", "d0"], body, 1), threads=(1, 2, 16))
