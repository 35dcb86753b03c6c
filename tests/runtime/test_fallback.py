"""Devices that fail while a batch runs: named, done without, and no finished sample is computed twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tosaic.runtime import load
from tosaic.runtime.compilation import Options, Source, compile_source
from tosaic.runtime.errors import DeviceLostError
from tosaic.runtime.fallback import ReliableFunction, replan_source

from . import failing_device

PROGRAM = b"""
func.func @main(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %sum = arith.addf %x, %y : tensor<4x8xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x4xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x4xf32>) -> tensor<4x4xf32>
  %transposed = tensor.empty() : tensor<8x4xf32>
  %columns = linalg.transpose ins(%y : tensor<4x8xf32>) outs(%transposed : tensor<8x4xf32>) permutation = [1, 0]
  %gram = linalg.matmul ins(%sum, %columns : tensor<4x8xf32>, tensor<8x4xf32>)
      outs(%zeros : tensor<4x4xf32>) -> tensor<4x4xf32>
  %again = tensor.empty() : tensor<4x8xf32>
  %start = linalg.fill ins(%zero : f32) outs(%again : tensor<4x8xf32>) -> tensor<4x8xf32>
  %product = linalg.matmul ins(%gram, %sum : tensor<4x4xf32>, tensor<4x8xf32>)
      outs(%start : tensor<4x8xf32>) -> tensor<4x8xf32>
  return %product : tensor<4x8xf32>
}
"""
SOURCE = Source(Path("program.mlir"), PROGRAM)


def expected(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ((x + y) @ y.T) @ (x + y)


def samples(count: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [[rng.integers(-3, 4, (4, 8)).astype(np.float32) for _ in range(2)] for _ in range(count)]


def ignore(phase: str, seconds: float) -> None:
    """The times of phases are of no interest here."""


def reliable(options: Options, report: list[str]) -> ReliableFunction:
    artifact = compile_source(SOURCE, options, None, ignore)
    return ReliableFunction(artifact, None, replan_source(SOURCE, options, ignore), report.append)


def test_a_batch_goes_on_without_the_device_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_device.install(monkeypatch, calls=3)
    report: list[str] = []
    batch = samples(6)
    with reliable(Options(devices="cpu:1,failing", place="matmul*=failing,*=cpu:1"), report) as function:
        assert [slot.name for slot in function.program.artifact.devices] == ["cpu:1", "failing"]
        results = [function.run(sample) for sample in batch]
        assert [slot.kind for slot in function.program.artifact.devices] == ["cpu"]
        assert [executable.threads for _, executable in function.program.devices] == [1]
    for (result,), sample in zip(results, batch, strict=True):
        np.testing.assert_array_equal(result, expected(*sample))
    assert report == ["device failing: the device fell off the bus: going on with cpu:1"]


def test_a_device_that_cannot_be_loaded_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_device.install(monkeypatch, calls=-1)
    report: list[str] = []
    (sample,) = samples(1)
    with reliable(Options(devices="failing,cpu:1", place="*=failing"), report) as function:
        (result,) = function.run(sample)
    np.testing.assert_array_equal(result, expected(*sample))
    assert report == ["device failing: out of memory: going on with cpu:1"]


def test_without_fallback_the_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_device.install(monkeypatch, calls=0)
    options = Options(devices="cpu:1,failing", place="matmul*=failing,*=cpu:1")
    lost = pytest.raises(DeviceLostError, match=r"^device failing: the device fell off the bus$")
    with load(compile_source(SOURCE, options, None, ignore)) as program, lost:
        program.run(samples(1)[0])


def test_the_last_device_cannot_be_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_device.install(monkeypatch, calls=0)
    with reliable(Options(devices="failing"), []) as function, pytest.raises(DeviceLostError, match="device failing"):
        function.run(samples(1)[0])
