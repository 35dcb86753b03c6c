"""What a call costs: three small fully connected layers, whose arithmetic takes a fraction of a microsecond."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.importers.tflite_builder import ModelBuilder

from .measuring import measure as measure_model
from .roofline import Machine
from .subjects import Subject

WIDTHS = (64, 64, 64, 10)
"""Of the input and of each layer's result; one row, f32, each but the last with a relu."""
_ROUND_SECONDS = 0.1


def measure(subjects: Sequence[Subject], folder: Path, pythons: Mapping[str, str], machine: Machine) -> dict[str, Any]:
    """The record of the model (see `measuring`), of which "times" matter."""
    path = folder / "dense_f32.tflite"
    weights = layers()
    path.write_bytes(tflite_model(weights))
    write_onnx(weights, path.with_name("dense.onnx"))
    return measure_model(Subject(path, folder), pythons, machine, _ROUND_SECONDS, also=("tosaic_bound",))


def layers() -> list[tuple[np.ndarray, np.ndarray]]:
    """[N, K] and [N] of each layer."""
    generator = np.random.default_rng(0)
    return [
        ((generator.standard_normal((n, k)) / np.sqrt(k)).astype(np.float32), generator.random(n, np.float32))
        for k, n in itertools.pairwise(WIDTHS)
    ]


def tflite_model(weights: Sequence[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """The layers as a .tflite file."""
    model = ModelBuilder()
    first = value = model.tensor(np.float32, [1, WIDTHS[0]], name="input")
    for number, (filter, bias) in enumerate(weights, 1):
        operands = [model.tensor(np.float32, list(array.shape), data=array) for array in (filter, bias)]
        result = model.tensor(np.float32, [1, len(bias)])
        relu = schema.ActivationFunctionType.RELU if number < len(weights) else schema.ActivationFunctionType.NONE
        options = schema.FullyConnectedOptionsT(fusedActivationFunction=relu)
        model.operator("FULLY_CONNECTED", [value, *operands], [result], options)
        value = result
    return model.build([first], [value])


def write_onnx(weights: Sequence[tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """The layers as an .onnx file."""
    import onnx  # pyright: ignore[reportMissingImports]
    from onnx import TensorProto, helper, numpy_helper  # pyright: ignore[reportMissingImports]

    nodes, constants, value = [], [], "input"
    for number, (filter, bias) in enumerate(weights, 1):
        constants += [numpy_helper.from_array(filter, f"w{number}"), numpy_helper.from_array(bias, f"b{number}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{number}", f"b{number}"], [f"y{number}"], transB=1))
        value = f"y{number}"
        if number < len(weights):
            nodes.append(helper.make_node("Relu", [value], [f"z{number}"]))
            value = f"z{number}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width])
        for name, width in (("input", WIDTHS[0]), (value, WIDTHS[-1]))
    ]
    graph = helper.make_graph(nodes, "dense", [ends[0]], [ends[1]], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
