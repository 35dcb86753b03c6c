"""Rounding contractions to bf16 on request."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tosaic.lowering import compile, pipeline
from tosaic.lowering.ir import constant_array, functions, regions, tensor_type, view_source
from tosaic.lowering.target import resolve_target
from tosaic.runtime import load
from tosaic.runtime.device import DeviceSpec
from tosaic.runtime.errors import ArgumentError
from tosaic.tosa import dialect as tosa
from tosaic.tosa import evaluate
from xdsl.dialects.builtin import ModuleOp, bf16, f32
from xdsl.ir import Attribute

from .programs import Program


def convolution() -> tuple[ModuleOp, list[np.ndarray[Any, Any]]]:
    """Two convolutions of values that bf16 holds exactly between a first and a last step that it does not."""
    program = Program(np.float32, (1, 6, 6, 8))
    rng = np.random.default_rng(0)
    hidden = program.narrow(program.conv2d(rng, program.inputs[0], 16, 3))
    return program.finish(program.narrow(program.conv2d(rng, hidden, 8, 1))), program.example_inputs(0)


@pytest.mark.parametrize("target", ["host", "x86-64-v3"])
def test_what_bf16_holds_stays_exact(target: str) -> None:
    module, inputs = convolution()
    with load(compile(module, target=target, precision="bf16")) as program:
        (result,) = program.run(inputs)
    np.testing.assert_array_equal(result, evaluate(module, "main", inputs)[0])


def test_operands_are_rounded_and_nothing_else() -> None:
    program = Program(np.float32, (1, 1, 1, 4))
    module = program.finish(program.conv2d(np.random.default_rng(1), program.inputs[0], 4, 1))
    x = np.random.default_rng(2).standard_normal((1, 1, 1, 4)).astype(np.float32)
    with load(compile(module, precision="bf16")) as compiled:
        (result,) = compiled.run([x])
    rounded = x.astype(ml_dtypes.bfloat16).astype(np.float32)
    # Products of bf16 numbers are exact in f32: the two may differ in the order of four additions.
    np.testing.assert_allclose(result, evaluate(module, "main", [rounded])[0], rtol=8 * np.finfo(np.float32).eps)
    assert not np.array_equal(result, evaluate(module, "main", [x])[0])


def test_weights_take_half_the_space() -> None:
    program = Program(np.float32, (1, 4, 4, 64))
    module = program.finish(program.conv2d(np.random.default_rng(0), program.inputs[0], 64, 3))
    target = resolve_target("x86-64-v3").name
    full, half = (len(compile(module, target=target, precision=precision).constants) for precision in (None, "bf16"))
    assert half < 0.52 * full


def test_a_program_without_a_gpu_is_refused_tf32() -> None:
    module, _ = convolution()
    with pytest.raises(ArgumentError, match=r"tf32 is for NVIDIA GPUs .*; the devices are cpu \(x86-64-v3\)"):
        compile(module, target="x86-64-v3", precision="tf32")


def stored(module: ModuleOp) -> list[Attribute]:
    """The element types of what the dispatches of `module` store, once precision was reduced."""
    options = pipeline.Options((DeviceSpec("cpu"),), {"cpu": resolve_target("x86-64-v4")}, precision="bf16")
    pipeline.run(module, options, stop_after="reduce-precision")
    (function,) = functions(module)
    return [
        tensor_type(result).get_element_type()
        for region in regions(function)
        if any(constant_array(view_source(value)) is None for value in region.inputs)
        for result in region.outputs
    ]


def test_what_windows_and_sums_read_is_stored_narrow_and_what_is_returned_is_not() -> None:
    rng = np.random.default_rng(0)
    program = Program(np.float32, (1, 6, 6, 8))
    hidden = program.narrow(program.conv2d(rng, program.inputs[0], 8, 1))
    window = program.narrow(program.depthwise(rng, hidden))
    total = program.add_up(program.narrow(program.conv2d(rng, window, 8, 3)), hidden)
    module = program.finish(total)
    inputs = program.example_inputs(0)
    expected = evaluate(module, "main", inputs)[0]
    with load(compile(module.clone(), precision="bf16")) as compiled:
        (result,) = compiled.run(inputs)
    np.testing.assert_allclose(result, expected, rtol=2.0**-8)  # sums of up to 80 are rounded once
    assert stored(module) == [bf16, bf16, bf16, f32]  # the input, two hidden values, the output


def test_reductions_keep_their_type_unless_a_contraction_reads_them() -> None:
    rng = np.random.default_rng(0)
    program = Program(np.float32, (1, 4, 6, 8))
    hidden = program.narrow(program.conv2d(rng, program.inputs[0], 8, 1))
    total = program.add(tosa.ReduceSumOp(hidden, axis=3))
    means = program.add(tosa.ReduceSumOp(hidden, axis=1))
    squeezed = program.conv2d(rng, means, 8, 1)
    module = program.finish(program.add(tosa.SubOp(hidden, total)), squeezed)
    types = stored(module)
    assert types.count(f32) == 3  # the sums over channels, and what is returned
    assert types.count(bf16) == 3  # the input, what follows its convolution, and the sums that are contracted


def test_what_a_concatenation_joins_is_narrow_together_or_not_at_all() -> None:
    def joined(returns: bool) -> list[Attribute]:
        rng = np.random.default_rng(0)
        program = Program(np.float32, (1, 4, 4, 8))
        parts = [program.narrow(program.conv2d(rng, program.inputs[0], 8, size)) for size in (1, 3)]
        whole = program.add(tosa.ConcatOp(parts, axis=3))
        last = program.conv2d(rng, whole, 4, 1)
        return stored(program.finish(last, *[whole] * returns))

    assert joined(returns=False).count(f32) == 1
    assert joined(returns=True).count(bf16) == 2  # the input and, for the last convolution, the whole


def test_weights_stored_as_f16_become_bf16() -> None:
    rng = np.random.default_rng(0)
    program = Program(np.float32, (1, 4, 4, 64))
    weights = rng.integers(-3, 4, (32, 3, 3, 64)).astype(np.float16)
    wide = program.add(tosa.CastOp(program.constant(weights), f32))
    zeros = program.constant(np.zeros(32, np.float32)), program.scalar(0), program.scalar(0)
    window = {"pad": [1] * 4, "stride": [1, 1], "dilation": [1, 1], "acc_type": f32}
    module = program.finish(program.add(tosa.Conv2DOp(program.inputs[0], wide, *zeros, **window)))
    inputs = program.example_inputs(0)
    compiled = compile(module.clone(), precision="bf16")
    steps = [step.description for segment in compiled.variants[0].images[0].segments for step in segment.steps]
    assert any("bf16" in step and "conv_2d" in step for step in steps)
    with load(compiled) as program_in_bf16:
        np.testing.assert_array_equal(program_in_bf16.run(inputs)[0], evaluate(module, "main", inputs)[0])
