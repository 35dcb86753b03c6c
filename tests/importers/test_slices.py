"""SLICE, STRIDED_SLICE, SPLIT, SPLIT_V, UNPACK, PACK, CONCATENATION against LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tosaic.importers import import_model
from tosaic.runtime.errors import MalformedFileError

from .tflite_builder import assert_same, single_operator

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def counting(shape: list[int], dtype: type = np.float32) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), shape=SHAPES)
def test_slice(data: st.DataObject, shape: list[int]) -> None:
    begin = [data.draw(st.integers(0, extent - 1)) for extent in shape]
    size = [data.draw(st.sampled_from([-1, extent - start])) for start, extent in zip(begin, shape, strict=True)]
    operands = [counting(shape), np.array(begin, np.int32), np.array(size, np.int32)]
    model, inputs = single_operator("SLICE", operands, np.float32, schema.SliceOptionsT(), constants=[1, 2])
    assert_same(model, inputs)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), shape=SHAPES)
def test_strided_slice(data: st.DataObject, shape: list[int]) -> None:
    """Any begin, end and stride, with all masks but ellipsis and new axis."""
    rank = len(shape)
    begin = [data.draw(st.integers(-extent, extent - 1)) for extent in shape]
    end = [data.draw(st.integers(-extent - 1, extent + 1)) for extent in shape]
    strides = [data.draw(st.sampled_from([-3, -2, -1, 1, 2, 3])) for _ in shape]
    masks = [data.draw(st.integers(0, (1 << rank) - 1)) for _ in range(3)]
    for axis in range(rank):
        if masks[2] >> axis & 1:
            strides[axis] = 1
        else:
            first = None if masks[0] >> axis & 1 else begin[axis]
            last = None if masks[1] >> axis & 1 else end[axis]
            assume(len(range(shape[axis])[slice(first, last, strides[axis])]) > 0)
    options = schema.StridedSliceOptionsT(beginMask=masks[0], endMask=masks[1], shrinkAxisMask=masks[2])
    operands = [counting(shape), *(np.array(values, np.int32) for values in (begin, end, strides))]
    assert_same(*single_operator("STRIDED_SLICE", operands, np.float32, options, constants=[1, 2, 3]))


@pytest.mark.parametrize(
    ("begin", "options"),
    [
        ([0, 1, 0], schema.StridedSliceOptionsT(ellipsisMask=1)),
        ([0, 0, 1], schema.StridedSliceOptionsT(ellipsisMask=2)),
        ([0, 0, 1], schema.StridedSliceOptionsT(newAxisMask=1, endMask=6)),
        ([1, 0, 0], schema.StridedSliceOptionsT(newAxisMask=2, shrinkAxisMask=1)),
        ([1, 0, 0], schema.StridedSliceOptionsT(offset=True)),
    ],
)
def test_strided_slice_with_new_axes_and_ellipsis(begin: list[int], options: schema.StridedSliceOptionsT) -> None:
    end = [1, 1, 1] if options.offset else [2, 2, 2]
    operands = [counting([2, 3, 4]), *(np.array(values, np.int32) for values in (begin, end, [1, 1, 1]))]
    assert_same(*single_operator("STRIDED_SLICE", operands, np.float32, options, constants=[1, 2, 3]))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_split(axis: int) -> None:
    operands = [np.array(axis, np.int32), counting([4, 2, 6], np.int8)]
    options = schema.SplitOptionsT(numSplits=2)
    assert_same(*single_operator("SPLIT", operands, np.int8, options, constants=[0], outputs=2))


@pytest.mark.parametrize("sizes", [[1, 2, 3], [1, -1, 2]])
def test_split_v(sizes: list[int]) -> None:
    operands = [counting([2, 6]), np.array(sizes, np.int32), np.array(1, np.int32)]
    options = schema.SplitVOptionsT(numSplits=3)
    assert_same(*single_operator("SPLIT_V", operands, np.float32, options, constants=[1, 2], outputs=3))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_pack_and_unpack(axis: int) -> None:
    operands = [counting([3, 4]), 2 * counting([3, 4])]
    assert_same(*single_operator("PACK", operands, np.float32, schema.PackOptionsT(valuesCount=2, axis=axis)))
    count = 4 if axis else 3
    options = schema.UnpackOptionsT(num=count, axis=axis)
    assert_same(*single_operator("UNPACK", operands[:1], np.float32, options, outputs=count))


@pytest.mark.parametrize("axis", [0, 2, -2])
def test_concatenation(axis: int) -> None:
    shapes = [[2, 3, 4], [2, 3, 4]]
    shapes[1][axis] = 5
    options = schema.ConcatenationOptionsT(axis=axis)
    assert_same(*single_operator("CONCATENATION", [counting(shape) for shape in shapes], np.float32, options))


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.01, 2), zero_point=st.integers(0, 255), result_scale=st.floats(0.01, 2))
def test_concatenation_of_differing_scales(scale: float, zero_point: int, result_scale: float) -> None:
    """uint8 is the only type whose kernel rescales; every value of it is tried."""
    values = np.arange(256, dtype=np.uint8).reshape(1, 256)
    operands = [(values, {"scale": scale, "zero_point": zero_point}), (values, {"scale": 0.5, "zero_point": 7})]
    result = (np.uint8, {"scale": result_scale, "zero_point": 100})
    assert_same(*single_operator("CONCATENATION", operands, result, schema.ConcatenationOptionsT(axis=0)))


def test_indices_that_are_no_integers_are_refused() -> None:
    operands = [counting([4]), np.array([1.0], np.float32), np.array([3], np.int32), np.array([1], np.int32)]
    model, _ = single_operator(
        "STRIDED_SLICE", operands, np.float32, schema.StridedSliceOptionsT(), constants=[1, 2, 3]
    )
    with pytest.raises(MalformedFileError, match=r"STRIDED_SLICE.* has elements of type FLOAT32"):
        import_model(model)
