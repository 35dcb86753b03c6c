"""Activation functions: clamp, erf, sigmoid, tanh (TOSA 1.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IntegerAttr, IntegerType, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ..numerics import clamp, erf, sigmoid
from .attributes import NanModeAttr
from .base import Array
from .elementwise import ElementwiseOp
from .types import element_of


class ActivationOp(ElementwiseOp):
    """A floating-point function of `input`; integer models use `tosa.table` instead."""

    input = operand_def(TensorType)
    output = result_def(TensorType)

    FLOAT_ONLY: ClassVar[bool] = True


@irdl_op_definition
class ClampOp(ElementwiseOp):
    """Limits `input` to [min_val, max_val], whose types are the element type."""

    name = "tosa.clamp"

    input = operand_def(TensorType)
    min_val = prop_def(IntegerAttr | FloatAttr)
    max_val = prop_def(IntegerAttr | FloatAttr)
    nan_mode = prop_def(NanModeAttr, default_value=NanModeAttr("PROPAGATE"))
    output = result_def(TensorType)

    def __init__(
        self, input: SSAValue | Operation, min_val: Any, max_val: Any, nan_mode: Any = "PROPAGATE", **named: Any
    ) -> None:
        element = element_of(SSAValue.get(input))
        super().__init__(input, _limit(min_val, element), _limit(max_val, element), nan_mode, **named)

    def infer(self) -> Sequence[Attribute]:
        element = element_of(self.input)
        if not self.min_val.type == element == self.max_val.type:
            self.fail(f"min_val and max_val must have the element type {element}")
        if np.less(self.max_val.value.data, self.min_val.value.data):
            self.fail(f"min_val {self.min_val} must not be greater than max_val {self.max_val}")
        return super().infer()

    def compute(self, *operands: Array) -> Array:
        return clamp(operands[0], self.min_val.value.data, self.max_val.value.data, self.nan_mode.data == "IGNORE")


def _limit(value: Any, element: Attribute) -> Attribute:
    if isinstance(value, Attribute):
        return value
    if isinstance(element, AnyFloat):
        return FloatAttr(float(value), element)
    assert isinstance(element, IntegerType)
    return IntegerAttr(int(value), element)


@irdl_op_definition
class ErfOp(ActivationOp):
    name = "tosa.erf"

    def compute(self, *operands: Array) -> Array:
        return erf(operands[0])


@irdl_op_definition
class SigmoidOp(ActivationOp):
    """1 / (1 + exp(-input))"""

    name = "tosa.sigmoid"

    def compute(self, *operands: Array) -> Array:
        return sigmoid(operands[0])


@irdl_op_definition
class TanhOp(ActivationOp):
    name = "tosa.tanh"

    def compute(self, *operands: Array) -> Array:
        return np.tanh(operands[0])
