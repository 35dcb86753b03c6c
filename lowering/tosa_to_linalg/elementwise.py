"""Element-wise operators: one `linalg.generic` each, whose body computes one element (TOSA 1.0, 2.4 to 2.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FixedBitwidthType, IntegerType, f32, i1, i32, i64
from xdsl.ir import Attribute, Operation, SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, is_float, shape_of
from .body import Body
from .builder import Builder, CannotLower, constant_scalar
from .registry import lowers

ScalarFunction: TypeAlias = Callable[..., SSAValue]
"""(operator, Body, *elements of its tensor operands) -> element of its result."""

_F = TypeVar("_F", bound=ScalarFunction)


def elementwise(*operators: type[Operation]) -> Callable[[_F], _F]:
    """Registers the decorated scalar function as what `operators` do to each element."""

    def register(function: _F) -> _F:
        @lowers(*operators)
        def lower(op: Any, b: Builder) -> SSAValue:
            result = op.results[0]
            operands = list(op.operands)[: _tensor_operands(op)]
            body = lambda body, *elements: function(op, body, *elements)  # noqa: E731
            return b.elementwise(operands, shape_of(result), element_of(result), body)

        return function

    return register


def _tensor_operands(op: Operation) -> int:
    """How many of the operands are tensors to go through; shifts and zero points come after them."""
    if isinstance(op, tosa.MulOp):
        return 2
    return 1 if isinstance(op, tosa.NegateOp) else len(op.operands)


_UNARY_FLOAT: dict[type[Operation], type[Operation]] = {
    tosa.CeilOp: math.CeilOp,
    tosa.CosOp: math.CosOp,
    tosa.ErfOp: math.ErfOp,
    tosa.ExpOp: math.ExpOp,
    tosa.FloorOp: math.FloorOp,
    tosa.LogOp: math.LogOp,
    tosa.RsqrtOp: math.RsqrtOp,
    tosa.SinOp: math.SinOp,
    tosa.TanhOp: math.TanhOp,
}
_BINARY: dict[type[Operation], type[Operation]] = {
    tosa.BitwiseAndOp: arith.AndIOp,
    tosa.BitwiseOrOp: arith.OrIOp,
    tosa.BitwiseXorOp: arith.XOrIOp,
    tosa.LogicalAndOp: arith.AndIOp,
    tosa.LogicalOrOp: arith.OrIOp,
    tosa.LogicalXorOp: arith.XOrIOp,
    tosa.IntDivOp: arith.DivSIOp,
    tosa.LogicalLeftShiftOp: arith.ShLIOp,
    tosa.LogicalRightShiftOp: arith.ShRUIOp,
    tosa.PowOp: math.PowFOp,
    tosa.SelectOp: arith.SelectOp,
}


@elementwise(*_UNARY_FLOAT, *_BINARY)
def _one_operation(op: Operation, b: Body, *elements: SSAValue) -> SSAValue:
    scalar: Any = _UNARY_FLOAT.get(type(op)) or _BINARY[type(op)]
    return b.append(scalar(*elements))


@elementwise(tosa.AddOp)
def _add(_: tosa.AddOp, b: Body, x: SSAValue, y: SSAValue) -> SSAValue:
    return b.add(x, y)


@elementwise(tosa.SubOp)
def _sub(_: tosa.SubOp, b: Body, x: SSAValue, y: SSAValue) -> SSAValue:
    return b.sub(x, y)


@elementwise(tosa.MulOp)
def _mul(op: tosa.MulOp, b: Body, x: SSAValue, y: SSAValue) -> SSAValue:
    if is_float(x.type):
        return b.mul(x, y)
    shift = constant_scalar(op.shift, "shift")
    if not shift:
        return b.mul(b.widen(x, i32), b.widen(y, i32))
    product = b.mul(b.widen(x, i64), b.widen(y, i64))
    rounded = b.add(product, b.constant(1 << (shift - 1), i64))
    return b.narrow(b.append(arith.ShRSIOp(rounded, b.constant(shift, i64))), i32)


@elementwise(tosa.ArithmeticRightShiftOp)
def _arithmetic_right_shift(op: tosa.ArithmeticRightShiftOp, b: Body, value: SSAValue, shift: SSAValue) -> SSAValue:
    shifted = b.append(arith.ShRSIOp(value, shift))
    if not op.plain("round"):
        return shifted
    zero, one = b.like(0, value), b.like(1, value)
    # A shift by -1 would be undefined, so that without a shift bit 0 is looked at and not used.
    before = b.append(arith.ShRSIOp(value, b.maximum(b.sub(shift, one), zero)))
    last_bit = b.append(arith.AndIOp(before, one))
    return b.add(shifted, b.select(b.compare("gt", shift, zero), last_bit, zero))


@elementwise(tosa.MaximumOp, tosa.MinimumOp)
def _extremum(op: tosa.MaximumOp | tosa.MinimumOp, b: Body, x: SSAValue, y: SSAValue) -> SSAValue:
    choose = b.maximum if isinstance(op, tosa.MaximumOp) else b.minimum
    return choose(x, y, ignore_nan=op.plain("nan_mode") == "IGNORE")


@elementwise(tosa.EqualOp, tosa.GreaterOp, tosa.GreaterEqualOp)
def _compare(op: Operation, b: Body, x: SSAValue, y: SSAValue) -> SSAValue:
    predicate = {tosa.EqualOp: "eq", tosa.GreaterOp: "gt", tosa.GreaterEqualOp: "ge"}[type(op)]
    return b.compare(predicate, x, y)


@elementwise(tosa.AbsOp)
def _abs(_: tosa.AbsOp, b: Body, x: SSAValue) -> SSAValue:
    return b.append(math.AbsFOp(x) if is_float(x.type) else math.AbsIOp(x))


@elementwise(tosa.ClzOp)
def _count_leading_zeros(_: tosa.ClzOp, b: Body, x: SSAValue) -> SSAValue:
    return b.append(math.CountLeadingZerosOp(x))


@elementwise(tosa.BitwiseNotOp, tosa.LogicalNotOp)
def _not(_: Operation, b: Body, x: SSAValue) -> SSAValue:
    return b.append(arith.XOrIOp(x, b.like(-1, x)))


@elementwise(tosa.ReciprocalOp)
def _reciprocal(_: tosa.ReciprocalOp, b: Body, x: SSAValue) -> SSAValue:
    return b.divide(b.like(1, x), x)


@elementwise(tosa.NegateOp)
def _negate(op: tosa.NegateOp, b: Body, x: SSAValue) -> SSAValue:
    if is_float(x.type):
        return b.append(arith.NegfOp(x))
    # output_zp - (x - input1_zp), in 32 bits where the type is narrower so that it can saturate.
    zero_points = constant_scalar(op.output_zp, "output_zp") + constant_scalar(op.input1_zp, "input1_zp")
    assert isinstance(x.type, IntegerType)
    if x.type.width.data >= 32:
        return b.sub(b.like(zero_points, x), x)
    return saturate(b, b.sub(b.constant(zero_points, i32), b.widen(x, i32)), x.type)


def saturate(b: Body, value: SSAValue, type: Attribute, unsigned: bool = False) -> SSAValue:
    """A wider integer limited to the range of `type` and cut down to it."""
    assert isinstance(type, IntegerType)
    if type == value.type:
        return value
    width = type.width.data
    low, high = (0, (1 << width) - 1) if unsigned else (-(1 << (width - 1)), (1 << (width - 1)) - 1)
    return b.narrow(b.clamp(value, low, high), type)


@lowers(tosa.CastOp)
def _cast(op: tosa.CastOp, b: Builder) -> SSAValue:
    target = element_of(op.output)
    if element_of(op.input) == target:
        return op.input
    return b.elementwise([op.input], shape_of(op.output), target, lambda body, x: cast(body, x, target))


@lowers(tosa.IdentityOp)
def _identity(op: tosa.IdentityOp, _: Builder) -> SSAValue:
    return op.input1


def cast(b: Body, x: SSAValue, target: Attribute) -> SSAValue:
    """`x` as a `target`: to integers rounding to nearest even and saturating, between integers wrapping."""
    source = x.type
    if not isinstance(source, FixedBitwidthType) or not isinstance(target, FixedBitwidthType):
        raise CannotLower(f"there is no cast from {source} to {target}")
    if is_float(source) and is_float(target):
        if source.bitwidth == target.bitwidth:  # f16 and bf16 hold different values: through f32
            return b.narrow(b.widen(x, f32), target)
        return b.widen(x, target) if target.bitwidth > source.bitwidth else b.narrow(x, target)
    if target == i1:
        return b.compare("ne", x, b.like(0, x))
    if is_float(target):
        convert: Any = arith.UIToFPOp if source == i1 else arith.SIToFPOp
        return b.append(convert(x, target))
    if is_float(source):
        return _float_to_integer(b, x, target)
    return b.widen(x, target) if target.bitwidth > source.bitwidth else b.narrow(x, target)


def _float_to_integer(b: Body, x: SSAValue, target: Attribute) -> SSAValue:
    assert isinstance(target, IntegerType)
    wide = b.widen(x, f32)  # holds the limits of i8 and i16, which half precision does not
    limit = float(1 << (target.width.data - 1))
    rounded = b.append(math.RoundEvenOp(wide))
    if target.width.data < 24:
        return b.append(arith.FPToSIOp(b.clamp(rounded, -limit, limit - 1), target))
    # The greatest integer is no f32: what reaches 2**(width-1) is replaced after the conversion.
    converted = b.append(arith.FPToSIOp(b.maximum(rounded, b.like(-limit, rounded)), target))
    too_great = b.compare("ge", rounded, b.like(limit, rounded))
    return b.select(too_great, b.constant((1 << (target.width.data - 1)) - 1, target), converted)
