"""The index of the greatest or smallest element along an axis."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import cast
from ...registry import shape_of
from ..legalization import Context, Operator, legalize
from .axes import normalize_axis


@legalize("ARG_MAX", "ARG_MIN")
def arg_max(op: Operator, context: Context) -> SSAValue:
    """The first of equal elements wins, in TOSA as in TFLite."""
    x = context.value(op.input(0))
    axis = normalize_axis(int(context.constant_data(op.input(1)).item()), len(shape_of(x)))
    if op.name == "ARG_MIN":
        x = _reversed_order(context, x)
    return cast(context, context.add(tosa.ArgMaxOp(x, axis=axis)), op.output().element_type)


def _reversed_order(context: Context, x: SSAValue) -> SSAValue:
    """Values in the opposite order: -x of floats; of integers ~x = -x - 1, which cannot overflow."""
    if isinstance(element_of(x), IntegerType):
        return context.add(tosa.BitwiseNotOp(x))
    return context.add(tosa.SubOp(context.splat(0, like=x), x))
