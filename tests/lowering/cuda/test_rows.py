"""Softmax and layer norm as one dispatch on a GPU, rows of every length; what is not of rows stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from tosaic.lowering import compile, pipeline
from tosaic.lowering.cost import describe, root_name
from tosaic.lowering.ir import functions, regions
from tosaic.lowering.targets import nvptx
from tosaic.runtime import load
from tosaic.runtime.device import DeviceSpec
from tosaic.tosa import dialect as tosa
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from ...cuda.ptxas import assemble
from ..codegen.harness import Array
from ..programs import Program
from ..test_attention import multiply, softmax
from .harness import CAPABILITIES

Shape = tuple[int, ...]


def softmax_module(shape: Shape) -> ModuleOp:
    program = Program(np.float32, shape)
    return program.finish(softmax(program, program.inputs[0]))


def layer_norm(program: Program, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    """(normalised, mean), as models of TFLite write it."""
    *leading, columns = x.type.get_shape()  # pyright: ignore[reportAttributeAccessIssue]
    axis, ones = len(leading), (1,) * len(leading)
    share = program.constant(np.full((*ones, 1), 1 / columns, np.float32))
    mean = multiply(program, program.add(tosa.ReduceSumOp(x, axis=axis)), share)
    centred = program.add(tosa.SubOp(x, mean))
    squares = program.add(tosa.ReduceSumOp(multiply(program, centred, centred), axis=axis))
    epsilon = program.constant(np.full((*ones, 1), 1e-5, np.float32))
    root = program.add(tosa.RsqrtOp(program.add(tosa.AddOp(multiply(program, squares, share), epsilon))))
    gamma = program.constant(np.linspace(-1, 1, columns, dtype=np.float32).reshape(*ones, columns))
    beta = program.constant(np.linspace(2, 3, columns, dtype=np.float32).reshape(*ones, columns))
    scaled = multiply(program, multiply(program, centred, root), gamma)
    return program.add(tosa.AddOp(scaled, beta)), mean


def layer_norm_module(shape: Shape, *, mean_too: bool = False) -> ModuleOp:
    program = Program(np.float32, shape)
    normalised, mean = layer_norm(program, program.inputs[0])
    return program.finish(*([normalised, mean] if mean_too else [normalised]))


def names(module: ModuleOp, device: str = "cuda-emulator") -> list[str]:
    target = nvptx.from_name("sm_80")
    options = pipeline.Options((DeviceSpec(device),), {device: target})
    pipeline.run(module, options, stop_after="fuse-rows")
    (function,) = functions(module)
    return [root_name(region) for region in regions(function)]


def run(module: ModuleOp, inputs: Sequence[Array], capability: str = "sm_80") -> list[Array]:
    with load(compile(module, [f"cuda-emulator@{capability}"])) as program:
        return list(program.run(inputs))


def numbers(shape: Shape) -> Array:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("module", [softmax_module, layer_norm_module])
def test_the_whole_of_it_is_one_dispatch(module: Callable[[Shape], ModuleOp]) -> None:
    assert names(module((12, 128))) == ["rows"]
    assert names(module((2, 3, 4096))) == ["rows"]


def test_it_says_what_it_is() -> None:
    module = layer_norm_module((12, 768))
    assert names(module) == ["rows"]
    (function,) = functions(module)
    (region,) = regions(function)
    assert describe(region) == "rows 12x768, reductions: 2"


def test_rows_too_long_for_registers_stay_apart() -> None:
    assert "rows" not in names(softmax_module((2, 8224)))


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("shape", [(5, 128), (3, 2, 77), (1, 1000), (7, 2), (2, 1028), (3, 4096)], ids=str)
def test_softmax(capability: str, shape: Shape) -> None:
    x = numbers(shape) * 5
    (result,) = run(softmax_module(shape), [x], capability)
    weights = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    # An exponential is off by few ulps, half of one of its argument (some 40), and a sum of 32 parts and more.
    bound = (40 + shape[-1] / 32 + 15) * np.finfo(np.float32).eps
    np.testing.assert_allclose(result, weights / weights.sum(-1, keepdims=True), rtol=bound)


@pytest.mark.parametrize("shape", [(5, 128), (3, 2, 77), (9, 768), (3, 1500)], ids=str)
def test_layer_norm(shape: Shape) -> None:
    x = numbers(shape) + 3
    normalised, mean = run(layer_norm_module(shape, mean_too=True), [x])
    wide = x.astype(np.float64)
    expected_mean = wide.mean(-1, keepdims=True)
    centred = wide - expected_mean
    gamma = np.linspace(-1, 1, shape[-1], dtype=np.float32)
    expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gamma
    expected += np.linspace(2, 3, shape[-1], dtype=np.float32)
    # Sums of numbers of up to 8, in 32 parts and more, over rows that spread by about 1.
    bound = (shape[-1] / 32 + 15) * 8 * np.finfo(np.float32).eps
    np.testing.assert_allclose(mean, expected_mean, atol=bound)
    np.testing.assert_allclose(normalised, expected, atol=bound * 4)


def test_integers_are_exact() -> None:
    """Sums of bytes, and what is made of them for every byte of a row."""
    program = Program(np.int32, (4, 100))
    total = program.add(tosa.ReduceSumOp(program.inputs[0], axis=1))
    least = program.add(tosa.ReduceMinOp(program.inputs[0], axis=1))
    difference = program.add(tosa.SubOp(program.add(tosa.SubOp(program.inputs[0], least)), total))
    x = np.random.default_rng(3).integers(-128, 128, (4, 100)).astype(np.int32)
    (result,) = run(program.finish(difference), [x])
    np.testing.assert_array_equal(result, x - x.min(1, keepdims=True) - x.sum(1, keepdims=True))


def test_what_others_read_in_between_is_written_first() -> None:
    """The greatest of a row goes through a transpose, which is not of rows, before the rows read it again."""
    program = Program(np.float32, (4, 4))
    (x,) = program.inputs
    greatest = program.add(tosa.ReduceMaxOp(x, axis=1))
    turned = program.add(tosa.TransposeOp(greatest, perms=[1, 0]))
    result = program.add(tosa.AddOp(program.add(tosa.SubOp(x, greatest)), turned))
    values = numbers((4, 4))
    (actual,) = run(program.finish(result), [values])
    largest = values.max(1, keepdims=True)
    np.testing.assert_array_equal(actual, (values - largest) + largest.T)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("module", [softmax_module, layer_norm_module])
@pytest.mark.parametrize("shape", [(128, 768), (512, 1024), (64, 2048), (8, 8192)], ids=str)
def test_rows_of_models_spill_nothing(capability: str, module: Callable[[Shape], ModuleOp], shape: Shape) -> None:
    (variant,) = compile(module(shape), [f"cuda-emulator@{capability}"]).variants
    for usage in assemble(variant.images[0]).values():
        assert (usage.stack, usage.spilled) == (0, 0), usage
