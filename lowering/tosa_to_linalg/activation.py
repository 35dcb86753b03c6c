"""Activation functions and table look-up (TOSA 1.0, section 2.3)."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import f32, f64, i8, i32
from xdsl.ir import SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, shape_of
from .body import Body
from .builder import Builder
from .elementwise import elementwise
from .registry import lowers


@elementwise(tosa.ClampOp)
def _clamp(op: tosa.ClampOp, b: Body, x: SSAValue) -> SSAValue:
    return b.clamp(x, op.min_val.value.data, op.max_val.value.data, ignore_nan=op.plain("nan_mode") == "IGNORE")


@elementwise(tosa.SigmoidOp)
def _sigmoid(_: tosa.SigmoidOp, b: Body, x: SSAValue) -> SSAValue:
    """1 / (1 + exp(-x)): where the exponential overflows the quotient is 0, as it should be. Half precision in f32."""
    wide = b.widen(x, f32) if x.type != f64 else x
    one = b.like(1, wide)
    return b.narrow(b.divide(one, b.add(one, b.exp(b.append(arith.NegfOp(wide))))), x.type)


@lowers(tosa.TableOp)
def _table(op: tosa.TableOp, b: Builder) -> SSAValue:
    shape, element = shape_of(op.output), element_of(op.output)
    look_up = _look_up_byte if element_of(op.input1) == i8 else _interpolate
    return b.elementwise([op.input1], shape, element, lambda body, x: look_up(body, op.table, x))


def _look_up_byte(b: Body, table: SSAValue, x: SSAValue) -> SSAValue:
    position = b.add(b.widen(x, i32), b.constant(128, i32))
    return b.extract(table, [b.to_index(position)])


def _interpolate(b: Body, table: SSAValue, x: SSAValue) -> SSAValue:
    """Section 2.3.5: 513 entries for 9 bits of the index, between which 7 bits of fraction interpolate."""
    position = b.add(b.widen(x, i32), b.constant(1 << 15, i32))
    seven = b.constant(7, i32)
    entry = b.append(arith.ShRSIOp(position, seven))
    fraction = b.append(arith.AndIOp(position, b.constant(0x7F, i32)))
    base, following = (
        b.widen(b.extract(table, [b.to_index(index)]), i32) for index in (entry, b.add(entry, b.constant(1, i32)))
    )
    return b.add(b.append(arith.ShLIOp(base, seven)), b.mul(b.sub(following, base), fraction))
