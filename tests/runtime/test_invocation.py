"""Calls with bound arrays: they read and write those, refuse what they could not, and hold what they need."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import numpy as np
import pytest
from tosaic.runtime import Program, load
from tosaic.runtime.errors import ArgumentError, DeviceError

from . import native


@pytest.fixture(params=[1, 2])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with load(native.artifact(), threads=request.param) as program:
        yield program


def arrays() -> tuple[list[np.ndarray], list[np.ndarray]]:
    inputs = [np.zeros((1, native.SIZE), np.float32), np.zeros(16, np.float32)]
    return inputs, [np.zeros((1, native.SIZE), np.float32), np.zeros((), np.float32)]


def fill(inputs: list[np.ndarray], seed: int) -> None:
    random = np.random.default_rng(seed)
    for array in inputs:
        array[...] = random.standard_normal(array.shape, np.float32)


def test_every_call_reads_and_writes_the_same_arrays(program: Program) -> None:
    inputs, outputs = arrays()
    invocation = program.bind(inputs, outputs)
    for seed in range(3):
        fill(inputs, seed)
        returned = invocation()
        assert all(a is b for a, b in zip(returned, outputs, strict=True))
        for made, expected in zip(outputs, native.expected(*inputs), strict=True):
            np.testing.assert_array_equal(made, expected)


def test_without_outputs_it_has_its_own(program: Program) -> None:
    first, second = arrays()[0], arrays()[0]
    fill(first, 1)
    fill(second, 2)
    invocations = [program.bind(first), program.bind(second)]
    for invocation in invocations:
        invocation()
    for invocation, inputs in zip(invocations, (first, second), strict=True):
        np.testing.assert_array_equal(invocation.outputs[0], native.expected(*inputs)[0])


def test_other_calls_do_not_disturb_it(program: Program) -> None:
    inputs, outputs = arrays()
    fill(inputs, 1)
    invocation = program.bind(inputs, outputs)
    others, _ = arrays()
    fill(others, 2)
    program.run(others)
    invocation()
    np.testing.assert_array_equal(outputs[0], native.expected(*inputs)[0])


def test_it_holds_its_arrays_and_its_program() -> None:
    inputs, _ = arrays()
    fill(inputs, 1)
    y, _ = native.expected(*inputs)
    invocation = load(native.artifact(), threads=2).bind(inputs)
    del inputs
    gc.collect()
    np.testing.assert_array_equal(invocation()[0], y)


def test_a_closed_program_refuses(program: Program) -> None:
    invocation = program.bind(arrays()[0])
    program.close()
    with pytest.raises(DeviceError, match="closed"):
        invocation()


def test_a_forked_child_may_call_it(program: Program) -> None:
    inputs, _ = arrays()
    fill(inputs, 1)
    invocation = program.bind(inputs)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(invocation()[0], native.expected(*inputs)[0]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


SIZE = native.SIZE
ROW = np.zeros((1, SIZE), np.float32)
SCALAR = np.zeros((), np.float32)
BIAS = np.zeros(16, np.float32)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([ROW], None, "1 inputs given; expected x: float32"),
        ([ROW.tolist(), BIAS], None, "input 'x' is bound to a list, not to a numpy array"),
        ([ROW.astype(np.float64), BIAS], None, "input 'x' is float64"),
        ([ROW[0], BIAS], None, "input 'x' is float32"),
        ([np.zeros((1, 2 * SIZE), np.float32)[:, ::2], BIAS], None, "input 'x' is bound to an array that is not dense"),
        ([ROW, BIAS], [ROW.copy()], "1 outputs given"),
        ([ROW, BIAS], [read_only(ROW.copy()), SCALAR], "output 'y' is bound to an array that cannot be written"),
        ([ROW, BIAS], [ROW, SCALAR], "output 'y' is bound to memory of an input"),
        ([ROW, BIAS], [(y := ROW.copy()), y[0, 3:4].reshape(())], "output 'sum' is bound to memory of an input or"),
    ],
)
def test_what_cannot_be_bound_is_told(inputs: list[np.ndarray], outputs: list[np.ndarray] | None, message: str) -> None:
    with load(native.artifact(), threads=1) as program, pytest.raises(ArgumentError, match=message):
        program.bind(inputs, outputs)
