"""Reductions against their meaning: by rows, by columns, over several loops, with epilogues."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.dialects.dispatch import RegionOp

from .regions import check, parse_region, random_arrays

COMBINE = {
    "sum f32": ("f32", "arith.addf", "0.0"),
    "product f32": ("f32", "arith.mulf", "1.0"),
    "maximum f32": ("f32", "arith.maximumf", "0xFF800000"),
    "minimum f32": ("f32", "arith.minimumf", "0x7F800000"),
    "sum i32": ("i32", "arith.addi", "0"),
    "maximum i8": ("i8", "arith.maxsi", "-128"),
    "minimum i16": ("i16", "arith.minsi", "32767"),
    "any": ("i1", "arith.ori", "false"),
    "all": ("i1", "arith.andi", "true"),
    "sum f64": ("f64", "arith.addf", "0.0"),
    "maximum bf16": ("bf16", "arith.maximumf", "0xFF80"),
}


def tensor(shape: Sequence[int], element: str) -> str:
    return "x".join([*map(str, shape), element])


def reduction(name: str, shape: Sequence[int], axes: set[int], epilogue: bool = False) -> RegionOp:
    """`name` of COMBINE over `axes`, which the result keeps with extent 1."""
    element, op, start = COMBINE[name]
    rank = len(shape)
    loops = ", ".join(f"d{i}" for i in range(rank))
    kept = ", ".join("0" if i in axes else f"d{i}" for i in range(rank))
    kinds = ", ".join('"reduction"' if i in axes else '"parallel"' for i in range(rank))
    result = tensor([1 if i in axes else size for i, size in enumerate(shape)], element)
    row = tensor([1 if rank - 1 in axes else shape[-1]], element)
    constant = start if element == "i1" else f"{start} : {element}"
    body = f"""
    %start = arith.constant {constant}
    %empty = tensor.empty() : tensor<{result}>
    %init = linalg.fill ins(%start : {element}) outs(%empty : tensor<{result}>) -> tensor<{result}>
    %r = linalg.generic {{indexing_maps = [affine_map<({loops}) -> ({loops})>, affine_map<({loops}) -> ({kept})>],
      iterator_types = [{kinds}]}} ins(%0 : tensor<{tensor(shape, element)}>) outs(%init : tensor<{result}>) {{
    ^bb0(%x: {element}, %total: {element}):
      %t = {op} %total, %x : {element}
      linalg.yield %t : {element}
    }} -> tensor<{result}>"""
    if not epilogue:
        return parse_region(
            [tensor(shape, element)], [result], body + f'\n"dispatch.yield"(%r) : (tensor<{result}>) -> ()'
        )
    body += f"""
    %scaled = tensor.empty() : tensor<{result}>
    %e = linalg.generic {{indexing_maps = [affine_map<({loops}) -> ({loops})>, affine_map<({loops}) -> (d{rank - 1})>,
      affine_map<({loops}) -> ({loops})>], iterator_types = [{", ".join(['"parallel"'] * rank)}]}}
      ins(%r, %1 : tensor<{result}>, tensor<{row}>) outs(%scaled : tensor<{result}>) {{
    ^bb0(%x: {element}, %y: {element}, %z: {element}):
      %t = {op} %x, %y : {element}
      linalg.yield %t : {element}
    }} -> tensor<{result}>
    "dispatch.yield"(%e) : (tensor<{result}>) -> ()"""
    return parse_region([tensor(shape, element), row], [result], body)


def sum_bound(arrays: Sequence[np.ndarray], terms: int) -> float:
    """Any order of adding `terms` numbers errs by at most terms * eps * the sum of magnitudes."""
    return float(terms * np.finfo(arrays[0].dtype).eps * terms * np.abs(arrays[0].astype(np.float64)).max())


def hold(region: RegionOp, name: str, shape: Sequence[int], axes: set[int], **options) -> None:
    arrays = random_arrays(region)
    terms = math.prod(shape[axis] for axis in axes)
    if name in ("sum f32", "sum f64"):
        check(region, arrays, atol=sum_bound(arrays, terms), **options)
    elif name == "product f32":
        arrays = [np.exp2(np.clip(array / 100, -0.1, 0.1)).astype(np.float32) for array in arrays]
        check(region, arrays, rtol=terms * float(np.finfo(np.float32).eps), **options)
    else:
        check(region, arrays, **options)


@pytest.mark.parametrize("name", COMBINE)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 300), {1}),
        ((300, 37), {0}),
        ((2, 7, 7, 40), {1, 2}),
        ((3, 5, 37), {2}),
        ((4, 9, 3), {1}),
        ((1000,), {0}),
        ((2, 3), {0, 1}),
        ((3, 1), {1}),
    ],
)
def test_reduction(name: str, shape: Sequence[int], axes: set[int]) -> None:
    hold(reduction(name, shape, axes), name, shape, axes)


@pytest.mark.parametrize("name", ["sum f32", "maximum i8"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((5, 300), {1}), ((300, 37), {0}), ((2, 7, 7, 40), {1, 2}), ((4, 9, 35), {2}), ((3, 40, 5), {2})],
)
def test_reduction_with_epilogue(name: str, shape: Sequence[int], axes: set[int]) -> None:
    hold(reduction(name, shape, axes, epilogue=True), name, shape, axes)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.sets(st.integers(0, 3), min_size=1),
    st.sampled_from(["sum i32", "maximum i8"]),
)
def test_any_shape_and_axes(shape: list[int], axes: set[int], name: str) -> None:
    axes = {axis % len(shape) for axis in axes}
    hold(reduction(name, shape, axes), name, shape, axes, threads=(2,))


def test_not_a_number_propagates() -> None:
    region = reduction("maximum f32", (6, 100), {1})
    (array,) = random_arrays(region)
    array[2, 63] = array[4, 99] = np.nan
    expected = check(region, [array])
    assert np.isnan(expected[0][[2, 4]]).all()


@pytest.mark.parametrize(("shape", "axis"), [((6, 21), 1), ((40, 6, 21), 0), ((5, 33), 0), ((1, 1001), 1)])
@pytest.mark.parametrize("element", ["f32", "i8"])
def test_argmax(element: str, shape: Sequence[int], axis: int) -> None:
    """Index and value are accumulated together; the first of equals wins."""
    rank = len(shape)
    loops = ", ".join(f"d{i}" for i in range(rank))
    kept = ", ".join(f"d{i}" for i in range(rank) if i != axis)
    kinds = ", ".join('"reduction"' if i == axis else '"parallel"' for i in range(rank))
    result = [size for i, size in enumerate(shape) if i != axis]
    indices, values = tensor(result, "i32"), tensor(result, element)
    least, better = ("0xFF800000", "arith.cmpf ogt") if element == "f32" else ("-128", "arith.cmpi sgt")
    body = f"""
    %zero = arith.constant 0 : i32
    %least = arith.constant {least} : {element}
    %e0 = tensor.empty() : tensor<{indices}>
    %e1 = tensor.empty() : tensor<{values}>
    %i0 = linalg.fill ins(%zero : i32) outs(%e0 : tensor<{indices}>) -> tensor<{indices}>
    %i1 = linalg.fill ins(%least : {element}) outs(%e1 : tensor<{values}>) -> tensor<{values}>
    %r, %s = linalg.generic {{indexing_maps = [affine_map<({loops}) -> ({loops})>, affine_map<({loops}) -> ({kept})>,
      affine_map<({loops}) -> ({kept})>], iterator_types = [{kinds}]}}
      ins(%0 : tensor<{tensor(shape, element)}>) outs(%i0, %i1 : tensor<{indices}>, tensor<{values}>) {{
    ^bb0(%x: {element}, %index: i32, %greatest: {element}):
      %b = {better}, %x, %greatest : {element}
      %p = linalg.index {axis} : index
      %q = arith.index_cast %p : index to i32
      %t = arith.select %b, %q, %index : i32
      %u = arith.select %b, %x, %greatest : {element}
      linalg.yield %t, %u : i32, {element}
    }} -> tensor<{indices}>, tensor<{values}>
    "dispatch.yield"(%r) : (tensor<{indices}>) -> ()"""
    region = parse_region([tensor(shape, element)], [indices], body)
    rng = np.random.default_rng(1)
    array = rng.integers(-5, 5, shape).astype(np.float32 if element == "f32" else np.int8)
    (expected,) = check(region, [array])
    np.testing.assert_array_equal(expected, array.argmax(axis))


def test_sum_of_products_with_a_fused_producer() -> None:
    """sum over k of exp(x[m, k] - y[m]), as softmax has it."""
    body = """
    %start = arith.constant 0.0 : f32
    %empty = tensor.empty() : tensor<9xf32>
    %init = linalg.fill ins(%start : f32) outs(%empty : tensor<9xf32>) -> tensor<9xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>,
      affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}
      ins(%0, %1 : tensor<9x77xf32>, tensor<9xf32>) outs(%init : tensor<9xf32>) {
    ^bb0(%x: f32, %y: f32, %total: f32):
      %d = arith.subf %x, %y : f32
      %e = math.exp %d : f32
      %t = arith.addf %total, %e : f32
      linalg.yield %t : f32
    } -> tensor<9xf32>
    "dispatch.yield"(%r) : (tensor<9xf32>) -> ()"""
    # 77 positive terms: as many roundings of the sums, and four of the exponentials, ours and numpy's.
    check(parse_region(["9x77xf32", "9xf32"], ["9xf32"], body), rtol=(77 + 4) * float(np.finfo(np.float32).eps))
