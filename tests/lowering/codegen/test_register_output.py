"""Products and windows of floats finished in registers: parts of panels and vectors, rows that overlap, residuals."""

from __future__ import annotations

import pytest
from tosaic.lowering.codegen import compile_region
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from tosaic.lowering.dialects.tiled import MatmulOp
from tosaic.lowering.target import resolve_target

from .regions import check, parse_region
from .test_contraction_epilogue import generic

BIAS_AND_LIMIT = """
%sum = arith.addf %a0, %a1 : f32
%zero = arith.constant 0.0 : f32
%above = arith.maximumf %sum, %zero : f32
%six = arith.constant 6.0 : f32
%within = arith.minimumf %above, %six : f32
linalg.yield %within : f32"""

ONTO_ROWS = """
%sum = arith.addf %a0, %a1 : f32
%added = arith.addf %sum, %a2 : f32
linalg.yield %added : f32"""


def product(m: int, n: int, k: int, n0: int, rows: int, *, residual: bool) -> RegionOp:
    tiles = f"{-(-n // n0)}x{k}x{n0}x1xf32"
    operands, maps, body = [f"{n}xf32"], ["d1"], BIAS_AND_LIMIT
    if residual:
        operands, maps, body = [f"{n}xf32", f"{m}x{n}xf32"], ["d1", "d0, d1"], ONTO_ROWS
    text = f"""
    %root = "tiled.matmul"(%0, %1) <{{rows = {rows} : i64}}>
      : (tensor<{m}x{k}xf32>, tensor<{tiles}>) -> tensor<{m}x{n}xf32>
    """ + generic(f"{m}x{n}xf32", maps, operands, f"{m}x{n}xf32", body, 2)
    return parse_region([f"{m}x{k}xf32", tiles, *operands], [f"{m}x{n}xf32"], text, MatmulOp)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("n", "n0"), [(32, 32), (96, 32), (24, 32), (16, 32), (40, 32), (80, 32), (7, 16), (144, 48)])
@pytest.mark.parametrize("m", [35, 37])
def test_matmul(m: int, n: int, n0: int, residual: bool) -> None:
    check(product(m, n, 20, n0, 5, residual=residual), rtol=1e-5, atol=1e-5)


def stores_sums(region: RegionOp) -> bool:
    """Whether the function of a tile leaves sums in memory."""
    tile = compile_region(region, resolve_target("x86-64-v4"), "kernel").text.split("@kernel.tile(", 1)[1]
    return "%sums" in tile.split("{", 1)[1].split("\n}", 1)[0]


@pytest.mark.parametrize(
    ("m", "k", "residual", "stores"),
    [(35, 20, False, False), (35, 20, True, False), (37, 20, True, True), (35, 200, False, True)],
)
def test_sums_are_stored_where_rows_would_be_added_twice_or_there_are_many_steps(
    m: int, k: int, residual: bool, stores: bool
) -> None:
    assert stores_sums(product(m, 64, k, 32, 5, residual=residual)) == stores


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("channels", [16, 24, 32, 40, 80, 100])
@pytest.mark.parametrize(("width", "stride"), [(8, 1), (11, 1), (11, 2)])
def test_depthwise(channels: int, width: int, stride: int, residual: bool) -> None:
    out = (width - 3) // stride + 1
    spread, result = f"1x4x{out}x{channels}x1xf32", f"1x4x{out}x{channels}xf32"
    height = 3 * stride + 3
    operands, maps, body = [f"{channels}xf32"], ["d3"], BIAS_AND_LIMIT
    if residual:
        operands, maps, body = [f"{channels}xf32", result], ["d3", "d0, d1, d2, d3"], ONTO_ROWS
    image, window = f"1x{height}x{width}x{channels}xf32", f"3x3x{channels}x1xf32"
    text = f"""
    %start = arith.constant 0.0 : f32
    %none = tensor.empty() : tensor<{spread}>
    %init = linalg.fill ins(%start : f32) outs(%none : tensor<{spread}>) -> tensor<{spread}>
    %sums = "linalg.depthwise_conv_2d_nhwc_hwcm"(%0, %1, %init) <{{
      strides = dense<{stride}> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>,
      operandSegmentSizes = array<i32: 2, 1>}}>
      : (tensor<{image}>, tensor<{window}>, tensor<{spread}>) -> tensor<{spread}>
    %root = tensor.collapse_shape %sums [[0], [1], [2], [3, 4]] : tensor<{spread}> into tensor<{result}>
    """ + generic(result, maps, operands, result, body, 4)
    region = parse_region([image, window, *operands], [result], text, DepthwiseConv2DNhwcHwcmOp)
    check(region, rtol=1e-5, atol=1e-5)
