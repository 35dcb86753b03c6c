"""Pads, concatenations, slices, fills and copies of sizes and places that only a call knows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen import compile_region
from tosaic.lowering.dialects.dispatch import RegionOp

from .harness import Array, Code, run_kernel, targets
from .regions import kernel_arguments, parse_region
from .test_unknown_sizes import SIZES, SMALL, compiled, integers


def hold(region: RegionOp, arrays: list[Array], expected: Array) -> None:
    """The region's kernel makes `expected` of `arrays`, on every target, shared among threads or not."""
    tensors, scalars = kernel_arguments(region, arrays, [expected])
    for target in targets():
        kernel = compile_region(region, target, "kernel")
        code = Code(kernel.text, target=target)
        for threads in (1, 3):
            (result,) = run_kernel(
                code, "kernel", tensors, [~expected], scalars=scalars, threads=threads, at_end=threads == 1
            )
            np.testing.assert_array_equal(result, expected)


PAD = """
    %r = tensor.pad %0 low[%2, 1] high[0, %3] {
    ^bb0(%i: index, %j: index):
      tensor.yield %1 : i32
    } : tensor<?x?xi32> to tensor<?x?xi32>
    "dispatch.yield"(%r) : (tensor<?x?xi32>) -> ()"""


@settings(max_examples=15, deadline=None)
@given(SMALL, SIZES, st.integers(0, 5), st.integers(0, 40))
def test_pad(rows: int, columns: int, low: int, high: int) -> None:
    region = parse_region(["?x?xi32", ":i32", ":index", ":index"], ["?x?xi32"], PAD)
    array = integers((rows, columns))
    expected = np.pad(array, [(low, 0), (1, high)], constant_values=-7)
    hold(region, [array, np.asarray(-7, np.int32), np.asarray(low), np.asarray(high)], expected)


@settings(max_examples=15, deadline=None)
@given(SIZES, SMALL, SMALL, SIZES, st.integers(0, 1))
def test_concat(a: int, b: int, c: int, other: int, dim: int) -> None:
    operation = f"%r = tensor.concat dim({dim}) %0, %1, %2 : (tensor<?x?xi32>, tensor<?x?xi32>, tensor<?x?xi32>)"
    text = f'{operation} -> tensor<?x?xi32>\n"dispatch.yield"(%r) : (tensor<?x?xi32>) -> ()'
    shapes = [(size, other) if dim == 0 else (other, size) for size in (a, b, c)]
    arrays = [integers(shape, np.int32, seed) for seed, shape in enumerate(shapes)]
    hold(parse_region(["?x?xi32"] * 3, ["?x?xi32"], text), arrays, np.concatenate(arrays, dim))


SLICE = """
    %r = tensor.extract_slice %0[%1, 2, %2][1, %3, %4][1, 1, %5] : tensor<?x?x?xi16> to tensor<?x?xi16>
    "dispatch.yield"(%r) : (tensor<?x?xi16>) -> ()"""


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3), st.integers(0, 9), SMALL, SIZES, st.integers(1, 3))
def test_extract_slice(plane: int, first: int, rows: int, columns: int, step: int) -> None:
    region = parse_region(["?x?x?xi16", *[":index"] * 5], ["?x?xi16"], SLICE)
    array = integers((4, rows + 3, first + max(columns - 1, 0) * step + 2), np.int16)
    expected = array[plane, 2 : 2 + rows, first : first + columns * step : step][:, :columns]
    scalars = [np.asarray(value) for value in (plane, first, rows, columns, step)]
    hold(region, [array, *scalars], np.ascontiguousarray(expected))


INSERT = """
    %r = tensor.insert_slice %0 into %1[%2, %3][%4, %5][{0}, %6] : tensor<?x?xi32> into tensor<?x?xi32>
    "dispatch.yield"(%r) : (tensor<?x?xi32>) -> ()"""


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 4), st.integers(0, 9), SMALL, SIZES, st.integers(1, 3), st.sampled_from("12"))
def test_insert_slice(top: int, left: int, rows: int, columns: int, step: int, skip: str) -> None:
    region = parse_region(["?x?xi32", "?x?xi32", *[":index"] * 5], ["?x?xi32"], INSERT.format(skip))
    piece = integers((rows, columns))
    whole = integers((top + rows * int(skip) + 1, left + columns * step + 2), np.int32, 1)
    expected = whole.copy()
    expected[top : top + rows * int(skip) : int(skip), left : left + columns * step : step] = piece
    hold(region, [piece, whole, *map(np.asarray, (top, left, rows, columns, step))], expected)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 4), st.integers(0, 9), SMALL, SIZES)
def test_insert_box(top: int, left: int, rows: int, columns: int) -> None:
    text = INSERT.format(1).replace("%6", "1")
    region = parse_region(["?x?xi32", "?x?xi32", *[":index"] * 4], ["?x?xi32"], text)
    piece, whole = integers((rows, columns)), integers((top + rows + 1, left + columns + 2), np.int32, 1)
    expected = whole.copy()
    expected[top : top + rows, left : left + columns] = piece
    hold(region, [piece, whole, *map(np.asarray, (top, left, rows, columns))], expected)


def fill_and_copy() -> RegionOp:
    text = """
    %e = tensor.empty(%2, %2) : tensor<?x?xf32>
    %f = linalg.fill ins(%1 : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
    %c = tensor.collapse_shape %0 [[0, 1]] : tensor<?x?xf32> into tensor<?xf32>
    "dispatch.yield"(%f, %c) : (tensor<?x?xf32>, tensor<?xf32>) -> ()"""
    return parse_region(["?x?xf32", ":f32", ":index"], ["?x?xf32", "?xf32"], text)


@settings(max_examples=10, deadline=None)
@given(SMALL, SIZES)
def test_fill_and_copy(rows: int, columns: int) -> None:
    compiled(fill_and_copy).check(
        [integers((rows, columns), np.float32), np.asarray(2.5, np.float32), np.asarray(columns)]
    )
