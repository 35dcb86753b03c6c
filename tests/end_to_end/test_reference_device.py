"""The device `reference`: hand-written programs as on the CPU, and of quantised models the same integers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime

from benchmarks.inputs import example_inputs

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "models" / "digits" / "digits_int8.tflite"


def run(model: Path, devices: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    artifact = tosaic.lowering.compile(tosaic.importers.import_model(model), [devices])
    with tosaic.runtime.load(artifact) as program:
        return program.run(inputs)


def assert_same_on_both(model: Path) -> None:
    inputs = example_inputs(model)
    for reference, cpu in zip(run(model, "reference", inputs), run(model, "cpu", inputs), strict=True):
        np.testing.assert_array_equal(reference, cpu)


@pytest.mark.parametrize(
    "devices",
    [
        "cuda-emulator",
        pytest.param("reference", marks=pytest.mark.slow),
        pytest.param("cpu:1,reference", marks=pytest.mark.slow),
    ],
)
def test_hand_written_programs(devices: str) -> None:
    """All tests of `tests/programs`, on other devices."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ROOT / "tests" / "programs"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "TOSAIC_TEST_DEVICES": devices}, check=True, timeout=1200)


def test_digits() -> None:
    assert_same_on_both(DIGITS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v1_int8", "mobilenet_v2_int8", "mobilenet_v3_small_int8"])
def test_quantised_models_of_the_zoo(zoo_model: Callable[[str], Path], name: str) -> None:
    assert_same_on_both(zoo_model(name))
