"""Type conversion: cast and rescale (TOSA 1.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, BoolAttr, IntegerType, TensorType, i1, i8, i16, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from ..elements import numpy_dtype
from ..numerics import apply_scale_16, apply_scale_32, integer_limits, saturate
from .attributes import RoundingModeAttr
from .base import Array, TosaOp, constant
from .types import element_of, is_float, ranked, shape_of


class ConversionOp(TosaOp):
    """The result has the shape of the input and a free element type, which construction takes as `element_type`."""

    traits = traits_def(Pure())

    def __init__(
        self,
        input: SSAValue | Operation,
        *arguments: Any,
        element_type: Attribute | None = None,
        result_types: Sequence[Attribute] | None = None,
        **named: Any,
    ) -> None:
        if result_types is None:
            if element_type is None:
                raise TypeError(f"{self.name} needs element_type")
            result_types = [TensorType(element_type, shape_of(SSAValue.get(input)))]
        super().__init__(input, *arguments, result_types=result_types, **named)

    def infer(self) -> Sequence[Attribute]:
        return [TensorType(element_of(self.results[0]), shape_of(self.operands[0]))]


@irdl_op_definition
class CastOp(ConversionOp):
    """Converts values: float to integer rounds to nearest even and saturates, integer to narrower integer wraps."""

    name = "tosa.cast"

    input = operand_def(TensorType)
    output = result_def(TensorType)

    def __init__(self, input: SSAValue | Operation, element_type: Attribute | None = None, **named: Any) -> None:
        super().__init__(input, element_type=element_type, **named)

    def meaning(self, *operands: Array) -> Array:
        (values,) = operands
        source, target = element_of(self.input), element_of(self.output)
        if target == i1:
            return values != 0
        if is_float(target):
            return values.astype(np.float64) if values.dtype.kind != "f" else values
        if is_float(source):
            limits = integer_limits(target)
            # f64 holds every limit of up to 32 bits, and rounding to even is exact in any float type.
            rounded = np.clip(np.rint(values.astype(np.float64)), *limits)
            return np.nan_to_num(rounded, nan=0.0).astype(numpy_dtype(target))
        return values.astype(numpy_dtype(target))


@irdl_op_definition
class RescaleOp(ConversionOp):
    """(input - input_zp) * multiplier / 2**shift + output_zp, rounded and saturated: exact integer arithmetic.

    `multiplier` (i32 if `scale32`, else i16) and `shift` (i8) have one element, or one per channel (last dimension)
    where `per_channel` holds. `input_unsigned` and `output_unsigned` read and write the signless bits as unsigned.
    """

    name = "tosa.rescale"

    input = operand_def(TensorType)
    multiplier = operand_def(TensorType)
    shift = operand_def(TensorType)
    input_zp = operand_def(TensorType)
    output_zp = operand_def(TensorType)
    scale32 = prop_def(BoolAttr)
    rounding_mode = prop_def(RoundingModeAttr)
    per_channel = prop_def(BoolAttr)
    input_unsigned = prop_def(BoolAttr)
    output_unsigned = prop_def(BoolAttr)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        source, target = element_of(self.input), element_of(self.output)
        if not isinstance(source, IntegerType) or not isinstance(target, IntegerType):
            self.fail(f"converts integers, got {self.input.type} and {self.output.type}")
        scale = i32 if self.plain("scale32") else i16
        if element_of(self.multiplier) != scale or element_of(self.shift) != i8:
            self.fail(f"multiplier must be {scale} and shift i8, got {self.multiplier.type}, {self.shift.type}")
        self.check_unsigned(source, target)
        self.check_zero(self.input_zp, source, self.plain("input_unsigned"), "input_zp")
        self.check_zero(self.output_zp, target, self.plain("output_unsigned"), "output_zp")
        shape = shape_of(self.input)
        if self.plain("per_channel") and not shape:
            self.fail("per_channel needs a channel dimension, the input has rank 0")
        channels = shape[-1] if self.plain("per_channel") and shape else 1
        for value, name in ((self.multiplier, "multiplier"), (self.shift, "shift")):
            (extent,) = ranked(value, 1, name)
            if DYNAMIC_INDEX not in (extent, channels) and extent != channels:
                self.fail(f"{name} must have {channels} elements, got {value.type}")
        return super().infer()

    def check_unsigned(self, source: IntegerType, target: IntegerType) -> None:
        """Only 8 and 16 bits can be unsigned, on one side, and not where the other side is an accumulator."""
        reads, writes = self.plain("input_unsigned"), self.plain("output_unsigned")
        wide = max(source.width.data, target.width.data) > 16
        if (reads and writes) or (wide and reads and target.width.data > 16) or (reads and source.width.data > 16):
            self.fail(f"input_unsigned cannot hold from {source} to {target}")
        if writes and wide:
            self.fail(f"output_unsigned cannot hold from {source} to {target}")
        if self.rounding_mode.data == "DOUBLE_ROUND" and not self.plain("scale32"):
            self.fail("rounding_mode DOUBLE_ROUND needs scale32")
        if self.plain("scale32") and source.width.data > 32:
            self.fail(f"{source} needs a 16-bit multiplier: scale32 must be false")

    def check_zero(self, zero_point: SSAValue, element: IntegerType, unsigned: bool, name: str) -> None:
        """An unsigned i16 has its zero at 0 or 32768; other types as everywhere."""
        value = constant(zero_point)
        if not (unsigned and element.width.data == 16):
            # Converters give a ui8 tensor a signless zero point of the same bits.
            self.check_zero_point(zero_point, _signless(element, element_of(zero_point)), name)
        elif value is not None and int(as_unsigned(value).item()) not in (0, 32768):
            self.fail(f"{name} of an unsigned i16 must be 0 or 32768, got {value.item()}")

    def meaning(self, *operands: Array) -> Array:
        values, multiplier, shift, input_zp, output_zp = operands
        if self.plain("input_unsigned"):
            values, input_zp = as_unsigned(values), as_unsigned(input_zp)
        unsigned = self.plain("output_unsigned")
        target_zp = int((as_unsigned(output_zp) if unsigned else output_zp).item())
        centred = values.astype(np.int64) - int(input_zp.item())
        if not self.plain("per_channel"):
            multiplier, shift = multiplier.reshape(()), shift.reshape(())
        if self.plain("scale32"):
            scaled = apply_scale_32(centred, multiplier, shift, self.rounding_mode.data == "DOUBLE_ROUND")
        else:
            scaled = apply_scale_16(centred, multiplier, shift)
        target = element_of(self.output)
        limited = saturate(scaled + target_zp, target, unsigned)
        dtype = numpy_dtype(target)
        # Unsigned results of a signless type keep their bits.
        return limited.astype(f"u{dtype.name}").view(dtype) if unsigned and dtype.kind == "i" else limited


def _signless(element: IntegerType, other: Attribute) -> IntegerType:
    """`other` where it differs from `element` in signedness only."""
    return other if isinstance(other, IntegerType) and other.width == element.width else element


def as_unsigned(values: Array) -> Array:
    """The bits of signless integers read as unsigned."""
    return values.view(f"u{values.dtype.name}") if values.dtype.kind == "i" else values
