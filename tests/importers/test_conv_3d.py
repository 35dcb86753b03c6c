"""CONV_3D against LiteRT's reference kernel."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.runtime.errors import UnsupportedError

from tests.importers.quantized_data import seeds
from tests.importers.tflite_builder import assert_same, run_imported, single_operator


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([0, 1]), st.tuples(*[st.integers(1, 3)] * 3), st.tuples(*[st.integers(1, 2)] * 3))
def test_conv_3d(seed: int, padding: int, stride: tuple[int, ...], dilation: tuple[int, ...]) -> None:
    """Operands are small integers, of which every sum is exact."""
    rng = np.random.default_rng(seed)
    operands = [rng.integers(-4, 5, shape).astype(np.float32) for shape in ([2, 5, 7, 6, 3], [3, 2, 3, 3, 4], [4])]
    options = schema.Conv3DOptionsT(
        padding=padding,
        strideD=stride[0],
        strideH=stride[1],
        strideW=stride[2],
        dilationDFactor=dilation[0],
        dilationHFactor=dilation[1],
        dilationWFactor=dilation[2],
        fusedActivationFunction=1,
    )
    assert_same(*single_operator("CONV_3D", operands, np.float32, options, constants=[1, 2]))


def test_quantised_conv_3d_is_unsupported() -> None:
    x, weight = (np.zeros(shape, np.int8) for shape in ([1, 2, 2, 2, 3], [1, 1, 1, 3, 4]))
    parameters = {"scale": 0.5, "zero_point": 0}
    options = schema.Conv3DOptionsT(strideD=1, strideH=1, strideW=1)
    model, arrays = single_operator(
        "CONV_3D", [(x, parameters), (weight, parameters)], (np.int8, parameters), options, constants=[1]
    )
    with pytest.raises(UnsupportedError, match="quantised CONV_3D; float is supported"):
        run_imported(model, arrays)
