"""Requantisation (TOSA 1.0, section 2.9.2): exact integer arithmetic around `tosa.apply_scale`."""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType, i32
from xdsl.ir import Attribute, SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect import constant
from ...tosa.dialect.types import element_of, shape_of
from .body import Body
from .builder import Builder, CannotLower, Mapped, constant_scalar, last_dim_map
from .elementwise import saturate
from .registry import lowers


@lowers(tosa.RescaleOp)
def _rescale(op: tosa.RescaleOp, b: Builder) -> SSAValue:
    shape, target = shape_of(op.output), element_of(op.output)
    input_unsigned, output_unsigned = op.plain("input_unsigned"), op.plain("output_unsigned")
    input_zp = _zero_point(op.input_zp, "input_zp", input_unsigned)
    output_zp = _zero_point(op.output_zp, "output_zp", output_unsigned)
    source = element_of(op.input)
    assert isinstance(source, IntegerType)
    wide = source if source.width.data > 32 else i32
    shifts = constant(op.shift)
    high_half = shifts is not None and bool((shifts >= 32).all())

    def body(body: Body, x: SSAValue, multiplier: SSAValue, shift: SSAValue) -> SSAValue:
        value = body.widen(x, wide, unsigned=input_unsigned)
        if input_zp:
            value = body.sub(value, body.constant(input_zp, wide))
        scaled = body.apply_scale(value, body.widen(multiplier, i32), shift, op.plain("rounding_mode"), high_half)
        if output_zp:
            scaled = body.add(scaled, body.constant(output_zp, i32))
        return _limit(body, scaled, target, output_unsigned)

    parameters = [_parameter(value, len(shape)) for value in (op.multiplier, op.shift)]
    return b.elementwise([op.input, *parameters], shape, target, body)


def _parameter(value: SSAValue, rank: int) -> SSAValue | Mapped:
    """A multiplier or shift: a scalar of the body, or one per channel."""
    known = constant(value)
    return value if known is not None and known.size == 1 else (value, last_dim_map(rank))


def _limit(b: Body, value: SSAValue, target: Attribute, unsigned: bool) -> SSAValue:
    assert isinstance(target, IntegerType)
    if target.width.data > 32:
        return b.widen(value, target)
    return saturate(b, value, target, unsigned)


def _zero_point(value: SSAValue, name: str, unsigned: bool) -> int:
    """A zero point, whose signless bits are read as unsigned where the tensor's are."""
    zero_point = constant_scalar(value, name)
    element = element_of(value)
    if not isinstance(element, IntegerType):
        raise CannotLower(f"{name} must be an integer, got {element}")
    return zero_point % (1 << element.width.data) if unsigned else zero_point
