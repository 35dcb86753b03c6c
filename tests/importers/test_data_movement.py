"""Operators that permute, repeat, pad or rename, against LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
import tosaic.importers
import tosaic.tosa
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from .tflite_builder import assert_same, single_operator

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def counting(shape: list[int], dtype: type = np.float32) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), shape=SHAPES)
def test_transpose(data: st.DataObject, shape: list[int]) -> None:
    perms = np.array(data.draw(st.permutations(range(len(shape)))), np.int32)
    options = schema.TransposeOptionsT()
    assert_same(*single_operator("TRANSPOSE", [counting(shape), perms], np.float32, options, constants=[1]))


@settings(max_examples=30, deadline=None)
@given(data=st.data(), shape=SHAPES, mode=st.sampled_from([0, 1]))
def test_mirror_pad(data: st.DataObject, shape: list[int], mode: int) -> None:
    limits = [extent - 1 if mode == schema.MirrorPadMode.REFLECT else extent for extent in shape]
    padding = [[data.draw(st.integers(0, limit)) for _ in "ab"] for limit in limits]
    operands = [counting(shape), np.array(padding, np.int32)]
    options = schema.MirrorPadOptionsT(mode=mode)
    assert_same(*single_operator("MIRROR_PAD", operands, np.float32, options, constants=[1]))


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint8])
@pytest.mark.parametrize("name", ["PAD", "PADV2"])
def test_pad(name: str, dtype: type) -> None:
    """Quantised tensors are padded with their zero point, or with the given quantised value."""
    quantization = {} if dtype == np.float32 else {"scale": 0.5, "zero_point": 3}
    padding = np.array([[1, 2], [0, 3], [0, 0]], np.int64)
    operands: list = [(counting([2, 3, 2], dtype), quantization), padding]
    if name == "PADV2":
        operands.append((np.array([9], dtype), quantization))
    options = schema.PadOptionsT() if name == "PAD" else schema.PadV2OptionsT()
    constants = range(1, len(operands))
    assert_same(*single_operator(name, operands, (dtype, quantization), options, constants=list(constants)))


@pytest.mark.parametrize("name", ["DEPTH_TO_SPACE", "SPACE_TO_DEPTH"])
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_depth_and_space(name: str, dtype: type) -> None:
    make = schema.DepthToSpaceOptionsT if name == "DEPTH_TO_SPACE" else schema.SpaceToDepthOptionsT
    assert_same(*single_operator(name, [counting([2, 4, 6, 8], dtype)], dtype, make(blockSize=2)))


@pytest.mark.parametrize("axes", [[0], [1], [2]])
def test_reverse(axes: list[int]) -> None:
    operands = [counting([2, 3, 4]), np.array(axes, np.int32)]
    assert_same(*single_operator("REVERSE_V2", operands, np.float32, schema.ReverseV2OptionsT(), constants=[1]))


def test_tile_and_broadcast() -> None:
    operands = [counting([2, 1, 3]), np.array([2, 3, 1], np.int32)]
    assert_same(*single_operator("TILE", operands, np.float32, schema.TileOptionsT(), constants=[1]))
    operands = [counting([2, 1, 3]), np.array([4, 2, 5, 3], np.int32)]
    options = schema.BroadcastToOptionsT()
    assert_same(*single_operator("BROADCAST_TO", operands, np.float32, options, constants=[1], version=2))


def test_fill() -> None:
    operands = [np.array([2, 3], np.int32), np.array(7.5, np.float32)]
    assert_same(*single_operator("FILL", operands, np.float32, schema.FillOptionsT(), constants=[0]))


@pytest.mark.parametrize(("name", "condition"), [("SELECT", [2]), ("SELECT", [2, 3]), ("SELECT_V2", [1, 3])])
def test_select(name: str, condition: list[int]) -> None:
    """The condition of SELECT may be a vector that chooses rows; that of SELECT_V2 broadcasts."""
    chosen = np.arange(np.prod(condition)).reshape(condition) % 2 == 0
    options = schema.SelectOptionsT() if name == "SELECT" else schema.SelectV2OptionsT()
    assert_same(*single_operator(name, [chosen, counting([2, 3]), -counting([2, 3])], np.float32, options))


@pytest.mark.parametrize("target", [[6, 4], [2, -1, 2], [-1], [1, 24, 1]])
def test_reshape(target: list[int]) -> None:
    operands = [counting([2, 3, 4]), np.array(target, np.int32)]
    options = schema.ReshapeOptionsT(newShape=target)
    assert_same(*single_operator("RESHAPE", operands, np.float32, options, constants=[1]))
    assert_same(*single_operator("RESHAPE", operands[:1], np.float32, options))


@pytest.mark.parametrize(("target", "grown"), [([1, 4, 3], [5, 4, 3]), ([6, 2], [30, 2]), ([1, 1, 12], [5, 1, 12])])
def test_fixed_shapes_follow_a_greater_batch(target: list[int], grown: list[int]) -> None:
    """LiteRT refuses such a model: what counts is that every sample becomes what it becomes alone."""
    one, many = counting([1, 3, 4]), counting([5, 3, 4])
    data, _ = single_operator("RESHAPE", [one, np.array(target, np.int32)], np.float32, constants=[1])
    module = tosaic.importers.import_model(data, shapes=[many.shape])
    (found,) = tosaic.tosa.evaluate(module, "main", [many])
    assert list(found.shape) == grown
    np.testing.assert_array_equal(found, np.concatenate([sample.reshape(target) for sample in many]))


@pytest.mark.parametrize("dims", [[], [0], [-1, 2]])
def test_squeeze(dims: list[int]) -> None:
    options = schema.SqueezeOptionsT(squeezeDims=dims)
    assert_same(*single_operator("SQUEEZE", [counting([1, 3, 1, 2, 1])], np.float32, options))


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_expand_dims(axis: int) -> None:
    operands = [counting([3, 4]), np.array(axis, np.int32)]
    assert_same(*single_operator("EXPAND_DIMS", operands, np.float32, schema.ExpandDimsOptionsT(), constants=[1]))


def test_shape_and_rank() -> None:
    x = counting([2, 3, 4])
    assert_same(*single_operator("SHAPE", [x], np.int32, schema.ShapeOptionsT(outType=schema.TensorType.INT32)))
    assert_same(*single_operator("RANK", [x], np.int32, schema.RankOptionsT()))


def test_zeros_like() -> None:
    assert_same(*single_operator("ZEROS_LIKE", [counting([2, 3])], np.float32, schema.ZerosLikeOptionsT()))


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_space_to_batch_and_back(dtype: type) -> None:
    """Padding of quantised images holds their zero point."""
    quantization = {} if dtype == np.float32 else {"scale": 0.5, "zero_point": 3}
    image = (counting([2, 3, 5, 2], dtype), quantization)
    blocks = [np.array([2, 3], np.int32), np.array([[1, 0], [0, 1]], np.int32)]
    options = schema.SpaceToBatchNDOptionsT()
    assert_same(
        *single_operator("SPACE_TO_BATCH_ND", [image, *blocks], (dtype, quantization), options, constants=[1, 2])
    )
    image = (counting([12, 2, 2, 2], dtype), quantization)
    options = schema.BatchToSpaceNDOptionsT()
    assert_same(
        *single_operator("BATCH_TO_SPACE_ND", [image, *blocks], (dtype, quantization), options, constants=[1, 2])
    )


@pytest.mark.parametrize("indices", [[[2], [0]], [[1, 2], [0, 0]]])
def test_scatter_nd(indices: list) -> None:
    shape = [3, 4, 2]
    updates = 1 + counting([2, *shape[len(indices[0]) :]])
    operands = [np.array(indices, np.int32), updates, np.array(shape, np.int32)]
    assert_same(*single_operator("SCATTER_ND", operands, np.float32, schema.ScatterNdOptionsT(), constants=[0, 2]))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(axis: int) -> None:
    """Indices out of range choose nothing."""
    scalars = [np.array(4, np.int32), np.array(2.5, np.float32), np.array(-1, np.float32)]
    operands = [np.array([[0, 3], [2, 7]], np.int32), *scalars]
    options = schema.OneHotOptionsT(axis=axis)
    assert_same(*single_operator("ONE_HOT", operands, np.float32, options, constants=[1, 2, 3]))
