"""A pointwise convolution and a depthwise one in strips: what is merged, and that it computes the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering import compile, fuse_strips, pipeline
from tosaic.lowering.cost import describe
from tosaic.lowering.ir import functions, regions
from tosaic.lowering.target import resolve_target
from tosaic.runtime import load
from tosaic.runtime.device import DeviceSpec
from tosaic.tosa import dialect as tosa
from tosaic.tosa import evaluate
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.ir import SSAValue

from .programs import Program

TARGET = "x86-64-v4"
EXAMPLES = settings(max_examples=15, deadline=None, database=None, derandomize=True)


def expand_and_slide(
    height: int, width: int, channels: int, kernel: int = 3, stride: int = 1, *, returns_both: bool = False
) -> ModuleOp:
    """A 1x1 convolution of 8 channels with ReLU6, then a depthwise one with ReLU6."""
    rng = np.random.default_rng(0)
    program = Program(np.float32, (1, height, width, 8))
    expanded = relu6(program, program.conv2d(rng, program.inputs[0], channels, 1))
    return slide(program, rng, expanded, (height, width, channels), kernel, stride, returns_both=returns_both)


def first_and_slide(height: int, width: int, image_channels: int, channels: int, window: int, step: int) -> ModuleOp:
    """A convolution of an image, padded on all sides, with ReLU6, then a 3x3 depthwise one with ReLU6."""
    rng = np.random.default_rng(0)
    program = Program(np.float32, (1, height, width, image_channels))
    before = window // 2
    sizes = [-(-size // step) for size in (height, width)]
    behind = [(out - 1) * step + window - before - size for out, size in zip(sizes, (height, width), strict=True)]
    expanded = tosa.Conv2DOp(
        program.inputs[0],
        program.weights(rng, channels, window, window, image_channels),
        program.constant(rng.integers(-5, 6, channels).astype(np.float32)),
        program.scalar(0),
        program.scalar(0),
        pad=[before, behind[0], before, behind[1]],
        stride=[step] * 2,
        dilation=[1, 1],
        acc_type=f32,
    )
    return slide(program, rng, relu6(program, program.add(expanded)), (*sizes, channels))


def slide(
    program: Program,
    rng: np.random.Generator,
    expanded: SSAValue,
    shape: Sequence[int],
    kernel: int = 3,
    stride: int = 1,
    *,
    returns_both: bool = False,
) -> ModuleOp:
    """A depthwise convolution of an image [height, width, channels] with ReLU6."""
    height, width, channels = shape
    pads = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in (height, width)]
    slid = tosa.DepthwiseConv2DOp(
        expanded,
        program.weights(rng, kernel, kernel, channels, 1),
        program.constant(rng.integers(-5, 6, channels).astype(np.float32)),
        program.scalar(0),
        program.scalar(0),
        pad=[side for pad in pads for side in (pad // 2, pad - pad // 2)],
        stride=[stride] * 2,
        dilation=[1, 1],
        acc_type=f32,
    )
    result = relu6(program, program.add(slid))
    return program.finish(result, expanded) if returns_both else program.finish(result)


def relu6(program: Program, value: SSAValue) -> SSAValue:
    return program.add(tosa.ClampOp(value, 0.0, 6.0))


def dispatches(module: ModuleOp, target: str = TARGET, precision: str | None = None) -> list[str]:
    options = pipeline.Options((DeviceSpec("cpu"),), {"cpu": resolve_target(target)}, precision=precision)
    pipeline.run(module, options, stop_after="fuse-strips")
    return [describe(region) for function in functions(module) for region in regions(function)]


@EXAMPLES
@given(
    height=st.integers(8, 40),
    width=st.integers(29, 70),
    channels=st.sampled_from([32, 48, 96]),
    kernel=st.sampled_from([3, 5]),
    stride=st.integers(1, 2),
    threads=st.integers(1, 3),
)
def test_it_is_right(height: int, width: int, channels: int, kernel: int, stride: int, threads: int) -> None:
    check(expand_and_slide(height, width, channels, kernel, stride), (1, height, width, 8), threads)


@EXAMPLES
@given(
    height=st.integers(9, 60),
    width=st.integers(60, 120),
    image_channels=st.integers(1, 4),
    channels=st.sampled_from([16, 32, 48]),
    window=st.sampled_from([3, 5]),
    step=st.integers(1, 2),
    threads=st.integers(1, 3),
)
def test_it_is_right_behind_a_first_convolution(
    height: int, width: int, image_channels: int, channels: int, window: int, step: int, threads: int
) -> None:
    module = first_and_slide(height, width, image_channels, channels, window, step)
    check(module, (1, height, width, image_channels), threads)


@EXAMPLES
@given(
    height=st.integers(8, 40),
    width=st.integers(29, 70),
    channels=st.sampled_from([32, 48, 96]),
    kernel=st.sampled_from([3, 5]),
    stride=st.integers(1, 2),
    threads=st.integers(1, 3),
)
def test_it_is_right_in_bf16(height: int, width: int, channels: int, kernel: int, stride: int, threads: int) -> None:
    module = expand_and_slide(height, width, channels, kernel, stride)
    check(module, (1, height, width, 8), threads, "x86-64-v4+vnni+bf16", "bf16")


def check(
    module: ModuleOp, shape: Sequence[int], threads: int, target: str = TARGET, precision: str | None = None
) -> None:
    if not set(resolve_target(target).features) <= set(resolve_target("host").features):
        pytest.skip("this machine cannot run it")
    inputs = [np.random.default_rng(1).integers(-8, 9, shape).astype(np.float32)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuse_strips, "_LEAST_BYTES", 0)
        assert "strips" in " ".join(dispatches(module.clone(), target, precision))
        artifact = compile(module, target=target, precision=precision)
    with load(artifact, threads=threads) as program:
        (result,) = program.run(inputs)
    # Products and sums of small integers are exact.
    np.testing.assert_array_equal(result, evaluate(module, "main", inputs)[0])


def test_a_big_intermediate_stays_in_the_cache() -> None:
    assert len(dispatches(expand_and_slide(64, 64, 48))) == 1


@pytest.mark.parametrize(
    "module",
    [expand_and_slide(32, 32, 48), expand_and_slide(64, 64, 48, returns_both=True), expand_and_slide(64, 64, 49)],
    ids=["fits in the cache", "is a result", "has panels that are not full"],
)
def test_others_stay_apart(module: ModuleOp) -> None:
    assert "strips" not in " ".join(dispatches(module))


def test_a_convolution_of_many_channels_stays_apart() -> None:
    assert len(dispatches(first_and_slide(160, 160, 4, 48, 3, 1))) == 1
    assert len(dispatches(first_and_slide(160, 160, 5, 48, 3, 1))) == 2


def test_panels_of_half_registers_stay_apart() -> None:
    assert "strips" not in " ".join(dispatches(expand_and_slide(64, 64, 72), "znver4"))


def test_only_where_rows_are_read_in_place() -> None:
    assert "strips" not in " ".join(dispatches(expand_and_slide(64, 64, 48), "x86-64-v3"))
