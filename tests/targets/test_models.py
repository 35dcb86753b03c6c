"""Whole models on AArch64 and RISC-V under qemu-user: what is integer agrees with this machine bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime
from tosaic.lowering.target import resolve_target
from tosaic.runtime.artifact import TensorInfo
from tosaic.runtime.loading import Loaded

from .device import EmulatedCpu, run_emulated

DIGITS = Path(__file__).parents[2] / "models" / "digits"
TARGETS = ["aarch64", "cortex-a76", "neoverse-v1", "riscv64", "spacemit-x60"]


def random_array(tensor: TensorInfo) -> np.ndarray:
    """Any bytes, or floats from 0 to 1."""
    shape = tuple(size or 0 for size in tensor.shape)
    rng = np.random.default_rng(0)
    return rng.integers(-128, 128, shape, np.int8) if tensor.dtype == "int8" else rng.random(shape, np.float32)


def compare(model: Path, name: str, threads: int) -> None:
    module = tosaic.importers.import_model(model)
    reference = tosaic.lowering.compile(module, devices=["cpu:1"])
    arrays = [random_array(tensor) for tensor in reference.signatures[0].inputs]
    with tosaic.runtime.load(reference) as program:
        expected = program.function(reference.signatures[0].name).run(arrays)
    target = resolve_target(name)
    artifact = tosaic.lowering.compile(module, devices=[f"cpu:{threads}"], target=target)
    for got, wanted in zip(run_emulated(artifact, target, arrays, threads=threads), expected, strict=True):
        if wanted.dtype == np.int8:
            np.testing.assert_array_equal(got, wanted)
        else:
            # Sums of other order and length, in f32, of values in [0, 1] that a softmax made.
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", TARGETS)
def test_the_integer_model_that_ships(name: str, threads: int) -> None:
    compare(DIGITS / "digits_int8.tflite", name, threads)


@pytest.mark.parametrize("name", TARGETS)
def test_the_float_model_that_ships(name: str) -> None:
    compare(DIGITS / "digits_f32.tflite", name, 1)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mobilenet_v2_int8", "mobilenet_v2_f32"])
@pytest.mark.parametrize("name", TARGETS)
def test_a_model_of_the_zoo(zoo_model: Callable[[str], Path], name: str, model: str) -> None:
    compare(zoo_model(model), name, 1)


@pytest.mark.parametrize("name", ["aarch64", "riscv64"])
def test_time_stamps(name: str) -> None:
    """Every step of every thread is stamped at its begin and, not earlier, at its end."""
    module = tosaic.importers.import_model(DIGITS / "digits_int8.tflite")
    target = resolve_target(name)
    artifact = tosaic.lowering.compile(module, devices=["cpu:2"], target=target)
    (executor,) = Loaded(artifact, artifact.variants[0], [EmulatedCpu(target, 2)]).executors(artifact)
    _, (trace,) = executor.trace([random_array(artifact.signatures[0].inputs[0])])
    begin, end = trace.seconds[..., 0], trace.seconds[..., 1]
    assert (begin > 0).all()
    assert (begin <= end).all()
    assert (end[:-1] <= begin[1:]).all()
