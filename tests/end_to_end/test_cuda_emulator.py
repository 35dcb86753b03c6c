"""PTX for GPUs: on the emulator it gives the CPU's results, and NVIDIA's assembler, where it can be had, takes it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime
from tosaic.runtime.artifact import Artifact
from tosaic.tosa.text import parse

from benchmarks.inputs import example_inputs

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "models" / "digits" / "digits_int8.tflite"

_TWO_PRODUCTS = """
device.declare @host = "cpu:1"
device.declare @gpu = "cuda-emulator"
func.func @main(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %a, %c0 : tensor<?x?xf32>
  %n = tensor.dim %b, %c1 : tensor<?x?xf32>
  %empty = tensor.empty(%m, %n) : tensor<?x?xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %first = linalg.matmul {device.affinity = @gpu}
    ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%init : tensor<?x?xf32>) -> tensor<?x?xf32>
  %second = linalg.matmul {device.affinity = @host}
    ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%init : tensor<?x?xf32>) -> tensor<?x?xf32>
  %sum = linalg.add {device.affinity = @gpu}
    ins(%first, %second : tensor<?x?xf32>, tensor<?x?xf32>) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %sum : tensor<?x?xf32>
}
"""


def _digits(*devices: str) -> Artifact:
    return tosaic.lowering.compile(tosaic.importers.import_model(DIGITS), devices)


def test_a_quantised_model_gives_the_same_integers_as_on_the_cpu() -> None:
    inputs = example_inputs(DIGITS)
    results = []
    for device in ("cpu:1", "cuda-emulator"):
        with tosaic.runtime.load(_digits(device)) as program:
            results.append(program.run(inputs))
    for emulated, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(emulated, expected)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 17, 33), (0, 3, 4), (70, 12, 40)])
def test_a_product_on_each_device_of_sizes_that_only_the_call_knows(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    random = np.random.default_rng(0)
    a, b = (random.integers(-8, 8, shape).astype(np.float32) for shape in ((m, k), (k, n)))
    with tosaic.runtime.load(tosaic.lowering.compile(parse(_TWO_PRODUCTS, "program"))) as program:
        (total,) = program.run([a, b])
    np.testing.assert_array_equal(total, 2 * a @ b)  # sums of small integers are exact


@pytest.mark.parametrize("capability", ["sm_75", "sm_80", "sm_90a"])
def test_ptxas_takes_the_ptx_and_spills_nothing(capability: str, tmp_path: Path) -> None:
    ptxas = os.environ.get("TOSAIC_PTXAS") or shutil.which("ptxas")
    if ptxas is None:
        pytest.skip("no ptxas: install nvidia-cuda-nvcc and name the program in TOSAIC_PTXAS")
    (variant,) = _digits(f"cuda-emulator@{capability}").variants
    source = tmp_path / "digits.ptx"
    source.write_bytes(variant.images[0].code)
    command = [ptxas, "-arch", capability, "-v", source, "-o", tmp_path / "digits.cubin"]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert "0 bytes spill stores" in report
    spills = [line for line in report.splitlines() if "spill" in line and "0 bytes spill stores" not in line]
    assert not spills


def test_a_capability_that_there_is_not_is_refused() -> None:
    with pytest.raises(tosaic.runtime.errors.ArgumentError, match="unknown compute capability 'sm_7'; known: sm_75"):
        _digits("cuda-emulator@sm_7")
