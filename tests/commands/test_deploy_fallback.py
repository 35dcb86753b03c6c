"""`deploy --fallback`: a device that fails half way is named on standard error and the batch finished without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.runtime import failing_device

from .conftest import Outcome

Deploy = Callable[..., Outcome]
PROGRAM = """
func.func @main(%x: tensor<4xf32> {ml_program.identifier = "x"}) -> (tensor<4xf32> {ml_program.identifier = "y"}) {
  %sum = tosa.add %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %sum : tensor<4xf32>
}
"""
DEVICES = ("--devices", "cpu:1,failing", "--place", "*=failing")


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    (tmp_path / "program.mlir").write_text(PROGRAM)
    np.save(tmp_path / "x.npy", np.arange(24, dtype=np.float32).reshape(6, 4))
    return tmp_path


def test_a_batch_is_finished(deploy: Deploy, batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_device.install(monkeypatch, calls=3)
    run = ["--input", batch / "x.npy", "--output", batch / "y.npz"]
    outcome = deploy(batch / "program.mlir", *DEVICES, "--fallback", *run)
    assert (outcome.code, outcome.out) == (0, "")
    assert "device failing: the device fell off the bus: going on with cpu:1" in outcome.err
    with np.load(batch / "y.npz") as results:
        np.testing.assert_array_equal(results["y"], 2 * np.arange(24).reshape(6, 4))


def test_without_it_the_device_is_named(deploy: Deploy, batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_device.install(monkeypatch, calls=3)
    outcome = deploy(batch / "program.mlir", *DEVICES, "--input", batch / "x.npy")
    assert outcome.code != 0
    assert outcome.err.splitlines()[-1] == "deploy: device failing: the device fell off the bus"


def test_it_is_for_runs(deploy: Deploy, batch: Path) -> None:
    outcome = deploy(batch / "program.mlir", "--fallback")
    assert outcome.code == 2 and "give --input" in outcome.err
