"""Attention as one dispatch: what is recognised, and that it computes the same on every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering import compile, pipeline
from tosaic.lowering.cost import root_name
from tosaic.lowering.ir import functions, regions
from tosaic.lowering.target import resolve_target
from tosaic.runtime import load
from tosaic.runtime.device import DeviceSpec
from tosaic.tosa import dialect as tosa
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from .programs import Program

Array = np.ndarray[Any, Any]
TARGETS = ["host", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
EXAMPLES = settings(max_examples=6, deadline=None, database=None, derandomize=True)


def softmax(program: Program, scores: SSAValue) -> SSAValue:
    """Over the last axis, as models of TFLite write it."""
    axis = len(scores.type.get_shape()) - 1  # pyright: ignore[reportAttributeAccessIssue]
    difference = program.add(tosa.SubOp(scores, program.add(tosa.ReduceMaxOp(scores, axis=axis))))
    weights = program.add(tosa.ExpOp(difference))
    inverse = program.add(tosa.ReciprocalOp(program.add(tosa.ReduceSumOp(weights, axis=axis))))
    return multiply(program, weights, inverse)


def multiply(program: Program, left: SSAValue, right: SSAValue) -> SSAValue:
    return program.add(tosa.MulOp(left, right, program.scalar(0, np.int8)))


def heads_apart(program: Program, value: SSAValue, heads: int, *, transposed: bool = False) -> SSAValue:
    """[1, n, heads * d] as [heads, n, d], or [heads, d, n] where `transposed`."""
    _, n, width = value.type.get_shape()  # pyright: ignore[reportAttributeAccessIssue]
    split = program.reshape(value, 1, n, heads, width // heads)
    order = [0, 2, 3, 1] if transposed else [0, 2, 1, 3]
    turned = program.add(tosa.TransposeOp(split, perms=order))
    return program.reshape(turned, *((heads, width // heads, n) if transposed else (heads, n, width // heads)))


def attention(rows: int, columns: int, heads: int, depth: int, width: int, *, masked: bool = True) -> ModuleOp:
    """Of a query [1, rows, heads * depth], a key, a value and a mask that is added to the scores."""
    shapes = (1, rows, heads * depth), (1, columns, heads * depth), (1, columns, heads * width), (1, 1, 1, columns)
    program = Program(np.float32, *shapes)
    query, key, value, mask = program.inputs
    scores = program.matmul(heads_apart(program, query, heads), heads_apart(program, key, heads, transposed=True))
    scores = program.reshape(scores, 1, heads, rows, columns)
    if masked:
        scale = program.constant(np.full((1, 1, 1, 1), depth**-0.5, np.float32))
        scores = program.add(tosa.AddOp(multiply(program, scores, scale), mask))
    weights = program.reshape(softmax(program, scores), heads, rows, columns)
    mixed = program.reshape(program.matmul(weights, heads_apart(program, value, heads)), 1, heads, rows, width)
    joined = program.add(tosa.TransposeOp(mixed, perms=[0, 2, 1, 3]))
    return program.finish(program.reshape(joined, 1, rows, heads * width))


def expected(query: Array, key: Array, value: Array, mask: Array, heads: int, *, masked: bool = True) -> Array:
    def apart(x: Array) -> Array:
        return x[0].reshape(x.shape[1], heads, -1).swapaxes(0, 1).astype(np.float64)

    scores = apart(query) @ apart(key).swapaxes(1, 2)
    if masked:
        scores = scores * (query.shape[2] // heads) ** -0.5 + mask[0, 0]
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = weights / weights.sum(-1, keepdims=True) @ apart(value)
    return mixed.swapaxes(0, 1).reshape(1, query.shape[1], -1)


def random_inputs(rows: int, columns: int, heads: int, depth: int, width: int, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    shapes = (1, rows, heads * depth), (1, columns, heads * depth), (1, columns, heads * width), (1, 1, 1, columns)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def names(module: ModuleOp) -> list[str]:
    options = pipeline.Options((DeviceSpec("cpu"),), {"cpu": resolve_target("x86-64-v4")})
    pipeline.run(module, options, stop_after="form-dispatches")
    (function,) = functions(module)
    return [root_name(region) for region in regions(function)]


@pytest.mark.parametrize("target", TARGETS)
@EXAMPLES
@given(
    rows=st.integers(16, 45),
    columns=st.sampled_from([16, 32, 48, 112]),
    heads=st.integers(1, 3),
    depth=st.sampled_from([32, 64]),
    width=st.sampled_from([16, 32, 48]),
    masked=st.booleans(),
    threads=st.integers(1, 3),
)
def test_it_is_right(
    target: str, rows: int, columns: int, heads: int, depth: int, width: int, masked: bool, threads: int
) -> None:
    if target != "host" and not set(resolve_target(target).features) <= set(resolve_target("host").features):
        pytest.skip("this machine cannot run it")
    sizes = rows, columns, heads, depth, width
    module, inputs = attention(*sizes, masked=masked), random_inputs(*sizes)
    with load(compile(module, target=target), threads=threads) as program:
        (result,) = program.run(inputs)
    # Scores are sums of `depth` products of normal numbers, whose rounding the exponential makes relative; the result
    # is a mean of values.
    error = (depth + columns) * np.finfo(np.float32).eps * np.sqrt(depth) * 4
    np.testing.assert_allclose(result, expected(*inputs, heads, masked=masked), atol=error)


def test_the_whole_of_it_is_one_dispatch() -> None:
    assert names(attention(16, 32, 2, 32, 16)) == ["attention"]
    assert names(attention(16, 32, 2, 32, 16, masked=False)) == ["attention"]


@pytest.mark.parametrize("sizes", [(8, 32, 2, 32, 16), (16, 33, 2, 32, 16), (16, 32, 2, 16, 16), (16, 32, 2, 32, 17)])
def test_other_sizes_are_computed_step_by_step(sizes: tuple[int, ...]) -> None:
    rows, columns, heads, depth, width = sizes
    assert "attention" not in names(attention(rows, columns, heads, depth, width))
    inputs = random_inputs(rows, columns, heads, depth, width)
    with load(compile(attention(rows, columns, heads, depth, width))) as program:
        (result,) = program.run(inputs)
    np.testing.assert_allclose(result, expected(*inputs, heads), atol=1e-4)


def test_scores_that_something_else_reads_are_not_hidden() -> None:
    program = Program(np.float32, (2, 16, 32), (2, 32, 32), (2, 32, 16))
    query, key, value = program.inputs
    weights = softmax(program, program.matmul(query, key))
    mixed = program.matmul(weights, value)
    assert "attention" not in names(program.finish(mixed, weights))


def test_in_bf16_both_products_read_it() -> None:
    sizes = 20, 48, 2, 64, 32
    inputs = random_inputs(*sizes)
    with load(compile(attention(*sizes), precision="bf16")) as program:
        (result,) = program.run(inputs)
    # Operands and weights are rounded to eight bits: scores, sums of 64 products, are off by some 64**.5 * 2**-9 / 8.
    error = np.abs(result - expected(*inputs, sizes[2]))
    assert 1e-4 < error.max() < 0.05
