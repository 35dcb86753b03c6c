"""Where a model meets its user: uint8 tensors outside, int8 inside.

TOSA 1.0 computes on signed integers; unsigned ones exist only in `tosa.rescale`, which reads or writes the bits of a
signless i8 as unsigned. So a uint8 argument is shifted by 128 where it enters, and back where it leaves.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import NoneAttr, f32, i8
from xdsl.ir import Attribute, SSAValue

from ...tosa import dialect as tosa
from .legalization import Context
from .model import Tensor


def element_type(tensor: Tensor) -> Attribute:
    """The element type of a function argument; any will do for one that is reported as unsupported."""
    return f32 if isinstance(tensor.element_type, NoneAttr) else tensor.element_type


def enter(context: Context, tensor: Tensor, argument: SSAValue) -> SSAValue:
    """The value that legalisations see for a function argument."""
    return _shift_by_128(context, argument, enters=True) if tensor.unsigned else argument


def leave(context: Context, tensor: Tensor, value: SSAValue) -> SSAValue:
    """The function result for `value`."""
    return _shift_by_128(context, value, enters=False) if tensor.unsigned else value


def _shift_by_128(context: Context, value: SSAValue, *, enters: bool) -> SSAValue:
    """value - 128 of unsigned, or value + 128 to unsigned; multiplier and shift make a factor of one."""
    signed_zero_point = context.zero_point(-128, i8)
    unsigned_zero_point = context.zero_point(0, i8)
    return context.add(
        tosa.RescaleOp(
            value,
            context.constant(np.full((1,), 1 << 30, np.int32)),
            context.constant(np.full((1,), 30, np.int8)),
            unsigned_zero_point if enters else signed_zero_point,
            signed_zero_point if enters else unsigned_zero_point,
            scale32=True,
            rounding_mode="SINGLE_ROUND",
            per_channel=False,
            input_unsigned=enters,
            output_unsigned=not enters,
            element_type=i8,
        )
    )
