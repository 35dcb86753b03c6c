"""Roots followed by their element-wise generic, on every target, held to their meaning exactly (integers only)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from tosaic.lowering.dialects.tiled import Conv2DOp, MatmulOp

from .harness import Array
from .regions import check, parse_region, random_arrays

REQUANTIZE = """
%sum = arith.addi %a0, %a1 : i32
%scaled = "tosa.apply_scale"(%sum, %a2, %a3)
  {rounding_mode = #tosa.rounding_mode<DOUBLE_ROUND>} : (i32, i32, i8) -> i32
%wide = arith.extsi %a4 : i8 to i32
%added = arith.addi %scaled, %wide : i32
%low = arith.constant -128 : i32
%high = arith.constant 127 : i32
%above = arith.maxsi %added, %low : i32
%within = arith.minsi %above, %high : i32
%narrow = arith.trunci %within : i32 to i8
linalg.yield %narrow : i8
"""


def generic(root: str, maps: Sequence[str], operands: Sequence[str], result: str, body: str, loops: int) -> str:
    """A generic over %root (identity map first) and region arguments, its result yielded."""
    dims = ", ".join(f"d{i}" for i in range(loops))
    attributes = ", ".join(f"affine_map<({dims}) -> ({map})>" for map in [dims, *maps, dims])
    names = ", ".join(["%root", *(f"%{i + 2}" for i in range(len(operands)))])
    types = ", ".join(f"tensor<{type}>" for type in [root, *operands])
    scalars = [type.rsplit("x", 1)[-1] for type in (root, *operands, result)]
    block = ", ".join(f"%a{i}: {scalar}" for i, scalar in enumerate(scalars))
    kinds = ", ".join(['"parallel"'] * loops)
    return f"""
    %empty = tensor.empty() : tensor<{result}>
    %r = linalg.generic {{indexing_maps = [{attributes}], iterator_types = [{kinds}]}}
      ins({names} : {types}) outs(%empty : tensor<{result}>) {{
    ^bb0({block}):
      {body}
    }} -> tensor<{result}>
    "dispatch.yield"(%r) : (tensor<{result}>) -> ()"""


def _arrays(region: RegionOp) -> list[Array]:
    """Random inputs, with multipliers and shifts that scale sums of bytes to about a byte."""
    arrays = random_arrays(region)
    bias, multiplier, shift = arrays[2:5]
    bias //= 2**16
    np.abs(multiplier // 2, out=multiplier)
    shift[...] = 33 + np.abs(shift // 32)
    return arrays


@pytest.mark.parametrize("offset", [0, 128])
@pytest.mark.parametrize(("m", "n"), [(13, 40), (37, 32), (4, 21), (1, 70)])
def test_matmul_requantised_onto_a_residual(m: int, n: int, offset: int) -> None:
    k, n0, k0 = 20, 32, 4 if offset else 2
    tiles = f"{-(-n // n0)}x{-(-k // k0)}x{n0}x{k0}xi8"
    operands = [f"{n}xi32", f"{n}xi32", f"{n}xi8", f"{m}x{n}xi8"]
    attribute = f", lhs_offset = {offset} : i64" if offset else ""
    body = f"""
    %root = "tiled.matmul"(%0, %1) <{{rows = 5 : i64{attribute}}}>
      : (tensor<{m}x{k}xi8>, tensor<{tiles}>) -> tensor<{m}x{n}xi32>
    """ + generic(f"{m}x{n}xi32", ["d1", "d1", "d1", "d0, d1"], operands, f"{m}x{n}xi8", REQUANTIZE, 2)
    region = parse_region([f"{m}x{k}xi8", tiles, *operands], [f"{m}x{n}xi8"], body, MatmulOp)
    check(region, _arrays(region))


LOOKED_UP = REQUANTIZE.replace("%wide = arith.extsi %a4 : i8 to i32", "%wide = arith.constant -7 : i32").replace(
    "linalg.yield %narrow : i8",
    """%again = arith.extsi %narrow : i8 to i32
    %half = arith.constant 128 : i32
    %entry = arith.addi %again, %half : i32
    %index = arith.index_cast %entry : i32 to index
    %found = tensor.extract %5[%index] : tensor<256xi8>
    linalg.yield %found : i8""",
)


@pytest.mark.parametrize(("n", "n0"), [(64, 32), (40, 32), (24, 32), (96, 48), (100, 48), (20, 16), (130, 64)])
def test_matmul_requantised_and_looked_up(n: int, n0: int) -> None:
    """Bytes are looked up two registers at a time, however many columns a tile has."""
    m, k = 13, 20
    tiles = f"{-(-n // n0)}x{k // 4}x{n0}x4xi8"
    operands = [f"{n}xi32", f"{n}xi32", f"{n}xi8"]
    body = f"""
    %root = "tiled.matmul"(%0, %1) <{{rows = 5 : i64, lhs_offset = 128 : i64}}>
      : (tensor<{m}x{k}xi8>, tensor<{tiles}>) -> tensor<{m}x{n}xi32>
    """ + generic(f"{m}x{n}xi32", ["d1", "d1", "d1"], operands, f"{m}x{n}xi8", LOOKED_UP, 2)
    region = parse_region([f"{m}x{k}xi8", tiles, *operands, "256xi8"], [f"{m}x{n}xi8"], body, MatmulOp)
    check(region, _arrays(region))


@pytest.mark.parametrize(
    "residual",
    [("2x5x6x24xi8", "d0, d1, d2, d3"), ("2x24xi8", "d0, d3"), ("5x6xi8", "d1, d2"), ("2x6x5x24xi8", "d0, d2, d1, d3")],
    ids=str,
)
def test_convolution_reads_other_operands_through_any_map(residual: tuple[str, str]) -> None:
    """Only for the first map is a pixel's linear number as good as its indices."""
    type, map = residual
    operands = ["24xi32", "24xi32", "24xi8", type]
    body = """
    %root = "tiled.conv_2d"(%0, %1) <{kernel = array<i64: 3, 3>, strides = array<i64: 1, 1>,
      dilations = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, pad_value = 3 : i8, rows = 7 : i64}>
      : (tensor<2x5x6x5xi8>, tensor<1x23x32x2xi8>) -> tensor<2x5x6x24xi32>
    """ + generic("2x5x6x24xi32", ["d3", "d3", "d3", map], operands, "2x5x6x24xi8", REQUANTIZE, 4)
    region = parse_region(["2x5x6x5xi8", "1x23x32x2xi8", *operands], ["2x5x6x24xi8"], body, Conv2DOp)
    check(region, _arrays(region))


@pytest.mark.parametrize(("channels", "multiplier"), [(40, 1), (80, 1), (144, 1), (3, 4)])
@pytest.mark.parametrize("body", [REQUANTIZE, LOOKED_UP], ids=["requantised", "looked up"])
def test_depthwise_collapsed_and_requantised(channels: int, multiplier: int, body: str) -> None:
    total = channels * multiplier
    spread, result = f"1x5x6x{channels}x{multiplier}xi32", f"1x5x6x{total}x"
    operands = [f"{total}xi32", f"{total}xi32", f"{total}xi8"]
    maps = ["d3", "d3", "d3"]
    if body is REQUANTIZE:
        operands, maps = [*operands, f"{result}i8"], [*maps, "d0, d1, d2, d3"]
    image, window = f"1x7x8x{channels}xi8", f"3x3x{channels}x{multiplier}xi8"
    text = f"""
    %zero = arith.constant 0 : i32
    %none = tensor.empty() : tensor<{spread}>
    %init = linalg.fill ins(%zero : i32) outs(%none : tensor<{spread}>) -> tensor<{spread}>
    %sums = "linalg.depthwise_conv_2d_nhwc_hwcm"(%0, %1, %init) <{{
      strides = dense<1> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>,
      operandSegmentSizes = array<i32: 2, 1>}}>
      : (tensor<{image}>, tensor<{window}>, tensor<{spread}>) -> tensor<{spread}>
    %root = tensor.collapse_shape %sums [[0], [1], [2], [3, 4]] : tensor<{spread}> into tensor<{result}i32>
    """ + generic(f"{result}i32", maps, operands, f"{result}i8", body, 4)
    table = [] if body is REQUANTIZE else ["256xi8"]
    region = parse_region([image, window, *operands, *table], [f"{result}i8"], text, DepthwiseConv2DNhwcHwcmOp)
    check(region, _arrays(region))
