"""The named linalg operations: MLIR's spelling there and back, and what their verifiers refuse."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tosaic.lowering.dialects import linalg
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func
from xdsl.parser import Parser
from xdsl.utils.exceptions import VerifyException

ARGUMENTS = """%a: tensor<5x7xi8>, %b: tensor<9x7xi8>, %c: tensor<5x9xi32>, %ab: tensor<2x5x7xf32>,
    %bb: tensor<2x7x9xf16>, %cb: tensor<2x5x9xf32>, %x: tensor<1x9x9x4xf32>, %w: tensor<8x3x3x4xf16>,
    %y: tensor<1x4x4x8xf32>, %dw: tensor<3x3x4x2xf32>, %dy: tensor<1x4x4x4x2xf32>, %k: tensor<3x3xf32>,
    %p: tensor<1x4x4x4xf32>, %t: tensor<2x1x4x8xi8>, %u: tensor<3x1x3x8xi8>, %tu: tensor<2x3x4x3xi32>, %z: i8"""
WINDOW = "{strides = dense<2> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}"
OPERATIONS = {
    "matmul": """%r = linalg.matmul indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>,
        affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>]
        ins(%a, %b : tensor<5x7xi8>, tensor<9x7xi8>) outs(%c : tensor<5x9xi32>) -> tensor<5x9xi32>""",
    "batch_matmul": """%r = linalg.batch_matmul ins(%ab, %bb : tensor<2x5x7xf32>, tensor<2x7x9xf16>)
        outs(%cb : tensor<2x5x9xf32>) -> tensor<2x5x9xf32>""",
    "mmt4d": """%r = linalg.mmt4d ins(%t, %u : tensor<2x1x4x8xi8>, tensor<3x1x3x8xi8>)
        outs(%tu : tensor<2x3x4x3xi32>) -> tensor<2x3x4x3xi32>""",
    "conv_2d": f"""%r = linalg.conv_2d_nhwc_fhwc {WINDOW} ins(%x, %w : tensor<1x9x9x4xf32>, tensor<8x3x3x4xf16>)
        outs(%y : tensor<1x4x4x8xf32>) -> tensor<1x4x4x8xf32>""",
    "depthwise": f"""%r = linalg.depthwise_conv_2d_nhwc_hwcm {WINDOW}
        ins(%x, %dw : tensor<1x9x9x4xf32>, tensor<3x3x4x2xf32>)
        outs(%dy : tensor<1x4x4x4x2xf32>) -> tensor<1x4x4x4x2xf32>""",
    "pooling_max": f"""%r = linalg.pooling_nhwc_max {WINDOW} ins(%x, %k : tensor<1x9x9x4xf32>, tensor<3x3xf32>)
        outs(%p : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>""",
    "pooling_sum": f"""%r = linalg.pooling_nhwc_sum {WINDOW} ins(%x, %k : tensor<1x9x9x4xf32>, tensor<3x3xf32>)
        outs(%p : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>""",
    "pack": """%r = linalg.pack %a padding_value(%z : i8) outer_dims_perm = [0, 1] inner_dims_pos = [0, 1]
        inner_tiles = [4, 8] into %t : tensor<5x7xi8> -> tensor<2x1x4x8xi8>""",
    "unpack": """%r = linalg.unpack %t inner_dims_pos = [0, 1] inner_tiles = [4, 8] into %a
        : tensor<2x1x4x8xi8> -> tensor<5x7xi8>""",
}


def program(operation: str) -> str:
    return f"func.func @main({ARGUMENTS}) {{\n{operation}\nreturn\n}}\n"


def round_trip(text: str) -> str:
    context = Context()
    for dialect in (Builtin, Func, linalg.Linalg):
        context.load_dialect(dialect)
    module = Parser(context, text).parse_module()
    module.verify()
    return str(module)


@pytest.mark.parametrize("name", OPERATIONS)
def test_text_is_stable(name: str) -> None:
    printed = round_trip(program(OPERATIONS[name]))
    assert round_trip(printed) == printed


def test_mlir_reads_what_is_printed(tmp_path: Path) -> None:
    """With IREE's build of MLIR, where it is installed."""
    iree_opt = shutil.which("iree-opt")
    if iree_opt is None:
        pytest.skip("iree-opt is not on the PATH")
    for name, operation in OPERATIONS.items():
        file = tmp_path / f"{name}.mlir"
        file.write_text(round_trip(program(operation)))
        subprocess.run([iree_opt, str(file), "-o", "/dev/null"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("matmul", ("affine_map<(d0, d1, d2) -> (d1, d2)>", "affine_map<(d0, d1, d2) -> (d2, d1)>"), "disagrees"),
        ("batch_matmul", ("tensor<2x7x9xf16>", "tensor<3x7x9xf16>"), "disagrees about d0"),
        ("conv_2d", ("tensor<1x9x9x4xf32>", "tensor<1x8x9x4xf32>"), "reads index 8 of image dimension 1"),
        ("conv_2d", ("strides = dense<2>", "strides = dense<0>"), "must be positive"),
        ("pooling_max", ("tensor<3x3xf32>", "tensor<9xf32>"), "must have 2 dimensions"),
        ("pack", ("inner_tiles = [4, 8]", "inner_tiles = [5, 8]"), "must have shape"),
        ("pack", ("inner_dims_pos = [0, 1]", "inner_dims_pos = [0, 0]"), "distinct"),
        ("pack", ("outer_dims_perm = [0, 1]", "outer_dims_perm = [1, 1]"), "permutation"),
        ("pack", ("padding_value(%z : i8)", ""), "padding_value is needed"),
        ("unpack", ("inner_tiles = [4, 8]", "inner_tiles = [4, 4]"), "must have shape"),
    ],
)
def test_wrong_operands_do_not_verify(name: str, change: tuple[str, str], reason: str) -> None:
    before, after = change
    text = program(OPERATIONS[name])
    assert before in text
    with pytest.raises(VerifyException, match=reason):
        round_trip(text.replace(before, after))


def test_iteration_sizes_come_from_the_operands() -> None:
    context = Context()
    for dialect in (Builtin, Func, linalg.Linalg):
        context.load_dialect(dialect)
    module = Parser(context, program(OPERATIONS["conv_2d"])).parse_module()
    (conv,) = (op for op in module.walk() if isinstance(op, linalg.Conv2DNhwcFhwcOp))
    assert conv.iteration_sizes() == (1, 4, 4, 8, 3, 3, 4)
