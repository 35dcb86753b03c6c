"""`tosa.apply_scale` in the fewest vector instructions that are exact: what follows every quantised contraction.

    (value * multiplier + rounding) >> shift, in 64 bits, with rounding = 2**(shift - 1)
    and, rounding twice, 2**30 more, or 2**30 less where the value is negative.

Multipliers of 32 by 32 bits take the lower halves of 64-bit lanes: even and odd lanes apart need no widening. Where no
shift is below 32, floor(floor(x / 2**32) / 2**(shift - 32)) is floor(x / 2**shift): the upper halves of both products,
put together again, are shifted as 32-bit lanes. All but the value is the same for a whole column, so that a vector
costs two multiplications, two additions, two shuffles and a shift.

Telling negative values from others costs four more. They round otherwise, but stay at most 0: for value < 0 and
shift >= 32, value * multiplier + 2**(shift - 1) + 2**30 < 2**shift. So where a zero point is added and then a limit not
below it enforced, as after a ReLU, their rounding does not matter.

Results that are limited to bytes take fewer still where a CPU has fused multiply-adds: see `float_scale`.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Operation, SSAValue

from ..dialects.scalar import ApplyScaleOp
from ..target import Target
from .emit import Function
from .float_scale import floor_in_float, scale_in_float
from .scaled_sum import MARGIN, ScaledSum
from .shifted_scale import constant_integer
from .types import I32, I64, Value, bits_of, lanes_of, vector_type


def apply_scale(
    f: Function,
    target: Target,
    operation: ApplyScaleOp,
    value: Value,
    multiplier: Value,
    shift: Value,
    mask: Value | None,
    get: Callable[[SSAValue], Value],
) -> Value:
    """The i32 result for `value` (i32 or i48), `multiplier` (i32) and `shift` (i8), all of the same number of lanes;
    those outside of `mask` may be anything. `get` has the lanes of what `value` was computed from."""
    double_round = operation.double_round
    high_half = operation.high_half is not None
    low, high = _limits(operation)
    signs = double_round and not (high_half and low >= 0)
    lanes = lanes_of(value.type)
    if value.type == vector_type(I32, lanes) and lanes % 2 == 0:

        def exact(f: Function, value: Value, multiplier: Value, shift: Value) -> Value:
            return _scale_pairs(f, operation, value, multiplier, shift, signs=signs)

        first = min(low, 0)
        narrow = first > -256 and high < first + 256
        if double_round and high_half and narrow and target.fma and target.has("avx2"):
            total = ScaledSum.of(operation, first)
            if total is not None:
                operands = value, multiplier, shift
                return floor_in_float(f, total.emit(f, get, lanes), first, MARGIN, operands, exact, mask)
            return scale_in_float(f, value, multiplier, shift, first, exact, mask, signs=signs)
        return exact(f, value, multiplier, shift)
    wide, factor = f.cast("sext", value, I64), f.cast("sext", multiplier, I64)
    negative = wide if bits_of(value.type) <= 32 else f.ashr(wide, f.const(wide.type, 32))
    amount = f.cast("zext", shift, I64)
    sum = _sum(f, wide, factor, amount, negative, double_round=double_round, high_half=high_half, signs=signs)
    return f.cast("trunc", f.ashr(sum, amount), I32)


def _scale_pairs(
    f: Function, operation: ApplyScaleOp, value: Value, multiplier: Value, shift: Value, *, signs: bool
) -> Value:
    """Of <2N x i32>: the even and the odd lanes as <N x i64>, then together again."""
    lanes = lanes_of(value.type)
    values, shifts = _even_odd(f, value), _even_odd(f, f.cast("zext", shift, I32))
    factors = _even_odd(f, multiplier)
    double_round, high_half = operation.double_round, operation.high_half is not None
    sums = [
        _sum(f, *parts, parts[0], double_round=double_round, high_half=high_half, signs=signs)
        for parts in zip(values, factors, shifts, strict=True)
    ]
    if not high_half:
        even, odd = (f.bitcast(f.ashr(sum, by), value.type) for sum, by in zip(sums, shifts, strict=True))
        return f.shuffle(even, odd, [lane - lane % 2 + (lanes if lane % 2 else 0) for lane in range(lanes)])
    even, odd = (f.bitcast(sum, value.type) for sum in sums)
    high = f.shuffle(even, odd, [lane + 1 if lane % 2 == 0 else lane + lanes for lane in range(lanes)])
    amount = f.cast("zext", shift, I32)
    return f.ashr(high, f.sub(amount, f.const(amount.type, 32)))


def _even_odd(f: Function, value: Value) -> tuple[Value, Value]:
    """The even and the odd of <2N x i32>, sign-extended to <N x i64>."""
    pairs = f.bitcast(value, vector_type(I64, lanes_of(value.type) // 2))
    half = f.const(pairs.type, 32)
    return f.ashr(f.shl(pairs, half), half), f.ashr(pairs, half)


def _sum(
    f: Function,
    value: Value,
    multiplier: Value,
    shift: Value,
    negative: Value,
    *,
    double_round: bool,
    high_half: bool,
    signs: bool,
) -> Value:
    """value * multiplier + rounding in i64. Bit 31 of `negative` tells whether the value is; `signs`, if it matters."""
    one = f.const(value.type, 1)
    rounding = f.shl(one, f.sub(shift, one))
    if double_round:
        # 1 << 30, less 1 << 31 where the value is negative: the sign of an i32 is that very bit.
        twice = f.const(value.type, 1 << 31)
        if not high_half:
            twice = f.select(f.icmp("ugt", shift, f.const(shift.type, 31)), twice, f.zero(value.type))
        rounding = f.add(rounding, f.const(value.type, 1 << 30) if high_half else f.lshr(twice, one))
        if signs:
            rounding = f.sub(rounding, f.and_(negative, twice))
    return f.add(f.op("mul", value, multiplier), rounding)


def _limits(operation: ApplyScaleOp) -> tuple[int, int]:
    """(low, high): results below low all end as the same value, and so do those above high. A result may have a zero
    point added, be limited, and be truncated where nothing is lost by that."""
    value: SSAValue = operation.output
    zero_point, low, high = 0, -(1 << 31), (1 << 31) - 1
    consumer = _only_consumer(value)
    if isinstance(consumer, arith.AddiOp):
        added = constant_integer(consumer.rhs if consumer.lhs is value else consumer.lhs)
        if added is None:
            return low, high
        zero_point, value, consumer = added, consumer.result, _only_consumer(consumer.result)
    while isinstance(consumer, arith.MaxSIOp | arith.MinSIOp | arith.TruncIOp):
        if isinstance(consumer, arith.TruncIOp):
            assert isinstance(consumer.result.type, IntegerType)
            half = 1 << (consumer.result.type.width.data - 1)
            if not -half <= low <= high < half:
                break
        else:
            limit = constant_integer(consumer.rhs if consumer.lhs is value else consumer.lhs)
            if limit is None:
                break
            if isinstance(consumer, arith.MaxSIOp):
                low, high = max(low, limit), max(high, limit)
            else:
                low, high = min(low, limit), min(high, limit)
        value, consumer = consumer.results[0], _only_consumer(consumer.results[0])
    return low - zero_point, high - zero_point


def _only_consumer(value: SSAValue) -> Operation | None:
    return value.get_user_of_unique_use()
