"""Attention on tensor cores: whatever does not fit whole tiles, operands turned in memory, masks, any number of
blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import ml_dtypes
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tosaic.lowering import compile, pipeline
from tosaic.lowering.attention import Stages
from tosaic.lowering.ir import functions, regions
from tosaic.lowering.targets.tensor_attention_tile import AttentionSizes, choose_tensor_attention_tile
from tosaic.runtime import load
from tosaic.runtime.artifact import Image
from tosaic.runtime.device import DeviceSpec
from tosaic.tosa.dialect.layout import TransposeOp
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from ...cuda.ptxas import assemble
from ..codegen.harness import Array
from ..programs import Program
from ..test_attention import attention, expected, random_inputs, softmax
from .harness import Emulated, gpu

CAPABILITIES = ("sm_80", "sm_90a")
EXAMPLES = settings(max_examples=6, phases=[Phase.generate], deadline=None, database=None, derandomize=True)
A100_BYTES = 163 << 10


@dataclass(frozen=True)
class Precision:
    """How operands are rounded, and by how much of them at most."""

    name: str
    rounded: Callable[[Array], Array]
    unit: float


def to_bf16(x: Array) -> Array:
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


def to_tf32(x: Array) -> Array:
    """Ties away from zero."""
    return (x.view(np.uint32) + np.uint32(0x1000) & np.uint32(0xFFFFE000)).view(np.float32)


BF16 = Precision("bf16", to_bf16, 2**-9)
TF32 = Precision("tf32", to_tf32, 2**-11)
PRECISIONS = pytest.mark.parametrize("precision", [BF16, TF32], ids=lambda each: each.name)


def image_of(module: ModuleOp, capability: str = "sm_80", precision: Precision = BF16) -> Image:
    (variant,) = compile(module, [f"cuda-emulator@{capability}"], precision=precision.name).variants
    (image,) = variant.images
    return image


def run(module: ModuleOp, inputs: Sequence[Array], capability: str = "sm_80", precision: Precision = BF16) -> Array:
    artifact = compile(module, [f"cuda-emulator@{capability}"], precision=precision.name)
    ((image,),) = (variant.images for variant in artifact.variants)
    assert b"mma.sync" in bytes(image.code), "not on tensor cores"
    with load(artifact) as program:
        (result,) = program.run(inputs)
    return result


def assert_close(result: Array, exact: Array, values: Array, precision: Precision = BF16) -> None:
    """`exact` is of rounded operands. Weights are rounded: a weighted mean of `values` is off by a unit of its
    numerator, and as much of its denominator, if all roundings add up. Sums are f32: those of 96 products that make
    scores of no more than a few dozens, whose rounding the exponential makes relative, add less than 2**-14."""
    atol = (2 * precision.unit + 2**-14) * np.abs(values).max()
    np.testing.assert_allclose(result, exact, rtol=0, atol=atol)


@PRECISIONS
@pytest.mark.parametrize("capability", CAPABILITIES)
@EXAMPLES
@given(
    rows=st.integers(16, 150),
    columns=st.sampled_from([16, 48, 80, 144, 272]),
    heads=st.integers(2, 3),
    depth=st.sampled_from([32, 64, 96]),
    width=st.sampled_from([16, 32, 48, 80]),
    masked=st.booleans(),
)
def test_it_is_right(
    precision: Precision, capability: str, rows: int, columns: int, heads: int, depth: int, width: int, masked: bool
) -> None:
    sizes = rows, columns, heads, depth, width
    query, key, value, mask = random_inputs(*sizes)
    result = run(attention(*sizes, masked=masked), [query, key, value, mask], capability, precision)
    rounded = precision.rounded
    exact = expected(rounded(query), rounded(key), rounded(value), mask, heads, masked=masked)
    assert_close(result, exact, value, precision)


def turned(query: bool, key: bool, value: bool) -> ModuleOp:
    """Of operands that lie [batch, rows, columns] of their products, or where these say so the other way round."""
    shapes = [(3, 40, 64), (3, 64, 80), (3, 80, 32)]
    swaps = [query, key, value]
    stored = [(b, c, r) if swap else (b, r, c) for (b, r, c), swap in zip(shapes, swaps, strict=True)]
    program = Program(np.float32, *stored)

    def matrix(number: int) -> SSAValue:
        operand = program.inputs[number]
        return program.add(TransposeOp(operand, perms=[0, 2, 1])) if swaps[number] else operand

    weights = softmax(program, program.matmul(matrix(0), matrix(1)))
    return program.finish(program.matmul(weights, matrix(2)))


@PRECISIONS
@pytest.mark.parametrize("swaps", list(product([False, True], repeat=3)), ids=str)
def test_operands_are_read_as_they_lie(swaps: tuple[bool, bool, bool], precision: Precision) -> None:
    rng = np.random.default_rng(0)
    matrices = [rng.standard_normal(shape).astype(np.float32) for shape in ((3, 40, 64), (3, 64, 80), (3, 80, 32))]
    matrices[0] /= 8
    inputs = [np.ascontiguousarray(x.swapaxes(1, 2)) if s else x for x, s in zip(matrices, swaps, strict=True)]
    query, key, value = (precision.rounded(x).astype(np.float64) for x in matrices)
    scores = query @ key
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    exact = weights / weights.sum(-1, keepdims=True) @ value
    assert_close(run(turned(*swaps), inputs, precision=precision), exact, value, precision)


def test_columns_that_are_masked_by_infinity_count_for_nothing() -> None:
    """Whole tiles of them, the first ones too: what is summed before there is any score must not stay."""
    sizes = 17, 272, 2, 32, 32
    query, key, value, mask = random_inputs(*sizes)
    mask[..., :200] = -np.inf
    exact = expected(to_bf16(query), to_bf16(key)[:, 200:], to_bf16(value)[:, 200:], mask[..., 200:], 2)
    assert_close(run(attention(*sizes), [query, key, value, mask]), exact, value)


def test_rows_that_are_masked_by_the_lowest_number_are_means() -> None:
    """As the program says: the differences to the greatest score are zero."""
    sizes = 17, 144, 2, 32, 32
    query, key, value, mask = random_inputs(*sizes)
    mask[...] = np.finfo(np.float32).min
    result = run(attention(*sizes), [query, key, value, mask])
    mean = to_bf16(value).astype(np.float64).mean(1, keepdims=True).repeat(17, 1)
    assert_close(result, mean, value)


def test_scores_far_apart_do_not_overflow() -> None:
    """Those of a later tile are greater than those of the first by far more than exp can hold."""
    sizes = 16, 144, 2, 32, 32
    query, key, value, mask = random_inputs(*sizes)
    mask[...] = np.linspace(-300, 300, 144, dtype=np.float32)
    exact = expected(to_bf16(query), to_bf16(key), to_bf16(value), mask, 2)
    assert_close(run(attention(*sizes), [query, key, value, mask]), exact, value)


def test_a_score_that_is_no_number_spoils_its_row_alone() -> None:
    sizes = 20, 48, 2, 32, 32
    query, key, value, mask = random_inputs(*sizes)
    query[:, 3] = np.nan
    result = run(attention(*sizes), [query, key, value, mask])
    assert np.isnan(result[:, 3]).all()
    assert np.isfinite(np.delete(result, 3, axis=1)).all()


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_any_number_of_blocks_gives_the_same(blocks: int) -> None:
    module = attention(70, 48, 3, 32, 16)
    options = pipeline.Options((DeviceSpec("cuda-emulator"),), {"cuda-emulator": gpu()}, precision="bf16")
    pipeline.run(module, options, stop_after="fuse-rows")
    (function,) = functions(module)
    (region,) = [each for each in regions(function) if Stages.of(each.body.block.ops) is not None]
    emulated = Emulated(region, gpu())
    query, key, value, mask = random_inputs(70, 48, 3, 32, 16)
    narrow = [x.astype(ml_dtypes.bfloat16) for x in (query, key, value)]
    inputs = [*narrow[:2], mask, narrow[2]]
    (result,) = emulated.run(inputs, [np.zeros((1, 70, 48), np.float32)], blocks=blocks)
    (usual,) = emulated.run(inputs, [np.ones((1, 70, 48), np.float32)])
    np.testing.assert_array_equal(result, usual)
    assert_close(result, expected(to_bf16(query), to_bf16(key), to_bf16(value), mask, 3), value)


@PRECISIONS
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(
    "sizes",
    [
        (128, 128, 12, 64, 64),
        (2048, 2048, 8, 64, 64),
        (4096, 4096, 32, 64, 64),
        (1024, 1024, 32, 128, 128),
        (256, 256, 12, 160, 128),
        (77, 144, 8, 96, 48),
    ],
    ids=str,
)
def test_sizes_of_models_spill_nothing(
    capability: str, sizes: tuple[int, int, int, int, int], precision: Precision
) -> None:
    image = image_of(attention(*sizes), capability, precision)
    assert b"ldmatrix" in bytes(image.code)
    for usage in assemble(image).values():
        assert (usage.stack, usage.spilled) == (0, 0), usage


def test_without_asynchronous_copies_cuda_cores_multiply() -> None:
    code = bytes(image_of(attention(32, 48, 2, 32, 32), "sm_75").code)
    assert b"mma.sync" not in code and b"fma.rn.f32" in code


def test_small_batches_make_one_step_and_long_ones_share_fragments() -> None:
    small = choose_tensor_attention_tile(AttentionSizes(12, 128, 128, 64, 64, 2), A100_BYTES)
    large = choose_tensor_attention_tile(AttentionSizes(12 * 32, 2048, 2048, 64, 64, 2), A100_BYTES)
    assert small is not None and large is not None
    assert (small.columns, small.stages(128)) == (128, 1)
    assert (large.rows, large.columns, large.down) == (128, 64, 2)


def test_rows_too_long_for_registers_are_not_taken() -> None:
    assert choose_tensor_attention_tile(AttentionSizes(1, 64, 64, 4096, 64, 2), A100_BYTES) is None
    assert choose_tensor_attention_tile(AttentionSizes(1, 64, 64, 64, 4096, 2), A100_BYTES) is None
