"""Segments: one for a static program, cut where the host or another device comes between, and the same meaning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering import pipeline
from tosaic.lowering.dialects.dispatch import RegionOp, SegmentOp
from tosaic.lowering.form_segments import form_segments
from tosaic.lowering.ir import functions, host_blocks
from tosaic.lowering.meaning import evaluate
from tosaic.lowering.target import resolve_target
from tosaic.runtime.device import DeviceSpec
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import ModuleOp

from .programs import random_program


def segments(module: ModuleOp) -> list[SegmentOp]:
    found: list[SegmentOp] = []
    for function in functions(module):
        for block in host_blocks(function):
            assert not any(isinstance(op, RegionOp) for op in block.ops), "a dispatch outside of every segment"
            found += [op for op in block.ops if isinstance(op, SegmentOp)]
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.int8]))
def test_a_static_program_is_one_segment_of_the_same_meaning(seed: int, dtype: type) -> None:
    module, inputs = random_program(seed, dtype)
    options = pipeline.Options((DeviceSpec("cpu"),), {"cpu": resolve_target("x86-64-v3")})
    pipeline.run(module, options, stop_after="const-eval")
    expected = evaluate(module, "main", inputs)
    form_segments(module, "cpu")
    module.verify()
    assert len(segments(module)) == 1
    (function,) = functions(module)
    assert [op.name for op in function.body.block.ops] == ["dispatch.segment", "func.return"]
    for wanted, got in zip(expected, evaluate(module, "main", inputs), strict=True):
        np.testing.assert_array_equal(got, wanted)


def square(value: str, result: str, type: str, device: str = "cpu") -> str:
    """A region that multiplies a matrix [?, 4] with itself, element by element."""
    return f"""
  {result} = "dispatch.region"({value}, %n, %n) <{{device = "{device}"}}> ({{
  ^bb0(%x: {type}, %size: index):
    %empty = tensor.empty(%size) : {type}
    %squares = linalg.generic {{
      indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel"]
    }} ins(%x : {type}) outs(%empty : {type}) {{
    ^bb0(%a: f32, %b: f32):
      %product = arith.mulf %a, %a : f32
      linalg.yield %product : f32
    }} -> {type}
    "dispatch.yield"(%squares) : ({type}) -> ()
  }}) : ({type}, index, index) -> {type}"""


MATRIX = "tensor<?x4xf32>"


def program(*lines: str, result: str = "%r", type: str = MATRIX, inputs: str = f"%m: {MATRIX}") -> ModuleOp:
    return parse(
        f"func.func @main({inputs}) -> ({type}) {{\n  %zero = arith.constant 0 : index\n"
        f"  %n = tensor.dim %m, %zero : {MATRIX}\n" + "\n".join(lines) + f"\n  func.return {result} : {type}\n}}",
    )


def check(module: ModuleOp, *inputs: np.ndarray) -> list[SegmentOp]:
    expected = evaluate(module, "main", inputs) if inputs else []
    form_segments(module, "cpu")
    module.verify()
    for wanted, got in zip(expected, evaluate(module, "main", inputs) if inputs else [], strict=True):
        np.testing.assert_array_equal(got, wanted)
    return segments(module)


def matrix(rows: int) -> np.ndarray:
    return np.arange(rows * 4, dtype=np.float32).reshape(rows, 4) - 3


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_sizes_of_the_inputs_are_asked_inside(rows: int) -> None:
    (segment,) = check(program(square("%m", "%s", MATRIX), square("%s", "%r", MATRIX)), matrix(rows))
    assert [list(part) for part in (segment.inputs, segment.scalars)] == [[segment.inputs[0]], []]
    names = [op.name for op in segment.body.block.ops]
    assert names == ["arith.constant", "tensor.dim", "dispatch.region", "dispatch.region", "dispatch.yield"]
    assert len(segment.result_dims) == 1


def test_a_view_leaves_in_the_place_of_its_source() -> None:
    view = f"%r = tensor.collapse_shape %s [[0 : i64, 1 : i64]] : {MATRIX} into tensor<?xf32>"
    (segment,) = check(program(square("%m", "%s", MATRIX), view, type="tensor<?xf32>"), matrix(3))
    assert str(segment.outputs[0].type) == "tensor<?xf32>"


def test_a_value_and_its_view_leave_once() -> None:
    module = program(
        square("%m", "%s", MATRIX),
        f"%v = tensor.collapse_shape %s [[0 : i64, 1 : i64]] : {MATRIX} into tensor<?xf32>",
        "%e = tensor.extract %v[%zero] : tensor<?xf32>",
        "%t = tensor.from_elements %e : tensor<1xf32>",
        result="%s, %t",
        type=f"{MATRIX}, tensor<1xf32>",
    )
    (segment,) = check(module)
    assert [str(output.type) for output in segment.outputs] == [MATRIX]


def test_the_host_cuts_between_dispatches_that_need_it() -> None:
    module = program(
        square("%m", "%s", MATRIX),
        "%e = tensor.extract %s[%zero, %zero] : tensor<?x4xf32>",
        "%one = tensor.from_elements %e, %e, %e, %e : tensor<1x4xf32>",
        f"%t = tensor.cast %one : tensor<1x4xf32> to {MATRIX}",
        square("%t", "%u", MATRIX),
        square("%m", "%r", MATRIX),
        result="%r, %u",
        type=f"{MATRIX}, {MATRIX}",
    )
    first, second = check(module)
    assert [len(segment.outputs) for segment in (first, second)] == [2, 1]


def test_a_returned_argument_is_copied() -> None:
    assert len(check(program(result="%m"), matrix(2))) == 1
