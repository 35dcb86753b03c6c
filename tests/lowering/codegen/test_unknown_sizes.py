"""Kernels of regions whose sizes only a call knows, against their meaning, on every target, between guard pages.

Each region is compiled once and called with many sizes: none, one, and such that are no multiple of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen import Kernel, compile_region
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.meaning import evaluate_op

from .harness import Array, Code, run_kernel, targets
from .regions import kernel_arguments, parse_region

SIZES = st.sampled_from([0, 1, 2, 3, 7, 16, 17, 33, 64, 100, 130])
SMALL = st.sampled_from([0, 1, 2, 3, 5, 17])


class Compiled:
    """A region's kernel on every target, to be called with arrays of any shape."""

    def __init__(self, region: RegionOp) -> None:
        self.region = region
        self.kernels: list[tuple[Kernel, Code]] = []
        for target in targets():
            kernel = compile_region(region, target, "kernel")
            self.kernels.append((kernel, Code(kernel.text, target=target)))

    def check(self, arrays: Sequence[Array], *, rtol: float = 0.0, atol: float = 0.0) -> list[Array]:
        sizes = [np.asarray(0)] * len(self.region.result_dims)
        expected = [np.asarray(result) for result in evaluate_op(self.region, [*arrays, *sizes])]
        tensors, scalars = kernel_arguments(self.region, arrays, expected)
        for kernel, code in self.kernels:
            assert len(scalars) == kernel.scalars
            for threads in (1, 3):
                before = [
                    np.full(array.nbytes, 0x5A, np.uint8).view(array.dtype).reshape(array.shape) for array in expected
                ]
                results = run_kernel(
                    code,
                    "kernel",
                    tensors,
                    before,
                    threads=threads,
                    scratch_bytes=kernel.scratch_bytes,
                    scalars=scalars,
                    at_end=threads == 1,
                )
                for result, exact in zip(results, expected, strict=True):
                    np.testing.assert_allclose(
                        result.astype(np.float64), exact.astype(np.float64), rtol=rtol, atol=atol
                    )
        return expected


@cache
def compiled(make: Callable[..., RegionOp], *arguments: str) -> Compiled:
    return Compiled(make(*arguments))


def generic(
    inputs: Sequence[str],
    result: str,
    sizes: str,
    maps: str,
    iterators: Sequence[str],
    body: str,
    init: str | None = None,
) -> RegionOp:
    """A region of one generic on tensor<`inputs`>; `sizes` are SSA text that ends in %e, the tensor written to."""
    kinds = ", ".join(f'"{kind}"' for kind in iterators)
    dims = ", ".join(f"d{i}" for i in range(len(iterators)))
    attributes = ", ".join(f"affine_map<({dims}) -> ({map})>" for map in maps.split(";"))
    count = maps.count(";")
    ins = ", ".join(f"%{i}" for i in range(count)) + " : " + ", ".join(f"tensor<{type}>" for type in inputs[:count])
    scalars = [type.rsplit("x", 1)[-1] for type in (*inputs[:count], result)]
    block = ", ".join(f"%a{i}: {scalar}" for i, scalar in enumerate(scalars))
    text = f"""
    {sizes}
    %r = linalg.generic {{indexing_maps = [{attributes}], iterator_types = [{kinds}]}}
      {f"ins({ins})" if count else ""} outs({init or "%e"} : tensor<{result}>) {{
    ^bb0({block}):
      {body}
    }} -> tensor<{result}>
    "dispatch.yield"(%r) : (tensor<{result}>) -> ()"""
    return parse_region(inputs, [result], text)


MATRIX = """
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = tensor.dim %0, %c0 : tensor<?x?x{0}>
    %m = tensor.dim %0, %c1 : tensor<?x?x{0}>
    %e = tensor.empty(%n, %m) : tensor<?x?x{0}>"""


def integers(shape: Sequence[int], dtype: type = np.int32, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(-50, 50, shape).astype(dtype)


def broadcast_addition(element: str) -> RegionOp:
    add = "arith.addf" if element[0] in "fb" else "arith.addi"
    body = f"%s = {add} %a0, %a1 : {element}\n%t = {add} %s, %a2 : {element}\nlinalg.yield %t : {element}"
    inputs = [f"?x?x{element}", f"?x{element}", f"?x{element}"]
    maps = "d0, d1; d1; d0; d0, d1"
    return generic(inputs, f"?x?x{element}", MATRIX.format(element), maps, ["parallel"] * 2, body)


@settings(max_examples=25, deadline=None)
@given(SIZES, SIZES, st.sampled_from(["f32", "i8", "i32", "f64", "f16"]))
def test_broadcasts(rows: int, columns: int, element: str) -> None:
    dtype = {"f32": np.float32, "i8": np.int8, "i32": np.int32, "f64": np.float64, "f16": np.float16}[element]
    arrays = [integers(shape, dtype) for shape in ((rows, columns), (columns,), (rows,))]
    compiled(broadcast_addition, element).check(arrays)


def transposition(element: str) -> RegionOp:
    sizes = f"""
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %n = tensor.dim %0, %c0 : tensor<?x?x?x{element}>
    %m = tensor.dim %0, %c1 : tensor<?x?x?x{element}>
    %k = tensor.dim %0, %c2 : tensor<?x?x?x{element}>
    %e = tensor.empty(%m, %k, %n) : tensor<?x?x?x{element}>"""
    maps, body = "d2, d0, d1; d0, d1, d2", f"linalg.yield %a0 : {element}"
    return generic([f"?x?x?x{element}"], f"?x?x?x{element}", sizes, maps, ["parallel"] * 3, body)


@settings(max_examples=20, deadline=None)
@given(SIZES, SMALL, SIZES, st.sampled_from(["f32", "i8"]))
def test_transposition(a: int, b: int, c: int, element: str) -> None:
    dtype = np.float32 if element == "f32" else np.int8
    compiled(transposition, element).check([integers((a, b, c), dtype)])


def indices_and_scalars() -> RegionOp:
    """x[d1, d0] * factor + d0 * 1000 + d1 + offset, the sizes given as scalars."""
    sizes = "%e = tensor.empty(%2, %1) : tensor<?x?xf32>"
    body = """
      %i = linalg.index 0 : index
      %j = linalg.index 1 : index
      %c = arith.constant 1000 : index
      %p = arith.muli %i, %c : index
      %q = arith.addi %p, %j : index
      %o = arith.addi %q, %1 : index
      %w = arith.index_cast %o : index to i32
      %z = arith.sitofp %w : i32 to f32
      %x = tensor.extract %0[%j, %i] : tensor<?x?xf32>
      %y = arith.mulf %x, %3 : f32
      %s = arith.addf %y, %z : f32
      linalg.yield %s : f32"""
    inputs = ["?x?xf32", ":index", ":index", ":f32"]
    return generic(inputs, "?x?xf32", sizes, "d0, d1", ["parallel"] * 2, body)


@settings(max_examples=15, deadline=None)
@given(SIZES, SIZES)
def test_indices_extraction_and_scalars(rows: int, columns: int) -> None:
    scalars = [np.asarray(rows), np.asarray(columns), np.asarray(3, np.float32)]
    compiled(indices_and_scalars).check([integers((rows, columns), np.float32), *scalars])


COMBINE = {
    "sum": ("arith.addf", "f32"),
    "maximum": ("arith.maximumf", "f32"),
    "total": ("arith.addi", "i32"),
    "least": ("arith.minui", "i32"),
}


def reduction(name: str, axes: str) -> RegionOp:
    """Over `axes` of a tensor of rank 3, beginning with what %1 holds."""
    op, element = COMBINE[name]
    kept = [f"d{i}" for i in range(3) if str(i) not in axes]
    kinds = ["reduction" if str(i) in axes else "parallel" for i in range(3)]
    result = "x".join([*"?" * len(kept), element])
    body = f"%t = {op} %a1, %a0 : {element}\nlinalg.yield %t : {element}"
    return generic([f"?x?x?x{element}", result], result, "", f"d0, d1, d2; {', '.join(kept)}", kinds, body, "%1")


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(SMALL, SMALL, SIZES),
    st.sampled_from(["0", "1", "2", "01", "12", "02", "012"]),
    st.sampled_from(list(COMBINE)),
)
def test_reductions_from_a_tensor(shape: tuple[int, int, int], axes: str, name: str) -> None:
    dtype = np.float32 if COMBINE[name][1] == "f32" else np.int32
    kept = [size for i, size in enumerate(shape) if str(i) not in axes]
    # Sums of small integers are exact in any order.
    compiled(reduction, name, axes).check([integers(shape, dtype), integers(kept, dtype, 1)])


def argmax(axis: str) -> RegionOp:
    kept, dim = ("d0", 0) if axis == "1" else ("d1", 1)
    kinds = ["parallel", "reduction"] if axis == "1" else ["reduction", "parallel"]
    text = f"""
    %c = arith.constant {dim} : index
    %n = tensor.dim %0, %c : tensor<?x?xf32>
    %zero = arith.constant 0 : i32
    %least = arith.constant 0xFF800000 : f32
    %e0 = tensor.empty(%n) : tensor<?xi32>
    %e1 = tensor.empty(%n) : tensor<?xf32>
    %i0 = linalg.fill ins(%zero : i32) outs(%e0 : tensor<?xi32>) -> tensor<?xi32>
    %i1 = linalg.fill ins(%least : f32) outs(%e1 : tensor<?xf32>) -> tensor<?xf32>
    %r, %s = linalg.generic {{indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> ({kept})>,
      affine_map<(d0, d1) -> ({kept})>], iterator_types = ["{kinds[0]}", "{kinds[1]}"]}}
      ins(%0 : tensor<?x?xf32>) outs(%i0, %i1 : tensor<?xi32>, tensor<?xf32>) {{
    ^bb0(%x: f32, %index: i32, %greatest: f32):
      %b = arith.cmpf ogt, %x, %greatest : f32
      %p = linalg.index {axis} : index
      %q = arith.index_cast %p : index to i32
      %t = arith.select %b, %q, %index : i32
      %u = arith.select %b, %x, %greatest : f32
      linalg.yield %t, %u : i32, f32
    }} -> tensor<?xi32>, tensor<?xf32>
    "dispatch.yield"(%r, %s) : (tensor<?xi32>, tensor<?xf32>) -> ()"""
    return parse_region(["?x?xf32"], ["?xi32", "?xf32"], text)


@settings(max_examples=20, deadline=None)
@given(SIZES, SIZES, st.sampled_from("01"))
def test_index_and_value_of_the_greatest(rows: int, columns: int, axis: str) -> None:
    compiled(argmax, axis).check([integers((rows, columns), np.float32)])


def two_results_of_different_shapes() -> RegionOp:
    """The row sums and, in the same loops, the transposed table of counts."""
    text = """
    %zero = arith.constant 0 : i32
    %r, %s = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>,
      affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d1, d0)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%0 : tensor<?x?x?xi32>) outs(%1, %2 : tensor<?x?xi32>, tensor<?x?xi32>) {
    ^bb0(%x: i32, %total: i32, %least: i32):
      %t = arith.addi %total, %x : i32
      %u = arith.minsi %least, %x : i32
      linalg.yield %t, %u : i32, i32
    } -> tensor<?x?xi32>, tensor<?x?xi32>
    "dispatch.yield"(%r, %s) : (tensor<?x?xi32>, tensor<?x?xi32>) -> ()"""
    return parse_region(["?x?x?xi32", "?x?xi32", "?x?xi32"], ["?x?xi32", "?x?xi32"], text)


@settings(max_examples=15, deadline=None)
@given(SMALL, SIZES, SMALL)
def test_results_of_different_maps(a: int, b: int, c: int) -> None:
    compiled(two_results_of_different_shapes).check([integers((a, b, c)), integers((a, b)), integers((b, a))])


def window_maximum(step: str) -> RegionOp:
    """The window, of %2 rows, is given by a tensor of which only the shape matters."""
    text = f"""
    %w = tensor.empty(%2) : tensor<?xf32>
    %r = linalg.generic {{indexing_maps = [affine_map<(d0, d1, d2) -> (d0 * {step} + d2, d1)>,
      affine_map<(d0, d1, d2) -> (d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%0, %w : tensor<?x?xf32>, tensor<?xf32>) outs(%1 : tensor<?x?xf32>) {{
    ^bb0(%x: f32, %unused: f32, %greatest: f32):
      %t = arith.maximumf %greatest, %x : f32
      linalg.yield %t : f32
    }} -> tensor<?x?xf32>
    "dispatch.yield"(%r) : (tensor<?x?xf32>) -> ()"""
    return parse_region(["?x?xf32", "?x?xf32", ":index"], ["?x?xf32"], text)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([1, 2, 5, 17]), SIZES, st.integers(1, 9), st.sampled_from("12"))
def test_poolings_as_generics(rows: int, channels: int, window: int, step: str) -> None:
    image = integers(((rows - 1) * int(step) + window, channels), np.float32)
    before = integers((rows, channels), np.float32, 1)
    compiled(window_maximum, step).check([image, before, np.asarray(window)])


CONVOLUTION = """
    %r = linalg.generic {{indexing_maps = [affine_map<(d0, d1, d2, d3, d4) -> (d0 * {0} + d3 * {1}, d1 + d4)>,
      affine_map<(d0, d1, d2, d3, d4) -> (d3, d4, d2)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}}
      ins(%0, %1 : tensor<?x?xi8>, tensor<?x?x?xi8>) outs(%2 : tensor<?x?x?xi32>) {{
    ^bb0(%x: i8, %w: i8, %total: i32):
      %p = arith.extsi %x : i8 to i32
      %q = arith.extsi %w : i8 to i32
      %m = arith.muli %p, %q : i32
      %t = arith.addi %total, %m : i32
      linalg.yield %t : i32
    }} -> tensor<?x?x?xi32>
    "dispatch.yield"(%r) : (tensor<?x?x?xi32>) -> ()"""


def convolution(stride: str, dilation: str) -> RegionOp:
    return parse_region(["?x?xi8", "?x?x?xi8", "?x?x?xi32"], ["?x?x?xi32"], CONVOLUTION.format(stride, dilation))


@settings(max_examples=20, deadline=None)
@given(st.tuples(SMALL, SMALL, SIZES), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["11", "21", "12"]))
def test_convolutions_as_generics(out: tuple[int, int, int], kh: int, kw: int, steps: str) -> None:
    oh, ow, channels = out
    stride, dilation = map(int, steps)
    image = integers(((max(oh, 1) - 1) * stride + (kh - 1) * dilation + 1, ow + kw - 1), np.int8)
    region = compiled(convolution, *steps)
    region.check([image, integers((kh, kw, channels), np.int8, 1), integers(out, np.int32, 2)])


DIAGONAL = """
    %r = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0, d0)>],
      iterator_types = ["parallel"]} ins(%0 : tensor<?xi32>) outs(%1 : tensor<?x?xi32>) {
    ^bb0(%x: i32, %y: i32):
      %s = arith.addi %x, %y : i32
      linalg.yield %s : i32
    } -> tensor<?x?xi32>
    "dispatch.yield"(%r) : (tensor<?x?xi32>) -> ()"""


@pytest.mark.parametrize("size", [0, 1, 5, 20])
def test_a_result_written_in_part_keeps_the_rest(size: int) -> None:
    region = parse_region(["?xi32", "?x?xi32"], ["?x?xi32"], DIAGONAL)
    vector, matrix = integers((size,)), integers((size, size), np.int32, 1)
    expected = matrix + np.diag(vector)
    _, scalars = kernel_arguments(region, [vector, matrix], [matrix])
    for target in targets():
        kernel = compile_region(region, target, "kernel")
        code = Code(kernel.text, target=target)
        (result,) = run_kernel(code, "kernel", [vector, matrix], [matrix * 0], scalars=scalars, threads=2)
        np.testing.assert_array_equal(result, expected)


def scaled_row_sums() -> RegionOp:
    """sum over d1 of x * %2, then an element-wise generic on the sums: plus y, times %3."""
    text = """
    %c0 = arith.constant 0 : index
    %n = tensor.dim %0, %c0 : tensor<?x?xf32>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?xf32>
    %i = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> ()>,
      affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}
      ins(%0, %2 : tensor<?x?xf32>, f32) outs(%i : tensor<?xf32>) {
    ^bb0(%x: f32, %scale: f32, %total: f32):
      %p = arith.mulf %x, %scale : f32
      %t = arith.addf %total, %p : f32
      linalg.yield %t : f32
    } -> tensor<?xf32>
    %g = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
      iterator_types = ["parallel"]} ins(%r, %1 : tensor<?xf32>, tensor<?xf32>) outs(%e : tensor<?xf32>) {
    ^bb0(%x: f32, %y: f32, %old: f32):
      %s = arith.addf %x, %y : f32
      %t = arith.mulf %s, %3 : f32
      linalg.yield %t : f32
    } -> tensor<?xf32>
    "dispatch.yield"(%g) : (tensor<?xf32>) -> ()"""
    return parse_region(["?x?xf32", "?xf32", ":f32", ":f32"], ["?xf32"], text)


@settings(max_examples=15, deadline=None)
@given(SIZES, SIZES)
def test_reduction_with_epilogue_and_scalars(rows: int, columns: int) -> None:
    arrays = [integers((rows, columns), np.float32), integers((rows,), np.float32, 1)]
    compiled(scaled_row_sums).check([*arrays, np.asarray(2, np.float32), np.asarray(-4, np.float32)])
