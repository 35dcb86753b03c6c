"""Scalar operations of `linalg.generic` bodies that neither arith nor math has."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType, StringAttr, i8, i32
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class ApplyScaleOp(IRDLOperation):
    """Requantisation of one accumulator: round(value * multiplier / 2**shift), exact in integers (TOSA 1.0, 4.2).

    `value` is i32 or i48, `multiplier` a non-negative i32, `shift` an i8 in 2..62; the result is i32.
    SINGLE_ROUND is (value * multiplier + (1 << shift - 1)) >> shift in 64 bits. DOUBLE_ROUND, where shift > 31, first
    adds another 1 << 30 with the sign of `value`, which is how gemmlowp rounds twice.
    It stays one operation until code generation, so that a target can use its own multiply-high instructions.
    Load it with `Context.load_op`: its dialect, tosa, is defined by `tosaic.tosa`.
    """

    name = "tosa.apply_scale"

    value = operand_def(IntegerType)
    multiplier = operand_def(i32)
    shift = operand_def(i8)
    output = result_def(i32)
    rounding_mode = prop_def(StringAttr)

    traits = traits_def(Pure())
    assembly_format = (
        "$value `,` $multiplier `,` $shift $rounding_mode attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        value: SSAValue | Operation,
        multiplier: SSAValue | Operation,
        shift: SSAValue | Operation,
        *,
        double_round: bool,
    ) -> None:
        super().__init__(
            operands=[value, multiplier, shift],
            result_types=[i32],
            properties={"rounding_mode": StringAttr("DOUBLE_ROUND" if double_round else "SINGLE_ROUND")},
        )

    @property
    def double_round(self) -> bool:
        return self.rounding_mode.data == "DOUBLE_ROUND"

    def verify_(self) -> None:
        if self.value.type not in (i32, IntegerType(48)):
            raise VerifyException(f"tosa.apply_scale: value must be i32 or i48, got {self.value.type}")
        if self.rounding_mode.data not in ("SINGLE_ROUND", "DOUBLE_ROUND"):
            raise VerifyException(f"tosa.apply_scale: unknown rounding mode {self.rounding_mode}")
