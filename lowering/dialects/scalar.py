"""Scalar operations of `linalg.generic` bodies that neither arith nor math has."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerType, UnitAttr, i8, i32
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from ...tosa.dialect import RoundingModeAttr
from ...tosa.dialect.base import TosaOp

FLUSHES_SUBNORMALS = "scalar.flushes_subnormals"
"""The attribute of an `arith.truncf` that may take subnormals for zero, as instructions that round to bf16 do."""


@irdl_op_definition
class ApplyScaleOp(TosaOp):
    """Requantisation of one accumulator: round(value * multiplier / 2**shift), exact in integers (TOSA 1.0, 1.8).

    `value` is i32 or i48, `multiplier` a non-negative i32, `shift` an i8 in 2..62; the result is i32.
    SINGLE_ROUND is (value * multiplier + (1 << shift - 1)) >> shift in 64 bits. DOUBLE_ROUND, where shift > 31, first
    adds 1 << 30 with the sign of `value` to the rounding term, which is how gemmlowp rounds twice.
    It stays one operation until code generation, so that a target can use its own multiply-high instructions.
    With `high_half` every shift is at least 32, so that the upper halves of 64-bit products decide the result.
    `ApplyScaleOp(value, multiplier, shift, "DOUBLE_ROUND")`; load it with `Context.load_op`, as the rest of its dialect
    is in `tosaic.tosa`.
    """

    name = "tosa.apply_scale"

    value = operand_def(IntegerType)
    multiplier = operand_def(i32)
    shift = operand_def(i8)
    rounding_mode = prop_def(RoundingModeAttr)
    high_half = opt_prop_def(UnitAttr)
    output = result_def(i32)

    traits = traits_def(Pure())

    @property
    def double_round(self) -> bool:
        return self.rounding_mode.data == "DOUBLE_ROUND"

    def infer(self) -> Sequence[Attribute]:
        if self.value.type not in (i32, IntegerType(48)):
            self.fail(f"value must be i32 or i48, got {self.value.type}")
        return [i32]
