"""Padding, concatenation, slices and packing against their meaning."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.dialects.linalg import PackOp, UnpackOp

from .regions import check, parse_region


def text(shape: list[int] | tuple[int, ...], element: str) -> str:
    return "x".join([*map(str, shape), element])


def check_one(source: list[str], result: str, operation: str, *classes: type) -> None:
    body = f'{operation}\n"dispatch.yield"(%r) : (tensor<{result}>) -> ()'
    check(parse_region(source, [result], body, *classes))


@pytest.mark.parametrize(("element", "value"), [("f32", "1.5"), ("i8", "-7"), ("i1", "true"), ("bf16", "2.0")])
@pytest.mark.parametrize(
    ("shape", "low", "high"),
    [
        ((5,), (2,), (3,)),
        ((7, 9, 33), (1, 0, 2), (0, 3, 1)),
        ((2, 5, 5, 3), (0, 1, 1, 0), (0, 1, 1, 0)),
        ((4, 4), (0, 0), (0, 0)),
    ],
)
def test_pad(element: str, value: str, shape: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...]) -> None:
    result = text([a + b + c for a, b, c in zip(shape, low, high, strict=True)], element)
    indices = ", ".join(f"%i{i}: index" for i in range(len(shape)))
    constant = value if element == "i1" else f"{value} : {element}"
    operation = f"""
    %c = arith.constant {constant}
    %r = tensor.pad %0 low[{", ".join(map(str, low))}] high[{", ".join(map(str, high))}] {{
    ^bb0({indices}):
      tensor.yield %c : {element}
    }} : tensor<{text(shape, element)}> to tensor<{result}>"""
    check_one([text(shape, element)], result, operation)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("element", ["f32", "i8"])
def test_concat_of_three(dim: int, element: str) -> None:
    shapes = [[3, 5, 21] for _ in range(3)]
    for extent, shape in zip((1, 4, 35), shapes, strict=True):
        shape[dim] = extent
    total = [3, 5, 21]
    total[dim] = 40
    types = ", ".join(f"tensor<{text(shape, element)}>" for shape in shapes)
    operation = f"%r = tensor.concat dim({dim}) %0, %1, %2 : ({types}) -> tensor<{text(total, element)}>"
    check_one([text(shape, element) for shape in shapes], text(total, element), operation)


@pytest.mark.parametrize(
    ("offsets", "sizes", "strides"), [((1, 2, 3), (2, 3, 17), (1, 1, 1)), ((0, 1, 2), (3, 2, 9), (1, 2, 3))]
)
@pytest.mark.parametrize("element", ["f32", "i8"])
def test_extract_slice(
    offsets: tuple[int, ...], sizes: tuple[int, ...], strides: tuple[int, ...], element: str
) -> None:
    box = "".join("[" + ", ".join(map(str, part)) + "]" for part in (offsets, sizes, strides))
    operation = f"%r = tensor.extract_slice %0{box} : tensor<4x6x40x{element}> to tensor<{text(sizes, element)}>"
    check_one([f"4x6x40x{element}"], text(sizes, element), operation)


def test_insert_slice() -> None:
    operation = "%r = tensor.insert_slice %0 into %1[1, 2][3, 20][1, 1] : tensor<3x20xf32> into tensor<5x40xf32>"
    check_one(["3x20xf32", "5x40xf32"], "5x40xf32", operation)


@settings(max_examples=12, deadline=None)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 50)),
    st.tuples(st.sampled_from([1, 2, 4, 7, 16, 32]), st.sampled_from([1, 2, 4])),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["f32", "i8", "bf16"]),
)
def test_pack_and_unpack(
    shape: tuple[int, int], tiles: tuple[int, int], outer_swapped: bool, inner_swapped: bool, element: str
) -> None:
    outer, positions = ([1, 0] if swapped else [0, 1] for swapped in (outer_swapped, inner_swapped))
    inner = [tiles[dim] for dim in positions]
    counts = [-(-size // tile) for size, tile in zip(shape, tiles, strict=True)]
    packed = text([*(counts[dim] for dim in outer), *inner], element)
    plain = text(shape, element)
    attributes = f"outer_dims_perm = {outer} inner_dims_pos = {positions} inner_tiles = {inner}"
    zero = "0" if element == "i8" else "0.0"
    pack = f"""
    %z = arith.constant {zero} : {element}
    %e = tensor.empty() : tensor<{packed}>
    %r = linalg.pack %0 padding_value(%z : {element}) {attributes} into %e : tensor<{plain}> -> tensor<{packed}>"""
    check_one([plain], packed, pack, PackOp)
    unpack = f"""
    %e = tensor.empty() : tensor<{plain}>
    %r = linalg.unpack %0 {attributes} into %e : tensor<{packed}> -> tensor<{plain}>"""
    check_one([packed], plain, unpack, UnpackOp)


def test_pack_of_a_batch() -> None:
    """Dimensions that are not tiled stay in front."""
    operation = """
    %z = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<3x3x5x16x2xf32>
    %r = linalg.pack %0 padding_value(%z : f32) outer_dims_perm = [0, 2, 1] inner_dims_pos = [2, 1]
      inner_tiles = [16, 2] into %e : tensor<3x10x37xf32> -> tensor<3x3x5x16x2xf32>"""
    check_one(["3x10x37xf32"], "3x3x5x16x2xf32", operation, PackOp)
