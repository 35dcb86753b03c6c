"""GATHER, GATHER_ND, EMBEDDING_LOOKUP and ARG_MAX against LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from .tflite_builder import assert_same, single_operator


@settings(max_examples=60, deadline=None)
@given(data=st.data(), shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), constant=st.booleans())
def test_gather(data: st.DataObject, shape: list[int], constant: bool) -> None:
    """Every axis and number of batch dimensions, with constant and computed indices."""
    axis = data.draw(st.integers(0, len(shape) - 1))
    batch_dims = data.draw(st.integers(0, axis))
    index_shape = shape[:batch_dims] + data.draw(st.lists(st.integers(1, 3), max_size=2))
    x = np.arange(np.prod(shape)).reshape(shape).astype(np.float32)
    count = int(np.prod(index_shape))
    drawn = data.draw(st.lists(st.integers(0, shape[axis] - 1), min_size=count, max_size=count))
    indices = np.array(drawn, np.int32).reshape(index_shape)
    options = schema.GatherOptionsT(axis=axis, batchDims=batch_dims)
    assert_same(*single_operator("GATHER", [x, indices], np.float32, options, constants=[1] if constant else []))


@pytest.mark.parametrize("dtype", [np.int8, np.bool_])
def test_gather_of_other_types(dtype: type) -> None:
    x = (np.arange(12).reshape(3, 4) % 3).astype(dtype)
    indices = np.array([2, 0], np.int64)
    assert_same(*single_operator("GATHER", [x, indices], dtype, schema.GatherOptionsT(axis=0), constants=[1]))


@pytest.mark.parametrize("indices", [[[0, 1], [1, 2]], [[[1], [0]]], [[1, 2, 3]]])
def test_gather_nd(indices: list) -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    operands = [x, np.array(indices, np.int32)]
    assert_same(*single_operator("GATHER_ND", operands, np.float32, schema.GatherNdOptionsT()))


def test_embedding_lookup() -> None:
    table = np.arange(20, dtype=np.float32).reshape(5, 4)
    assert_same(*single_operator("EMBEDDING_LOOKUP", [np.array([3, 0, 3], np.int32), table], np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize("name", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize("axis", [1, -1])
def test_arg_max(name: str, dtype: type, axis: int) -> None:
    """Few distinct values, so that ties occur: the first of them wins."""
    x = np.random.default_rng(0).integers(-3, 3, (3, 5, 4)).astype(dtype)
    make = schema.ArgMaxOptionsT if name == "ARG_MAX" else schema.ArgMinOptionsT
    options = make(outputType=schema.TensorType.INT32)
    assert_same(*single_operator(name, [x, np.array(axis, np.int32)], np.int32, options, constants=[1]))
