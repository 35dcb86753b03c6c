"""Rounding contractions to bf16 on request."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tosaic.lowering import compile
from tosaic.lowering.target import resolve_target
from tosaic.runtime import load
from tosaic.tosa import evaluate
from xdsl.dialects.builtin import ModuleOp

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
