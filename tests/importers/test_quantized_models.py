"""Whole int8 models: every tensor that an operator computes is bit for bit what LiteRT's reference kernels compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tosaic.importers
import tosaic.tosa
from ai_edge_litert import schema_py_generated as schema
from xdsl.dialects.func import FuncOp

from benchmarks.inputs import example_inputs
from tests.importers.tflite_builder import Array, run_reference

ROOT = Path(__file__).resolve().parents[2]
ZOO = [
    "bert_mini",
    "efficientnet_b0",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "resnet50",
    "ssd_mnv2_320_raw",
    "unet_128",
]
ABORTING_SOFTMAX = {"mobilenet_v3_small"}
"""Models whose 1,000 logits are so alike that LiteRT's reference aborts in their last operator, SOFTMAX: its sum of
exponentials must stay below 512. See test_softmax_of_many_equal_values for what we do instead."""


def with_all_results(path: Path, leave_out_last: bool) -> bytes:
    """The model with the results of all its operators as outputs, so that no difference hides behind a later one."""
    data = bytearray(path.read_bytes())
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    (graph,) = model.subgraphs or []
    operators = graph.operators or []
    graph.operators = operators[:-1] if leave_out_last else operators
    graph.outputs = [int(index) for operator in graph.operators for index in operator.outputs or []]
    model.signatureDefs = []
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run_module(model: bytes, inputs: list[Array]) -> list[Array]:
    module = tosaic.importers.import_model(model)
    (function,) = (op for op in module.ops if isinstance(op, FuncOp))
    return tosaic.tosa.evaluate(module, function.sym_name.data, inputs)


def check_every_tensor(path: Path, leave_out_last: bool = False) -> None:
    model, inputs = with_all_results(path, leave_out_last), example_inputs(path, seed=1)
    references, results = run_reference(model, inputs), run_module(model, inputs)
    assert len(references) == len(results) > 0
    for position, (ours, reference) in enumerate(zip(results, references, strict=True)):
        ours = ours.view(reference.dtype) if reference.dtype == np.uint8 else ours
        np.testing.assert_array_equal(ours, reference, err_msg=f"result {position} of the model's operators")


@pytest.mark.parametrize("name", ZOO)
def test_zoo(name: str, zoo_model: Callable[[str], Path]) -> None:
    check_every_tensor(zoo_model(f"{name}_int8"), leave_out_last=name in ABORTING_SOFTMAX)


def test_model_that_ships() -> None:
    check_every_tensor(ROOT / "models" / "digits" / "digits_int8.tflite")
