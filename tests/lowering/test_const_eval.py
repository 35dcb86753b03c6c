"""const-eval: programs that depend on constants only become constants of the same types and values."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.lowering import pipeline
from tosaic.lowering.meaning import evaluate
from tosaic.lowering.pipeline import Options
from tosaic.lowering.target import resolve_target
from tosaic.runtime.device import DeviceSpec
from tosaic.tosa import dialect as tosa
from xdsl.dialects.builtin import ModuleOp, f16
from xdsl.dialects.func import FuncOp

from .tosa_to_linalg.equivalence import Array, build, constant, zero_point


def evaluated(module: ModuleOp) -> Array:
    """The one result of a module without inputs, which const-eval must have made a constant."""
    options = Options((DeviceSpec("cpu"),), {"cpu": resolve_target("x86-64-v4+vnni")})
    pipeline.run(module, options, stop_after="const-eval")
    (function,) = module.ops
    assert isinstance(function, FuncOp)
    assert [op.name for op in function.body.block.ops] == ["tosa.const", "func.return"]
    (result,) = evaluate(module, "main", [])
    return result


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_element_wise_on_constants(shape: tuple[int, ...]) -> None:
    operands = [constant(np.full(shape, value), np.int8) for value in (3, 4)]
    result = evaluated(build(operands, tosa.BitwiseOrOp))
    assert result.dtype == np.int8
    np.testing.assert_array_equal(result, np.full(shape, 7))


def test_convolution_of_constants_summed_in_half_precision() -> None:
    image, filter = np.ones((1, 4, 4, 8), np.float16), np.ones((5, 3, 3, 8), np.float16)
    operands = [constant(image, np.float16), constant(filter, np.float16), constant(np.arange(5), np.float16)]
    zeros = [zero_point(0, np.float16)] * 2
    module = build(
        [*operands, *zeros],
        lambda *values: tosa.Conv2DOp(*values, pad=[0] * 4, stride=[1, 1], dilation=[1, 1], acc_type=f16),
    )
    result = evaluated(module)
    assert result.dtype == np.float16
    np.testing.assert_array_equal(result, np.broadcast_to(72 + np.arange(5), (1, 2, 2, 5)))
