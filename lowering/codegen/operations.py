"""Arithmetic on operands alone: how each operation of arith and math on floats and on integers is emitted."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects import arith, math
from xdsl.ir import Operation

from ..dialects.math import ErfcOp
from . import f64_error, f64_exponential, f64_logarithm, f64_trigonometry, integer, math_functions, trigonometry
from .emit import Function
from .types import F32, F64, I1, Value, element_of

Emit = Callable[..., Value]


def _maximum(f: Function, a: Value, b: Value) -> Value:
    return _extremum(f, "ogt", a, b)


def _minimum(f: Function, a: Value, b: Value) -> Value:
    return _extremum(f, "olt", a, b)


def _extremum(f: Function, predicate: str, a: Value, b: Value) -> Value:
    """NaN if either is; which zero wins is not told. x86's min and max drop a NaN in their first operand."""
    if not a.text.startswith(("%", "<")):
        a, b = b, a
    result = f.select(f.fcmp(predicate, b, a), b, a)  # a where either is NaN
    if not b.text.startswith(("%", "<")):
        return result
    return f.select(f.fcmp("uno", b, b), b, result)


def _maximum_number(f: Function, a: Value, b: Value) -> Value:
    return _extremum_number(f, "ogt", a, b)


def _minimum_number(f: Function, a: Value, b: Value) -> Value:
    return _extremum_number(f, "olt", a, b)


def _extremum_number(f: Function, predicate: str, a: Value, b: Value) -> Value:
    """The other if one is NaN. Spelled out: LLVM's own may become a call of fmaxf."""
    result = f.select(f.fcmp(predicate, a, b), a, b)  # b where either is NaN
    return f.select(f.fcmp("uno", b, b), a, result)


def _intrinsic(name: str, *extra: tuple[str, int]) -> Emit:
    def emit(f: Function, *values: Value) -> Value:
        flags = [f.const(type, value) for type, value in extra]
        return f.call_intrinsic(name, values[0].type, [*values, *flags])

    return emit


def _round_half_away(f: Function, x: Value) -> Value:
    """Adding the float below a half, with the sign of x, keeps 0.49999997 from rounding up."""
    below_half = f.const(x.type, float.fromhex("0x1.fffffep-2") if element_of(x.type) == F32 else 0.49999999999999994)
    return f.call_intrinsic("llvm.trunc", x.type, [f.fadd(x, math_functions.copysign(f, below_half, x))])


def _fused(f: Function, a: Value, b: Value, c: Value) -> Value:
    return f.fma(a, b, c)


def _function(double: Emit, single: Emit | None = None) -> Emit:
    """A function of f64 and of f32; where the latter has no code of its own, rounded from f64."""

    def emit(f: Function, *values: Value) -> Value:
        if element_of(values[0].type) == F64:
            return double(f, *values)
        if single is not None:
            return single(f, *values)
        wide = double(f, *(f.cast("fpext", value, F64) for value in values))
        return f.cast("fptrunc", wide, F32)

    return emit


def _power_f64(f: Function, x: Value, y: Value) -> Value:
    return math_functions.signed_power(f, x, y, f64_logarithm.pow_of_magnitude(f, math_functions.fabs(f, x), y))


def power_of_integer(f: Function, x: Value, exponent: Value) -> Value:
    """math.fpowi: x to an integer power, by way of f64, which holds every i32."""
    wide, y = f.cast("fpext", x, F64), f.cast("sitofp", exponent, F64)
    return f.cast("fptrunc", _power_f64(f, wide, y), element_of(x.type))


FLOAT: dict[type[Operation], Emit] = {
    arith.AddfOp: Function.fadd,
    arith.SubfOp: Function.fsub,
    arith.MulfOp: Function.fmul,
    arith.DivfOp: Function.fdiv,
    arith.NegfOp: Function.fneg,
    arith.MaximumfOp: _maximum,
    arith.MinimumfOp: _minimum,
    arith.MaxnumfOp: _maximum_number,
    arith.MinnumfOp: _minimum_number,
    math.AbsFOp: math_functions.fabs,
    math.CopySignOp: math_functions.copysign,
    math.CeilOp: _intrinsic("llvm.ceil"),
    math.FloorOp: _intrinsic("llvm.floor"),
    math.TruncOp: _intrinsic("llvm.trunc"),
    math.RoundOp: _round_half_away,
    math.RoundEvenOp: _intrinsic("llvm.roundeven"),
    math.SqrtOp: _intrinsic("llvm.sqrt"),
    math.RsqrtOp: math_functions.rsqrt,
    math.FmaOp: _fused,
    math.ExpOp: _function(f64_exponential.exp, math_functions.exp),
    math.Exp2Op: _function(f64_exponential.exp2),
    math.ExpM1Op: _function(f64_exponential.expm1),
    math.LogOp: _function(f64_logarithm.log, math_functions.log),
    math.Log2Op: _function(f64_logarithm.log2),
    math.Log10Op: _function(f64_logarithm.log10),
    math.Log1pOp: _function(f64_logarithm.log1p),
    math.PowFOp: _function(_power_f64, math_functions.pow),
    math.CbrtOp: _function(f64_logarithm.cbrt),
    math.TanhOp: _function(f64_exponential.tanh, math_functions.tanh),
    math.SinhOp: _function(f64_exponential.sinh),
    math.CoshOp: _function(f64_exponential.cosh),
    math.AsinhOp: _function(f64_logarithm.asinh),
    math.AcoshOp: _function(f64_logarithm.acosh),
    math.AtanhOp: _function(f64_logarithm.atanh),
    math.SinOp: _function(f64_trigonometry.sin, trigonometry.sin),
    math.CosOp: _function(f64_trigonometry.cos, trigonometry.cos),
    math.TanOp: _function(f64_trigonometry.tan),
    math.AsinOp: _function(f64_trigonometry.asin),
    math.AcosOp: _function(f64_trigonometry.acos),
    math.AtanOp: _function(f64_trigonometry.atan),
    math.Atan2Op: _function(f64_trigonometry.atan2),
    math.ErfOp: _function(f64_error.erf, math_functions.erf),
    ErfcOp: _function(f64_error.erfc),
}
INTEGER: dict[type[Operation], Emit] = {
    arith.AddiOp: Function.add,
    arith.SubiOp: Function.sub,
    arith.MuliOp: Function.mul,
    arith.DivSIOp: lambda f, a, b: integer.divide(f, a, b, signed=True),
    arith.DivUIOp: lambda f, a, b: integer.divide(f, a, b, signed=False),
    arith.RemSIOp: lambda f, a, b: integer.remainder(f, a, b, signed=True),
    arith.RemUIOp: lambda f, a, b: integer.remainder(f, a, b, signed=False),
    arith.FloorDivSIOp: integer.floor_divide,
    arith.CeilDivSIOp: integer.ceil_divide,
    arith.CeilDivUIOp: integer.ceil_divide_unsigned,
    arith.MaxSIOp: _intrinsic("llvm.smax"),
    arith.MinSIOp: _intrinsic("llvm.smin"),
    arith.MaxUIOp: _intrinsic("llvm.umax"),
    arith.MinUIOp: _intrinsic("llvm.umin"),
    arith.AndIOp: Function.and_,
    arith.OrIOp: Function.or_,
    arith.XOrIOp: Function.xor,
    arith.ShLIOp: Function.shl,
    arith.ShRSIOp: Function.ashr,
    arith.ShRUIOp: Function.lshr,
    math.AbsIOp: _intrinsic("llvm.abs", (I1, 0)),
    math.CountLeadingZerosOp: _intrinsic("llvm.ctlz", (I1, 0)),
    math.CountTrailingZerosOp: _intrinsic("llvm.cttz", (I1, 0)),
    math.CtPopOp: _intrinsic("llvm.ctpop"),
    math.IPowIOp: integer.power,
}

UNSIGNED = (
    *(arith.DivUIOp, arith.RemUIOp, arith.CeilDivUIOp, arith.ShRUIOp),
    *(math.CountLeadingZerosOp, math.CountTrailingZerosOp, math.CtPopOp),
)
"""What sees the bits of an integer as they are: of an odd width, those above must be zero, not copies of the sign."""
