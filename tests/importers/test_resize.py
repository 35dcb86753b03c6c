"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR against LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from .tflite_builder import assert_same, single_operator

EXTENTS = st.tuples(*[st.integers(1, 24)] * 4)
CENTERS = st.sampled_from([(False, False), (True, False), (False, True)])


def image(extents: tuple[int, int, int, int], dtype: type) -> list[np.ndarray]:
    height, width, *target = extents
    values = np.random.default_rng(0).integers(-128, 128, (1, height, width, 3)).astype(dtype)
    return [values, np.array(target, np.int32)]


@settings(max_examples=60, deadline=None)
@given(extents=EXTENTS, centers=CENTERS)
def test_bilinear_int8_is_exact(extents: tuple[int, int, int, int], centers: tuple[bool, bool]) -> None:
    options = schema.ResizeBilinearOptionsT(alignCorners=centers[0], halfPixelCenters=centers[1])
    model, inputs = single_operator("RESIZE_BILINEAR", image(extents, np.int8), np.int8, options, constants=[1])
    if max(extents[0] / extents[2], extents[1] / extents[3]) < 8:  # TOSA's limit is a sixteenth
        assert_same(model, inputs)


@settings(max_examples=60, deadline=None)
@given(extents=EXTENTS, centers=CENTERS)
def test_bilinear_float(extents: tuple[int, int, int, int], centers: tuple[bool, bool]) -> None:
    """LiteRT rounds source positions (up to 24, so to 2^-19) to float; ours are exact."""
    options = schema.ResizeBilinearOptionsT(alignCorners=centers[0], halfPixelCenters=centers[1])
    model, inputs = single_operator("RESIZE_BILINEAR", image(extents, np.float32), np.float32, options, constants=[1])
    if max(extents[0] / extents[2], extents[1] / extents[3]) < 8:
        assert_same(model, inputs, tolerance=4 * 2.0**-19)


@settings(max_examples=100, deadline=None)
@given(extents=EXTENTS, centers=st.tuples(st.booleans(), st.booleans()), dtype=st.sampled_from([np.float32, np.int8]))
def test_nearest_neighbor(extents: tuple[int, int, int, int], centers: tuple[bool, bool], dtype: type) -> None:
    options = schema.ResizeNearestNeighborOptionsT(alignCorners=centers[0], halfPixelCenters=centers[1])
    assert_same(*single_operator("RESIZE_NEAREST_NEIGHBOR", image(extents, dtype), dtype, options, constants=[1]))
