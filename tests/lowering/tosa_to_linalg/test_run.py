from __future__ import annotations

import numpy as np
import pytest
from tosaic.lowering import tosa_to_linalg
from tosaic.lowering.meaning import evaluate
from tosaic.lowering.tosa_to_linalg.registry import LOWERINGS
from tosaic.runtime.errors import UnsupportedError
from tosaic.tosa import dialect as tosa
from tosaic.tosa.interpreter import evaluate as evaluate_tosa
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import TensorType, f32
from xdsl.dialects.tensor import DimOp

from .equivalence import build, floats, integers, lowered, names, shape

WITHOUT_LOWERING = {
    tosa.ConstOp,  # stays
    tosa.CustomOp,
    tosa.CondIfOp,
    tosa.WhileLoopOp,
    tosa.YieldOp,
    tosa.VariableOp,
    tosa.VariableReadOp,
    tosa.VariableWriteOp,
}


def test_every_operator_that_computes_on_tensors_has_a_lowering() -> None:
    shape_operators = {op for op in tosa.OPERATIONS if op.name.endswith("_shape") or op is tosa.DimOp}
    assert set(tosa.OPERATIONS) - set(LOWERINGS) == WITHOUT_LOWERING | shape_operators


def test_all_unsupported_operators_are_reported_in_order_with_their_names() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
          %first = "tosa.custom"(%x) <{operator_name = "a", domain_name = "d", implementation_attrs = ""}>
              : (tensor<2xf32>) -> tensor<2xf32>
          %sum = "tosa.add"(%first, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
          %second = "tosa.custom"(%sum) <{operator_name = "b", domain_name = "d", implementation_attrs = ""}>
              : (tensor<2xf32>) -> tensor<2xf32>
          return %second : tensor<2xf32>
        }
        """
    )
    with pytest.raises(UnsupportedError) as caught:
        tosa_to_linalg.run(module)
    first, second = caught.value.reasons
    assert first.startswith("tosa.custom %first")
    assert second.startswith("tosa.custom %second")


def test_operators_without_users_are_dropped() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
          %unused = "tosa.exp"(%x) : (tensor<2xf32>) -> tensor<2xf32>
          return %x : tensor<2xf32>
        }
        """
    )
    assert names(lowered(module)) == ["func.return"]


def test_a_dynamic_batch_takes_its_extent_from_the_operand() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<?x4xf32>, %y: tensor<1x4xf32>) -> tensor<?x4xf32> {
          %sum = "tosa.add"(%x, %y) : (tensor<?x4xf32>, tensor<1x4xf32>) -> tensor<?x4xf32>
          return %sum : tensor<?x4xf32>
        }
        """
    )
    after = lowered(module)
    assert any(isinstance(op, DimOp) for op in after.walk())
    x, y = floats(1, 3, 4), floats(2, 1, 4)
    np.testing.assert_array_equal(evaluate(after, "main", [x, y])[0], x + y)


NETWORK = """
func.func @main(%x: tensor<?x6x6x2xi8>) -> tensor<?x4xi32> {
  %w = "tosa.const"() <{values = dense<3> : tensor<2x3x3x2xi8>}> : () -> tensor<2x3x3x2xi8>
  %d = "tosa.const"() <{values = dense<-2> : tensor<3x3x2x2xi8>}> : () -> tensor<3x3x2x2xi8>
  %bias = "tosa.const"() <{values = dense<5> : tensor<1xi32>}> : () -> tensor<1xi32>
  %m = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
  %s = "tosa.const"() <{values = dense<36> : tensor<1xi8>}> : () -> tensor<1xi8>
  %zp = "tosa.const"() <{values = dense<-4> : tensor<1xi8>}> : () -> tensor<1xi8>
  %zp0 = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %zp32 = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %shape = "tosa.const_shape"() <{values = dense<[-1, 4]> : tensor<2xindex>}> : () -> !tosa.shape<2>
  %conv = "tosa.conv2d"(%x, %w, %bias, %zp, %zp0) <{pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>,
      dilation = array<i64: 1, 1>, acc_type = i32}>
      : (tensor<?x6x6x2xi8>, tensor<2x3x3x2xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<?x6x6x2xi32>
  %byte = "tosa.rescale"(%conv, %m, %s, %zp32, %zp) <{scale32 = true, rounding_mode = #tosa.rounding_mode<SINGLE_ROUND>,
      per_channel = false, input_unsigned = false, output_unsigned = false}>
      : (tensor<?x6x6x2xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<?x6x6x2xi8>
  %pool = "tosa.max_pool2d"(%byte) <{kernel = array<i64: 2, 2>, stride = array<i64: 2, 2>,
      pad = array<i64: 0, 0, 0, 0>}>
      : (tensor<?x6x6x2xi8>) -> tensor<?x3x3x2xi8>
  %depthwise = "tosa.depthwise_conv2d"(%pool, %d, %bias, %zp, %zp0) <{pad = array<i64: 0, 0, 0, 0>,
      stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>, acc_type = i32}>
      : (tensor<?x3x3x2xi8>, tensor<3x3x2x2xi8>, tensor<1xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<?x1x1x4xi32>
  %y = "tosa.reshape"(%depthwise, %shape) : (tensor<?x1x1x4xi32>, !tosa.shape<2>) -> tensor<?x4xi32>
  return %y : tensor<?x4xi32>
}
"""


def test_a_network_of_dynamic_batch_runs_at_any_batch() -> None:
    module = parse(NETWORK)
    after = lowered(module)
    for batch in (1, 3):
        images = integers(batch, np.int8, batch, 6, 6, 2)
        expected = evaluate_tosa(module, "main", [images])
        np.testing.assert_array_equal(evaluate(after, "main", [images])[0], expected[0])


def test_an_extent_that_nothing_tells_is_reported() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<1x?x?x1xf32>, %w: tensor<1x1x1x1xf32>, %b: tensor<1xf32>) -> tensor<1x?x?x1xf32> {
          %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
          %y = "tosa.conv2d"(%x, %w, %b, %zp, %zp) <{pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>,
              dilation = array<i64: 1, 1>, acc_type = f32}>
              : (tensor<1x?x?x1xf32>, tensor<1x1x1x1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>)
              -> tensor<1x?x?x1xf32>
          return %y : tensor<1x?x?x1xf32>
        }
        """
    )
    with pytest.raises(UnsupportedError, match="--shape"):
        tosa_to_linalg.run(module)


def test_names_survive() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
          %scores = "tosa.exp"(%x) : (tensor<2xf32>) -> tensor<2xf32>
          return %scores : tensor<2xf32>
        }
        """
    )
    (generic,) = (op for op in lowered(module).walk() if op.name == "linalg.generic")
    assert generic.results[0].name_hint == "scores"


def test_constants_that_only_described_shapes_are_gone() -> None:
    module = build([floats(3, 2, 3), shape(6)], tosa.ReshapeOp)
    after = lowered(module)
    assert names(after) == ["tensor.collapse_shape", "func.return"]
    (function,) = after.ops
    assert function.function_type.outputs.data == (TensorType(f32, [6]),)  # pyright: ignore
