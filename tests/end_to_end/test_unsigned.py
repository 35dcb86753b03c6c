"""A uint8 model is uint8 to its users, though TOSA and everything below it compute on signed integers."""

from __future__ import annotations

import numpy as np
import tosaic.importers
import tosaic.lowering
import tosaic.runtime
from ai_edge_litert import schema_py_generated as schema

from tests.importers.tflite_builder import ModelBuilder, run_reference


def test_uint8_in_and_out() -> None:
    model = ModelBuilder()
    quantization = {"scale": 0.5, "zero_point": 128}
    x, y = (model.tensor(np.uint8, [2, 3], name=name, **quantization) for name in "xy")
    model.operator("ADD", [x, x], [y], schema.AddOptionsT())
    data = model.build([x], [y])
    array = np.array([[0, 1, 127], [128, 254, 255]], np.uint8)
    artifact = tosaic.lowering.compile(tosaic.importers.import_model(data), devices=["cpu:1"])
    with tosaic.runtime.load(artifact) as program:
        (result,) = program.run([array])
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, run_reference(data, [array])[0])
