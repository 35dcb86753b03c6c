"""`deploy` on tensors written out on the command line: results come in the same notation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .conftest import Outcome

Deploy = Callable[..., Outcome]

PROGRAM = """
func.func @double(%x: tensor<2x3xi32>) -> tensor<2x3xi32> {
  %sum = tosa.add %x, %x : (tensor<2x3xi32>, tensor<2x3xi32>) -> tensor<2x3xi32>
  return %sum : tensor<2x3xi32>
}
func.func @both(%x: tensor<3xf32>, %y: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %sum = tosa.add %x, %y : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  %difference = tosa.sub %x, %y : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  return %sum, %difference : tensor<3xf32>, tensor<3xf32>
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.mlir"
    path.write_text(PROGRAM)
    return path


def test_results_are_written_as_inputs_are(deploy: Deploy, program: Path) -> None:
    outcome = deploy(program, "--function", "double", "--input", "2x3xi32=[[1,2,3],[-4,5,6]]")
    assert (outcome.code, outcome.out) == (0, "2x3xi32=[[2,4,6],[-8,10,12]]\n")


def test_inputs_come_in_order_and_results_one_a_line(deploy: Deploy, program: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.array([0.5, 0.25, -1], np.float32))
    outcome = deploy(program, "--function", "both", "--input", "3xf32=1", "--input", f"3xf32=@{tmp_path}/y.npy")
    assert (outcome.code, outcome.out) == (0, "3xf32=[1.5,1.25,0]\n3xf32=[0.5,0.75,2]\n")


def test_results_can_be_saved(deploy: Deploy, program: Path, tmp_path: Path) -> None:
    outcome = deploy(program, "--function", "double", "--input", "2x3xi32=1", "--output", tmp_path / "out.npz")
    assert (outcome.code, outcome.out) == (0, "")
    with np.load(tmp_path / "out.npz") as results:
        np.testing.assert_array_equal(results["output0"], np.full((2, 3), 2))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--function", "both", "--input", "3xf32=1"], "1 inputs given"),
        (["--function", "both", "--input", "3xf32=1", "--input", "y.npy"], "write all inputs as tensors, or none"),
        (["--function", "double", "--input", "2x3xf32=1"], "input 'input0' is float32[2x3]; expected"),
        (["--function", "double", "--input", "2x3xi32=[1,2"], "neither a number nor a list"),
        (["--function", "triple", "--input", "2x3xi32=1"], "the program has double, both"),
    ],
)
def test_mistakes_are_one_line(deploy: Deploy, program: Path, arguments: list[str], reason: str) -> None:
    outcome = deploy(program, *arguments)
    assert outcome.code != 0 and outcome.out == ""
    assert reason in outcome.err and len(outcome.err.splitlines()) == 1
