"""Whole models on the emulated GPU, and split over it and the CPU: integers as on the CPU, floats close to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime

from benchmarks.inputs import example_inputs

pytestmark = pytest.mark.slow

ZooModel = Callable[[str], Path]

INTEGER = ["mobilenet_v2_int8", "resnet50_int8", "unet_128_int8", "bert_mini_int8"]
SPLIT = "cpu:1,cuda-emulator"
PLACES = "matmul*=cuda-emulator,*=cpu:1"
"""Pointwise convolutions and fully connected layers on the GPU, the rest on the CPU: many transfers both ways."""

F32_ROUNDING = 2.0**-24


def run(model: Path, devices: str, place: str | None = None, precision: str | None = None) -> list[np.ndarray]:
    module = tosaic.importers.import_model(model)
    artifact = tosaic.lowering.compile(module, devices.split(","), place=place, precision=precision)
    if place is not None:
        kinds = {slot.kind for slot in artifact.devices}
        images = artifact.variants[0].images
        assert kinds == {"cpu", "cuda-emulator"} and all(image.segments for image in images), "it is not split"
    with tosaic.runtime.load(artifact) as program:
        return [np.asarray(result) for result in program.run(example_inputs(model))]


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize(("devices", "place"), [("cuda-emulator", None), (SPLIT, PLACES)])
def test_integer_models_bit_for_bit(zoo_model: ZooModel, name: str, devices: str, place: str | None) -> None:
    model = zoo_model(name)
    for got, expected in zip(run(model, devices, place), run(model, "cpu:1"), strict=True):
        np.testing.assert_array_equal(got, expected)


def spread(got: np.ndarray, expected: np.ndarray) -> float:
    """The root of the mean square of the differences, over the standard deviation of what is expected."""
    wide = expected.astype(np.float64)
    return float(np.sqrt(np.mean((got - wide) ** 2)) / np.std(wide))


@pytest.mark.parametrize(("devices", "place"), [("cuda-emulator", None), (SPLIT, PLACES)])
@pytest.mark.parametrize("name", ["mobilenet_v2_f32", "unet_128_f32"])
def test_f32_on_cuda_cores(zoo_model: ZooModel, name: str, devices: str, place: str | None) -> None:
    """Sums in another order: each of some 60 layers adds rounding errors of sums of 1000 terms or fewer, which grow
    with the root of their number (Higham, "Accuracy and Stability of Numerical Algorithms", section 2.8)."""
    model = zoo_model(name)
    bound = 2 * F32_ROUNDING * np.sqrt(1000 * 60)
    for got, expected in zip(run(model, devices, place), run(model, "cpu:1"), strict=True):
        assert spread(got, expected) < bound


@pytest.mark.parametrize(
    ("name", "kinds"), [("resnet50_f32", ["max_pool*", "matmul 49x512*"]), ("bert_base_f32", ["attention*"])]
)
def test_f32_of_large_models_split(zoo_model: ZooModel, name: str, kinds: list[str]) -> None:
    """Parts of them on CUDA cores; all of their products there would take the emulator half an hour and more."""
    model = zoo_model(name)
    place = ",".join([*(f"{kind}=cuda-emulator" for kind in kinds), "*=cpu:1"])
    bound = 2 * F32_ROUNDING * np.sqrt(2048 * 60)
    for got, expected in zip(run(model, SPLIT, place), run(model, "cpu:1"), strict=True):
        assert spread(got, expected) < bound


@pytest.mark.parametrize("name", ["resnet50_f32", "bert_base_f32"])
def test_f32_as_tf32_on_tensor_cores(zoo_model: ZooModel, name: str) -> None:
    """Operands keep 11 bits, where bf16 keeps 8: how a model carries errors of rounding on is its own, but those of
    tf32 are an eighth of those of bf16. Half of that is required, as each is one sample."""
    model = zoo_model(name)
    exact, coarse = run(model, "cpu:1"), run(model, "cpu:1", precision="bf16")
    for got, expected, rounded in zip(run(model, "cuda-emulator", precision="tf32"), exact, coarse, strict=True):
        assert spread(got, expected) < spread(rounded, expected) / 4
