"""`deploy --emit object,header`: what it writes is enough for a C program to run the model."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .conftest import Outcome

Deploy = Callable[..., Outcome]
PROGRAM = """
func.func @scale(%x: tensor<2x3xf32> {ml_program.identifier = "x"}) -> (tensor<2x3xf32> {ml_program.identifier = "y"}) {
  %sum = tosa.add %x, %x : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return %sum : tensor<2x3xf32>
}
"""
MAIN = """
#include <stdio.h>
#include "scale.h"

static _Alignas(SCALE_ALIGNMENT) unsigned char workspace[SCALE_SCALE_WORKSPACE_BYTES + 1];

int main(void) {
  const float x[6] = {1, 2, 3, 4, 5, 6.5f};
  float y[6];
  if (scale_scale(x, y, workspace) != 0) return 1;
  for (int i = 0; i < 6; i++) printf("%g ", y[i]);
  return 0;
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.mlir"
    path.write_text(PROGRAM)
    return path


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_c_program_runs_what_was_emitted(deploy: Deploy, program: Path, tmp_path: Path) -> None:
    outcome = deploy(program, "--emit", "object,header", "-o", tmp_path / "scale")
    assert outcome.code == 0 and outcome.out == ""
    (tmp_path / "main.c").write_text(MAIN)
    subprocess.run(["cc", "-std=c11", "main.c", "scale.o", "-o", "main"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    np.testing.assert_array_equal(np.array(printed.split(), np.float32), [2, 4, 6, 8, 10, 13])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--emit", "object"], "--emit needs -o"),
        (["--emit", "assembly", "-o", "x"], "--emit 'assembly' is not known; it takes object, header, ptx"),
        (["--emit", "ptx", "-o", "x"], "--emit ptx writes the code of one CUDA device; of cpu, 0 have such code"),
        (["--emit", "object", "-o", "x", "--target", "x86-64-v2,x86-64-v3"], "an object file is for one target"),
    ],
)
def test_mistakes_are_one_line(deploy: Deploy, program: Path, arguments: list[str], reason: str) -> None:
    outcome = deploy(program, *arguments)
    assert outcome.code == 2
    assert reason in outcome.err.splitlines()[-1]


def test_ptx_of_a_cuda_device(deploy: Deploy, program: Path, tmp_path: Path) -> None:
    outcome = deploy(program, "--devices", "cuda-emulator@sm_80", "--emit", "ptx", "-o", tmp_path / "scale")
    assert outcome.code == 0, outcome.err
    text = (tmp_path / "scale.ptx").read_text()
    assert ".target sm_80" in text and ".entry launch_" in text
    assert not (tmp_path / "scale.o").exists()
