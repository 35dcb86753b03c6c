"""Attention on a GPU: keys and values a tile at a time, whatever does not fit whole tiles, and rows that are masked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tosaic.lowering import compile
from tosaic.lowering.targets.attention_tile import choose_attention_tile
from tosaic.runtime import load
from tosaic.runtime.artifact import Image

from ...cuda.ptxas import assemble
from ..codegen.harness import Array
from ..test_attention import attention, expected, random_inputs
from .harness import CAPABILITIES

EXAMPLES = settings(max_examples=4, phases=[Phase.generate], deadline=None, database=None, derandomize=True)
A100_BYTES = 163 << 10


def run(
    sizes: Sequence[int], inputs: Sequence[Array], capability: str = "sm_80", precision: str | None = None
) -> Array:
    module = attention(*sizes)  # pyright: ignore[reportArgumentType]
    artifact = compile(module, [f"cuda-emulator@{capability}"], precision=precision)
    assert [launch.shared_bytes > 0 for launch in image_of(artifact).launches].count(True) == 1, "not fused"
    with load(artifact) as program:
        (result,) = program.run(inputs)
    return result


def wanted(inputs: Sequence[Array], heads: int) -> Array:
    query, key, value, mask = inputs
    return expected(query, key, value, mask, heads)


def image_of(artifact: object) -> Image:
    (variant,) = artifact.variants  # pyright: ignore[reportAttributeAccessIssue]
    (image,) = variant.images
    return image


def bound(columns: int, depth: int) -> float:
    """Scores are sums of `depth` products of normal numbers, whose rounding the exponential makes relative; the result
    is a mean of values, made of `columns` summands."""
    return (depth + columns) * np.finfo(np.float32).eps * np.sqrt(depth) * 4


@pytest.mark.parametrize("capability", CAPABILITIES)
@EXAMPLES
@given(
    rows=st.integers(16, 36),
    columns=st.sampled_from([16, 48, 80]),
    heads=st.integers(2, 3),
    depth=st.sampled_from([32, 64]),
    width=st.sampled_from([16, 32, 48, 80]),
)
def test_it_is_right(capability: str, rows: int, columns: int, heads: int, depth: int, width: int) -> None:
    sizes = rows, columns, heads, depth, width
    inputs = random_inputs(*sizes)
    result = run(sizes, inputs, capability)
    np.testing.assert_allclose(result, wanted(inputs, heads), atol=bound(columns, depth))


def test_columns_that_are_masked_by_infinity_count_for_nothing() -> None:
    """Whole tiles of them, the first ones too: what is summed before there is any score must not stay."""
    sizes = 17, 144, 2, 32, 32
    inputs = random_inputs(*sizes)
    inputs[3][..., :100] = -np.inf
    left = [inputs[0], inputs[1][:, 100:], inputs[2][:, 100:], inputs[3][..., 100:]]
    np.testing.assert_allclose(run(sizes, inputs), wanted(left, sizes[2]), atol=bound(144, 32))


def test_scores_far_apart_do_not_overflow() -> None:
    """Those of a later tile are greater than those of the first by far more than exp can hold."""
    sizes = 16, 144, 2, 32, 32
    inputs = random_inputs(*sizes)
    inputs[3][...] = np.linspace(-300, 300, 144, dtype=np.float32)
    result = run(sizes, inputs)
    error = np.abs(result - wanted(inputs, sizes[2]))
    assert error.max() <= bound(144, 32) * 300  # scores are rounded as numbers of that size


def test_bf16_is_summed_in_f32() -> None:
    sizes = 20, 80, 2, 64, 32
    inputs = random_inputs(*sizes)
    error = np.abs(run(sizes, inputs, precision="bf16") - wanted(inputs, sizes[2]))
    # Operands and weights are rounded to eight bits: scores, sums of 64 products, are off by some 64**.5 * 2**-9 / 8.
    assert 1e-4 < error.max() < 0.05


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(
    "sizes", [(128, 128, 12, 64, 64), (2048, 2048, 8, 64, 64), (512, 512, 16, 128, 128), (77, 144, 8, 96, 48)], ids=str
)
def test_sizes_of_models_spill_nothing(capability: str, sizes: tuple[int, ...]) -> None:
    artifact = compile(attention(*sizes), [f"cuda-emulator@{capability}"])
    for usage in assemble(image_of(artifact)).values():
        assert (usage.stack, usage.spilled) == (0, 0), usage


def test_small_batches_are_cut_in_more_tiles_than_large_ones() -> None:
    small = choose_attention_tile(12, 128, 128, 64, 64, A100_BYTES)
    large = choose_attention_tile(12 * 32, 2048, 2048, 64, 64, A100_BYTES)
    assert small is not None and large is not None
    assert small.rows == 16 and large.rows == 64


def test_rows_too_long_for_shared_memory_are_not_taken() -> None:
    assert choose_attention_tile(1, 64, 64, 4096, 4096, A100_BYTES) is None
