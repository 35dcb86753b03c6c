"""Plans name every dispatch with its device, what flows between, and times; pictures are whole documents."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from tosaic.importers import import_model
from tosaic.lowering import compile
from tosaic.runtime import load
from tosaic.runtime.api import Program
from tosaic.runtime.measure import example_inputs, profile
from tosaic.runtime.plan import HOST, Plan, make_plan
from tosaic.runtime.plan_report import describe_placement, picture, save_picture
from tosaic.runtime.rates import Rates
from tosaic.tosa.text import parse

DIGITS = Path(__file__).resolve().parents[2] / "models" / "digits" / "digits_f32.tflite"
DEVICES = ["cpu@x86-64-v3:1", "cpu@x86-64-v2:1"]
RATES = Rates({"float32": 1e11}, 1e10, {"float32": 1e10}, 1e10, 1e-6, 2e-5)

CHAIN = """
func.func @main(%x: tensor<8x8xf32>, %y: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %sum = arith.addf %x, %y {device.affinity = @"cpu:1#1"} : tensor<8x8xf32>
  %product = arith.mulf %x, %y {device.affinity = @"cpu:1#2"} : tensor<8x8xf32>
  %both = arith.divf %sum, %product {device.affinity = @"cpu:1#1"} : tensor<8x8xf32>
  return %both : tensor<8x8xf32>
}
"""


@pytest.fixture(scope="module")
def digits() -> Iterator[Program]:
    artifact = compile(import_model(DIGITS), DEVICES, place=f"conv*={DEVICES[1]},*={DEVICES[0]}")
    with load(artifact) as program:
        yield program


def test_the_graph_of_a_small_program_is_what_it_says() -> None:
    with load(compile(parse(CHAIN), ["cpu:1", "cpu:1"])) as program:
        plan = make_plan(program, program.main)
    *dispatches, x, y, output = plan.nodes
    assert [node.text for node in (x, y, output)] == [
        "input input0: float32[8x8]",
        "input input1: float32[8x8]",
        "output output0: float32[8x8]",
    ]
    assert [node.device for node in dispatches] == ["cpu:1#2", "cpu:1#1"], "the sum is part of the quotient"
    assert {(edge.source, edge.target) for edge in plan.edges} == {(2, 0), (3, 0), (2, 1), (3, 1), (0, 1), (1, 4)}
    assert [(edge.source, edge.target, edge.size) for edge in plan.edges if edge.transfer] == [(0, 1, 256)]


def test_predictions_stand_beside_measurements(digits: Program) -> None:
    function = digits.main
    measured = profile(function.executor, example_inputs(function.inputs), runs=2)
    plan = make_plan(digits, function, dict.fromkeys(DEVICES, RATES), measured)
    dispatches = [node for node in plan.nodes if node.step is not None]
    assert all(node.predicted is not None and node.predicted >= RATES.dispatch for node in dispatches)
    assert all(node.measured is not None and node.measured > 0 for node in dispatches)
    assert {node.device for node in dispatches if node.text.startswith("conv_2d")} == {DEVICES[1]}
    table = describe_placement(plan)
    assert len(table.splitlines()) == 2 + len(dispatches) + 3
    assert f"from {DEVICES[1]}" in table


def test_every_value_that_is_read_is_made(digits: Program) -> None:
    plan = make_plan(digits, digits.main)
    read = {edge.target for edge in plan.edges}
    assert read == {number for number, node in enumerate(plan.nodes) if not node.text.startswith("input")}
    assert all(edge.source < edge.target or plan.nodes[edge.source].device == HOST for edge in plan.edges)


def test_a_picture_is_one_file_that_needs_nothing_else(digits: Program, tmp_path: Path) -> None:
    plan = make_plan(digits, digits.main)
    save_picture([plan], tmp_path / "plan.html")
    text = (tmp_path / "plan.html").read_text()
    root = ElementTree.fromstring(text.partition("\n")[2].replace('<meta charset="utf-8">', ""))
    svg = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{svg}rect")) == len(plan.nodes)
    assert len(root.findall(f".//{svg}path")) == len(plan.edges)
    assert len(root.findall(f".//{svg}path[@class='transfer']")) == sum(edge.transfer for edge in plan.edges) > 0
    assert "<script" not in text and "http" not in text.replace("http://www.w3.org/2000/svg", "")
    colours = {rect.get("fill") for rect in root.findall(f".//{svg}rect")}
    assert len(colours) == 3, "two devices and the host"


def test_names_are_escaped() -> None:
    plan = Plan("a<b>&c")
    assert "a&lt;b&gt;&amp;c" in picture([plan])
