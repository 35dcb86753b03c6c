from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.tosa_to_linalg.builder import CannotLower
from tosaic.lowering.tosa_to_linalg.reshape import pair_dimensions
from tosaic.tosa import dialect as tosa

from .equivalence import check_exact, constant, floats, names, seeds, shape

extents = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Two shapes made of the same prime factors in the same order, grouped differently."""
    factors = draw(st.lists(st.sampled_from([2, 3, 5]), max_size=4))

    def grouped() -> list[int]:
        shape: list[int] = []
        for factor in factors:
            if shape and draw(st.booleans()):
                shape[-1] *= factor
            else:
                shape.append(factor)
            if draw(st.integers(0, 4)) == 0:
                shape.append(1)
        return shape

    return grouped(), grouped()


@settings(max_examples=80, deadline=None)
@given(reshapes(), seeds)
def test_reshape(shapes: tuple[list[int], list[int]], seed: int) -> None:
    source, target = shapes
    after = check_exact([floats(seed, *source), shape(*target)], tosa.ReshapeOp)
    assert set(names(after)) <= {"tensor.collapse_shape", "tensor.expand_shape", "func.return"}


@pytest.mark.parametrize("target", [[], [1], [1, 1, 1]])
@pytest.mark.parametrize("source", [[], [1], [1, 1]])
def test_reshape_of_one_element(source: list[int], target: list[int]) -> None:
    check_exact([floats(0, *source), shape(*target)], tosa.ReshapeOp)


@settings(max_examples=80, deadline=None)
@given(reshapes())
def test_paired_dimensions_hold_the_same_elements(shapes: tuple[list[int], list[int]]) -> None:
    source, target = shapes
    pairs = pair_dimensions(source, target)
    if source and target:
        assert [dim for left, _ in pairs for dim in left] == list(range(len(source)))
        assert [dim for _, right in pairs for dim in right] == list(range(len(target)))
    for left, right in pairs:
        assert math.prod(source[dim] for dim in left) == math.prod(target[dim] for dim in right)


@pytest.mark.parametrize(
    ("source", "target", "pairs"),
    [
        ([-1, 7, 7, 3], [-1, 147], [([0], [0]), ([1, 2, 3], [1])]),
        ([-1, 1, 1, 8], [-1, 8], [([0], [0]), ([1, 2, 3], [1])]),
        ([4, -1], [2, 2, -1], [([0], [0, 1]), ([1], [2])]),
        ([0, 3], [3, 0, 5], [([0, 1], [0, 1, 2])]),
    ],
)
def test_dynamic_and_empty_dimensions_are_paired(
    source: list[int], target: list[int], pairs: list[tuple[list[int], list[int]]]
) -> None:
    assert pair_dimensions(source, target) == pairs


def test_a_dynamic_extent_that_changes_cannot_be_paired() -> None:
    with pytest.raises(CannotLower, match="--shape"):
        pair_dimensions([-1, 4], [-1, 2])


@settings(max_examples=40, deadline=None)
@given(st.data(), extents, seeds)
def test_transpose(data: st.DataObject, source: list[int], seed: int) -> None:
    perms = data.draw(st.permutations(range(len(source))))
    check_exact([floats(seed, *source)], lambda x: tosa.TransposeOp(x, perms))


def test_moving_only_extents_of_one_is_a_view() -> None:
    after = check_exact([floats(1, 1, 5, 1, 3)], lambda x: tosa.TransposeOp(x, [1, 0, 3, 2]))
    assert names(after) == ["tensor.collapse_shape", "tensor.expand_shape", "func.return"]


@settings(max_examples=30, deadline=None)
@given(extents, st.integers(0, 3), seeds)
def test_reverse(source: list[int], axis: int, seed: int) -> None:
    check_exact([floats(seed, *source)], lambda x: tosa.ReverseOp(x, axis % len(source)))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4), seeds)
def test_tile(pairs: Sequence[tuple[int, int]], seed: int) -> None:
    source, multiples = zip(*pairs, strict=True)
    check_exact([floats(seed, *source), shape(*multiples)], tosa.TileOp)


@settings(max_examples=30, deadline=None)
@given(extents, st.integers(0, 3), st.lists(st.integers(1, 3), min_size=1, max_size=3), seeds)
def test_concat(source: list[int], axis: int, sizes: list[int], seed: int) -> None:
    axis %= len(source)
    parts = [floats(seed + i, *source[:axis], size, *source[axis + 1 :]) for i, size in enumerate(sizes)]
    check_exact(parts, lambda *values: tosa.ConcatOp(list(values), axis))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=4), seeds)
def test_pad(dims: list[tuple[int, int, int]], seed: int) -> None:
    amounts = [amount for _, before, after in dims for amount in (before, after)]
    numbers = floats(seed, *(extent for extent, _, _ in dims))
    check_exact([numbers, shape(*amounts), constant([-1.5], np.float32)], tosa.PadOp)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=4), seeds)
def test_slice(dims: list[tuple[int, int, int]], seed: int) -> None:
    numbers = floats(seed, *(sum(parts) for parts in dims))
    start, size = shape(*(before for before, _, _ in dims)), shape(*(kept for _, kept, _ in dims))
    check_exact([numbers, start, size], tosa.SliceOp)
