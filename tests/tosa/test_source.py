"""Where operations were read from: lines of the text, or what the text says of locations."""

from __future__ import annotations

import pytest
from tosaic.tosa import read
from tosaic.tosa.source import described, source_of
from tosaic.tosa.text import print_module
from xdsl.dialects.arith import AddfOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation

PROGRAM = """#far = loc("model.py":40:2)
func.func @f(%a: f32) -> f32 {
  %here = arith.addf %a, %a : f32
    %named = arith.mulf %here, %a : f32 loc("layer"("model.py":3:4))
  %fused = arith.mulf %named, %a : f32 loc(fused["x.py":1:2, unknown])
  %alias = arith.mulf %fused, %a : f32 loc(#far)
  %called = arith.mulf %alias, %a : f32 loc(callsite("callee.py":5:6 at "caller.py":7:8))
  %late = arith.mulf %called, %a : f32 loc(#late)
  return %late : f32
}
#late = loc("late.py":1:1)
"""
SOURCES = ["p.mlir:3:3", "model.py:3:4", "x.py:1:2", "model.py:40:2", "callee.py:5:6", "p.mlir:8:3", "p.mlir:9:3"]


@pytest.fixture
def operations() -> list[Operation]:
    function = read(PROGRAM.encode(), "p.mlir").body.block.first_op
    assert isinstance(function, FuncOp)
    return list(function.body.block.ops)


def test_source(operations: list[Operation]) -> None:
    assert [source_of(op) for op in operations] == SOURCES
    assert described(operations[0]) == "p.mlir:3:3: arith.addf %here"


def test_what_a_rewrite_made_stands_where_its_neighbours_do(operations: list[Operation]) -> None:
    function = operations[0].parent_op()
    added = AddfOp(operations[0].results[0], operations[0].results[0])
    block = operations[0].parent
    assert block is not None
    block.insert_op_after(added, operations[0])
    assert source_of(added) == SOURCES[0]
    assert source_of(ReturnOp()) is None
    assert isinstance(function, FuncOp)
    assert source_of(function) == "p.mlir:2:1"


def test_sources_are_not_printed(operations: list[Operation]) -> None:
    function = operations[0].parent_op()
    assert function is not None
    assert "loc(" not in print_module(function)
