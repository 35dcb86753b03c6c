"""Evaluation of whole modules: arguments, types, half and double precision, state."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.runtime.errors import ArgumentError
from tosaic.tosa import dialect as tosa
from tosaic.tosa import evaluate
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import TensorType, f16, f32

from .builders import constant, function, tensor, zero


def test_arguments_are_checked() -> None:
    module = function([tensor("float32", 2)], lambda x: tosa.ExpOp(x))
    with pytest.raises(ArgumentError, match="no function @other; the module has main"):
        evaluate(module, "other", [])
    with pytest.raises(ArgumentError, match="@main takes 1 inputs, got 0"):
        evaluate(module, "main", [])
    with pytest.raises(ArgumentError, match="takes tensor<2xf32>, got an array of float64"):
        evaluate(module, "main", [np.zeros(2)])


def test_every_half_precision_operator_rounds_its_result() -> None:
    """1 + 1/2048 is not in f16: added twice in f16 it stays 1, in f32 it does not."""
    x, step = np.array([1], np.float16), np.array([1 / 2048], np.float16)
    module = function([TensorType(f16, [1])] * 2, lambda a, b: tosa.AddOp(tosa.AddOp(a, b), b))
    assert evaluate(module, "main", [x, step])[0] == np.float16(1)
    assert evaluate(module, "main", [x, step], float64=True)[0] == 1 + 2 / 2048


def test_float64_keeps_every_intermediate_wide() -> None:
    module = function([TensorType(f32, [1])], lambda x: tosa.SubOp(tosa.AddOp(x, constant([1e8], "float32")), x))
    x = np.array([0.5], np.float32)
    assert evaluate(module, "main", [x])[0] == np.float32(1e8) - np.float32(0.5)
    assert evaluate(module, "main", [x], float64=True)[0] == 1e8
    half = function([TensorType(f32, [1])], lambda x: tosa.CastOp(tosa.CastOp(x, f16), f32))
    third = np.array([1 / 3], np.float32)
    assert evaluate(half, "main", [third])[0] == np.float32(np.float16(third[0]))
    assert evaluate(half, "main", [third], float64=True)[0] == third[0]


def test_variables_begin_anew_on_every_call() -> None:
    module = parse("""
      tosa.variable @total = dense<1.5> : tensor<1xf32>
      func.func @main(%x: tensor<1xf32>) -> tensor<1xf32> {
        %old = tosa.variable_read @total : tensor<1xf32>
        %new = tosa.add %old, %x : (tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32>
        tosa.variable_write @total, %new : tensor<1xf32>
        %read = tosa.variable_read @total : tensor<1xf32>
        return %read : tensor<1xf32>
      }""")
    for _ in range(2):
        assert evaluate(module, "main", [np.array([2], np.float32)])[0].tolist() == [3.5]


def test_a_dynamic_batch_takes_any_extent() -> None:
    module = parse("""
      func.func @main(%x: tensor<?x2xf32>) -> tensor<?x1xf32> {
        %sum = tosa.reduce_sum %x {axis = 1 : i32} : (tensor<?x2xf32>) -> tensor<?x1xf32>
        return %sum : tensor<?x1xf32>
      }""")
    for batch in (1, 3):
        assert evaluate(module, "main", [np.ones((batch, 2), np.float32)])[0].tolist() == [[2]] * batch


def test_multiplication_of_constants_keeps_inputs_unchanged() -> None:
    module = function([tensor("int32", 2)], lambda x: tosa.MulOp(x, x, zero("int8")))
    x = np.array([3, 4], np.int32)
    assert evaluate(module, "main", [x])[0].tolist() == [9, 16]
    assert x.tolist() == [3, 4]
