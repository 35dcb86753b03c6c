"""Whole models from the .tflite to the results: int8 bit for bit LiteRT's reference kernels, f32 at least as exact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime
import tosaic.tosa
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from xdsl.dialects.func import FuncOp

from benchmarks.inputs import example_inputs
from tests.importers.test_quantized_models import ABORTING_SOFTMAX, with_all_results

ROOT = Path(__file__).resolve().parents[2]
ZOO_FAST = ["mobilenet_v1_f32", "mobilenet_v2_f32", "mobilenet_v3_small_f32", "unet_128_f32", "bert_mini_f32"]
ZOO_FAST_INT8 = ["mobilenet_v1_int8", "mobilenet_v2_int8", "mobilenet_v3_small_int8", "unet_128_int8"]
ZOO_SLOW = ["resnet50_f32", "efficientnet_b0_f32", "ssd_mnv2_320_raw_f32", "mobilenet_v2_f16"]
ZOO_SLOW_INT8 = ["resnet50_int8", "efficientnet_b0_int8", "ssd_mnv2_320_raw_int8", "bert_mini_int8"]
ZOO_HYBRID = ["mobilenet_v2_dyn", "bert_mini_dyn"]


def run_litert(model: Path, inputs: list[np.ndarray], resolver: OpResolverType) -> list[np.ndarray]:
    """Outputs in the order of the model's main subgraph."""
    interpreter = Interpreter(str(model), experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]


def run_tosaic(model: Path, inputs: list[np.ndarray], threads: int) -> list[np.ndarray]:
    """Outputs through import, every lowering phase and the native code of this machine."""
    artifact = tosaic.lowering.compile(tosaic.importers.import_model(model), devices=[f"cpu:{threads}"])
    with tosaic.runtime.load(artifact) as program:
        return program.run(inputs)


def relative_error(actual: np.ndarray, exact: np.ndarray) -> float:
    """Root mean square of the error over the root mean square of the exact values."""
    difference = actual.astype(np.float64) - exact
    return float(np.sqrt(np.mean(difference**2)) / max(np.sqrt(np.mean(exact**2)), 1e-30))


def check_bit_for_bit(model: Path, threads: int) -> None:
    inputs = example_inputs(model)
    expected = run_litert(model, inputs, OpResolverType.BUILTIN_REF)
    for actual, reference in zip(run_tosaic(model, inputs, threads), expected, strict=True):
        np.testing.assert_array_equal(actual, reference)


def check_as_exact_as_litert(model: Path, threads: int, samples: int = 10) -> None:
    """Our error, as a mean over `samples` inputs, is no larger than LiteRT's, with XNNPACK or with reference kernels.

    Few inputs would compare luck: the errors of all engines are a few roundings, and vary by a factor of three where
    results are small.
    """
    module = tosaic.importers.import_model(model)
    (function,) = (op.sym_name.data for op in module.ops if isinstance(op, FuncOp))
    ours: list[list[float]] = []
    peers: dict[OpResolverType, list[list[float]]] = {OpResolverType.AUTO: [], OpResolverType.BUILTIN_REF: []}
    artifact = tosaic.lowering.compile(module.clone(), devices=[f"cpu:{threads}"])
    with tosaic.runtime.load(artifact) as program:
        for seed in range(samples):
            inputs = example_inputs(model, seed)
            exact = tosaic.tosa.evaluate(module, function, inputs, float64=True)
            ours.append([relative_error(*pair) for pair in zip(program.run(inputs), exact, strict=True)])
            for resolver, errors in peers.items():
                results = run_litert(model, inputs, resolver)
                errors.append([relative_error(*pair) for pair in zip(results, exact, strict=True)])
    bound = np.maximum(*(np.mean(errors, axis=0) for errors in peers.values()))
    assert (np.mean(ours, axis=0) <= bound).all(), f"{model.name}: {np.mean(ours, axis=0)}, LiteRT {bound}"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["f32", "int8"])
def test_digits_that_ship(kind: str, threads: int) -> None:
    model = ROOT / "models" / "digits" / f"digits_{kind}.tflite"
    if kind == "int8":
        check_bit_for_bit(model, threads)
    else:
        check_as_exact_as_litert(model, threads, samples=20)


@pytest.mark.parametrize("name", [*ZOO_FAST_INT8, *(pytest.param(n, marks=pytest.mark.slow) for n in ZOO_SLOW_INT8)])
def test_int8_zoo_is_bit_for_bit_the_reference(name: str, zoo_model: Callable[[str], Path], tmp_path: Path) -> None:
    model = zoo_model(name)
    if name.removesuffix("_int8") in ABORTING_SOFTMAX:
        shortened = tmp_path / model.name
        shortened.write_bytes(with_all_results(model, leave_out_last=True))
        model = shortened
    check_bit_for_bit(model, threads=2)


@pytest.mark.parametrize("name", [*ZOO_FAST, *(pytest.param(n, marks=pytest.mark.slow) for n in ZOO_SLOW)])
def test_f32_zoo_is_as_exact_as_litert(name: str, zoo_model: Callable[[str], Path]) -> None:
    check_as_exact_as_litert(zoo_model(name), threads=2)


@pytest.mark.parametrize("name", ZOO_HYBRID)
def test_dynamic_range_is_as_exact_as_litert(name: str, zoo_model: Callable[[str], Path]) -> None:
    """Beside the same model in f32, as a mean over ten inputs, for which a fifth more is luck.

    LiteRT's results are no oracle of ours: one activation that f32 rounds otherwise just between two steps is a whole
    step away, and each further layer makes more of it.
    """
    model, real = zoo_model(name), zoo_model(name.replace("_dyn", "_f32"))
    artifact = tosaic.lowering.compile(tosaic.importers.import_model(model), devices=["cpu:2"])
    errors: list[list[tuple[float, float]]] = []
    with tosaic.runtime.load(artifact) as program:
        for seed in range(10):
            inputs = example_inputs(model, seed)
            exact = run_litert(real, inputs, OpResolverType.AUTO)
            reference = run_litert(model, inputs, OpResolverType.BUILTIN_REF)
            results = zip(program.run(inputs), reference, exact, strict=True)
            errors.append([(relative_error(ours, f32), relative_error(theirs, f32)) for ours, theirs, f32 in results])
    ours, litert = np.moveaxis(np.mean(errors, axis=0), -1, 0)
    assert (ours <= 1.2 * litert).all(), f"{name}: {ours}, LiteRT {litert}"


@pytest.mark.parametrize("name", ["mobilenet_v2_int8", pytest.param("bert_mini_int8", marks=pytest.mark.slow)])
def test_a_batch_is_its_samples(name: str, zoo_model: Callable[[str], Path]) -> None:
    """Models made for one sample, of whose shapes some are written out, take several at once."""
    model = zoo_model(name)
    samples = [example_inputs(model, seed) for seed in range(3)]
    batch = [np.concatenate(arrays) for arrays in zip(*samples, strict=True)]
    module = tosaic.importers.import_model(model, shapes=[array.shape for array in batch])
    with tosaic.runtime.load(tosaic.lowering.compile(module, devices=["cpu:2"])) as program:
        together = program.run(batch)
    for index, inputs in enumerate(samples):
        for whole, alone in zip(together, run_tosaic(model, inputs, threads=2), strict=True):
            np.testing.assert_array_equal(whole[index : index + 1], alone)


def test_real_models(shared_models: Path) -> None:
    manifest = json.loads((shared_models / "manifest.json").read_text())
    first = [entry["file"] for entry in manifest if entry["first"]]
    assert first
    for file in first:
        check_as_exact_as_litert(shared_models / file, threads=2)
