"""Bodies of `linalg.generic` as scalar or vector code: one rule per operation of arith, math, tensor and linalg.

A body runs for `lanes` consecutive iterations of one loop at once. Values that are the same in all lanes stay scalar
until they meet one that is not; an index that counts with the lanes is kept as its first value (a ramp), so that what
it addresses is one vector load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects import arith, linalg, math, tensor
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType, TensorType
from xdsl.ir import Block, Operation, SSAValue

from ...runtime.errors import UnsupportedError
from ..dialects.math import ClassificationOp, IsFiniteOp, IsInfOp, IsNaNOp, IsNormalOp
from ..dialects.scalar import FLUSHES_SUBNORMALS, ApplyScaleOp
from ..target import Target
from . import lookup
from .access import Tensor, to_register
from .conversions import float_cast, float_to_integer, round_to_bfloat
from .emit import Function
from .logistic import argument_of_logistic, has_logistic, logistic
from .operations import FLOAT, INTEGER, UNSIGNED, power_of_integer
from .requantize import apply_scale
from .shifted_scale import ShiftedScale
from .types import BF16, F16, F32, F64, I1, I64, Value, bits_of, element_of, lanes_of, register_type, vector_type
from .wide_functions import wide_function


@dataclass
class Scope:
    """What a body may refer to besides its arguments.

    `indices` are the loops' indices, of the first lane where they differ; the lanes run along loop `lane_dim`.
    `tensors` are those that `tensor.extract` may read; under `mask`, lanes outside of it must not touch memory.
    `scalars` are values computed around the body.
    """

    f: Function
    target: Target
    lanes: int = 1
    indices: Sequence[Value] = ()
    lane_dim: int | None = None
    tensors: Mapping[SSAValue, Tensor] = field(default_factory=dict)
    mask: Value | None = None
    scalars: Mapping[SSAValue, Value] = field(default_factory=dict)


def emit_body(scope: Scope, block: Block, arguments: Sequence[Value]) -> list[Value]:
    """The values that `block` yields; a result that is the same in all lanes may be a scalar.

    `arguments` are one Value per block argument, scalars or vectors of `scope.lanes`. Raises UnsupportedError for an
    operation without a rule.
    """
    body = _Body(scope, dict(zip(block.args, arguments, strict=True)))
    terminator = block.last_op
    assert terminator is not None
    for operation in block.ops:
        if operation is not terminator:
            body.run(operation)
    return [body.get(operand) for operand in terminator.operands]


def has_code(operation: Operation) -> bool:
    """Whether there is code for a scalar operation of this kind."""
    return type(operation) in _RULES


def emit_scalar(scope: Scope, operation: Operation) -> Value:
    """The result of a scalar operation whose operands are constants or among `scope.scalars`."""
    body = _Body(scope, {})
    body.run(operation)
    return body.get(operation.results[0])


class _Body:
    def __init__(self, scope: Scope, values: dict[SSAValue, Value]) -> None:
        self.scope = scope
        self.f = scope.f
        self.values = values
        self.ramps: dict[SSAValue, Value] = {}

    def run(self, operation: Operation) -> None:
        rule = _RULES.get(type(operation))
        if rule is None:
            raise UnsupportedError("no code can be generated", [f"{operation.name} in the body of a linalg.generic"])
        result = rule(self, operation)
        if result is not None:
            self.values[operation.results[0]] = result

    def get(self, value: SSAValue) -> Value:
        """The lanes of `value`, or the scalar they share."""
        known = self.values.get(value)
        if known is None and value in self.ramps:
            known = self.values[value] = lookup.index_vector(self.f, self.ramps[value], self.scope.lanes)
        if known is None and isinstance(value.owner, arith.ConstantOp):  # defined around the body
            known = self.values[value] = constant(self.f, value.owner)
        if known is None:
            known = self.scope.scalars.get(value)
        if known is None:
            raise UnsupportedError(
                "no code can be generated", [f"{value} is neither computed in the body nor constant"]
            )
        return known

    def operands(self, operation: Operation) -> list[Value]:
        """The operands, brought to the same number of lanes."""
        values = [self.get(operand) for operand in operation.operands]
        lanes = max(lanes_of(value.type) for value in values)
        return [self.f.splat(value, lanes) if lanes_of(value.type) != lanes else value for value in values]


Rule = Callable[[_Body, Any], Value | None]
_RULES: dict[type[Operation], Rule] = {}


def _rule(*operations: type[Operation]) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(operations, rule))
        return rule

    return register


def constant(f: Function, operation: arith.ConstantOp) -> Value:
    """An arith.constant as a literal."""
    value, type = operation.value, register_type(operation.result.type)
    if isinstance(value, IntegerAttr):
        number = value.value.data
        if isinstance(value.type, IntegerType) and type != I1:  # 255 is a way to write the i8 of all ones
            half = 1 << (value.type.width.data - 1)
            number = (number + half) % (2 * half) - half
        return f.const(type, number)
    if isinstance(value, FloatAttr):
        return f.const(type, value.value.data)
    raise UnsupportedError("no code can be generated", [f"constant {value} in the body of a linalg.generic"])


@_rule(*FLOAT)
def _float_arithmetic(body: _Body, operation: Operation) -> Value:
    """f16 and bf16 are computed in f32: rounding twice is exact for + - * / sqrt, as 24 >= 2 * 11 + 2 bits."""
    values = body.operands(operation)
    element = element_of(values[0].type)
    values = [_as_f32(body, value) for value in values]
    emit = wide_function(body.scope.target, type(operation), values[0].type) or FLOAT[type(operation)]
    result = emit(body.f, *values)
    return float_cast(body.f, body.scope.target, result, element)


@_rule(arith.DivfOp)
def _divide_floats(body: _Body, operation: arith.DivfOp) -> Value | None:
    argument = argument_of_logistic(operation)
    if argument is not None:
        x = body.get(argument)
        if has_logistic(body.scope.target, x.type):
            return logistic(body.f, x)  # LLVM drops the parts, which nothing reads any more
    return _float_arithmetic(body, operation)


@_rule(*INTEGER)
def _integer_arithmetic(body: _Body, operation: Operation) -> Value:
    width = _width(operation.results[0])
    values = body.operands(operation)
    spare = bits_of(values[0].type) - width
    if not spare:
        return INTEGER[type(operation)](body.f, *values)
    if isinstance(operation, UNSIGNED):
        values = [_zero_extended(body, value, width) for value in values]
    result = INTEGER[type(operation)](body.f, *values)
    if isinstance(operation, math.CountLeadingZerosOp):
        result = body.f.sub(result, body.f.const(result.type, spare))
    elif isinstance(operation, math.CountTrailingZerosOp):
        result = body.f.call_intrinsic("llvm.umin", result.type, [result, body.f.const(result.type, width)])
    return _sign_extended(body, result, width)


def _width(value: SSAValue) -> int:
    """The bits of an integer type; of an index those of its register."""
    return value.type.width.data if isinstance(value.type, IntegerType) else bits_of(register_type(value.type))


def _sign_extended(body: _Body, value: Value, width: int) -> Value:
    """The low bits of a register as the signed number they are: so i4 and i48 are held."""
    spare = bits_of(value.type) - width
    if not spare:
        return value
    amount = body.f.const(value.type, spare)
    return body.f.ashr(body.f.shl(value, amount), amount)


def _zero_extended(body: _Body, value: Value, width: int) -> Value:
    """The low bits of a register with zeros above."""
    spare = bits_of(value.type) - width
    return body.f.and_(value, body.f.const(value.type, (1 << width) - 1)) if spare else value


@_rule(arith.AddUIExtendedOp)
def _add_with_carry(body: _Body, operation: arith.AddUIExtendedOp) -> Value:
    width = _width(operation.sum)
    values = body.operands(operation)
    total = _sign_extended(body, body.f.add(*values), width)
    less = body.f.icmp("ult", *(_zero_extended(body, value, width) for value in (total, values[0])))
    body.values[operation.overflow] = less
    return total


@_rule(arith.MulSIExtendedOp, arith.MulUIExtendedOp)
def _multiply_extended(body: _Body, operation: arith.MulSIExtendedOp | arith.MulUIExtendedOp) -> Value:
    f, width = body.f, _width(operation.results[0])
    values = body.operands(operation)
    element, signed = element_of(values[0].type), isinstance(operation, arith.MulSIExtendedOp)
    if not signed:
        values = [_zero_extended(body, value, width) for value in values]
    wide = f"i{2 * bits_of(element)}"
    left, right = (f.cast("sext" if signed else "zext", value, wide) for value in values)
    product = f.op("mul", left, right)
    high = f.lshr(product, f.const(product.type, width))
    low, top = (_sign_extended(body, f.cast("trunc", part, element), width) for part in (product, high))
    body.values[operation.results[1]] = top
    return low


@_rule(math.FPowIOp)
def _power_of_integer(body: _Body, operation: math.FPowIOp) -> Value:
    base, exponent = body.operands(operation)
    result = power_of_integer(body.f, _as_f32(body, base), exponent)
    return float_cast(body.f, body.scope.target, result, element_of(base.type))


@_rule(arith.AddiOp, arith.SubiOp)
def _add_to_ramp(body: _Body, operation: Operation) -> Value | None:
    """Moving a ramp by what all lanes share leaves a ramp."""
    left, right = operation.operands
    adds = isinstance(operation, arith.AddiOp)
    if adds and right in body.ramps:
        left, right = right, left
    shared = right not in body.ramps and not body.get(right).type.startswith("<")
    if left not in body.ramps or not shared:
        return _integer_arithmetic(body, operation)
    base, offset = body.ramps[left], body.get(right)
    body.ramps[operation.results[0]] = body.f.add(base, offset) if adds else body.f.sub(base, offset)
    return None


# Comparisons and selection

_INTEGER_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
_FLOAT_PREDICATES = (
    *("false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord"),
    *("ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true"),
)


@_rule(arith.CmpiOp)
def _compare_integers(body: _Body, operation: arith.CmpiOp) -> Value:
    # Unsigned order holds for sign-extended bits, too: they are above all others if the top one is set.
    return body.f.icmp(_INTEGER_PREDICATES[operation.predicate.value.data], *body.operands(operation))


@_rule(arith.CmpfOp)
def _compare_floats(body: _Body, operation: arith.CmpfOp) -> Value:
    a, b = (_as_f32(body, value) for value in body.operands(operation))
    return body.f.fcmp(_FLOAT_PREDICATES[operation.predicate.value.data], a, b)


@_rule(IsNaNOp, IsInfOp, IsFiniteOp, IsNormalOp)
def _classify(body: _Body, operation: ClassificationOp) -> Value:
    f, value = body.f, body.get(operation.operand)
    element = element_of(value.type)
    if isinstance(operation, IsNaNOp):
        wide = _as_f32(body, value)
        return f.fcmp("uno", wide, wide)
    # Infinity and the smallest normal number by their bits, which order as the magnitudes do.
    mantissa = {F16: 10, BF16: 7, F32: 23, F64: 52}[element]
    width = bits_of(element)
    bits = f.bitcast(value, vector_type(f"i{width}", lanes_of(value.type)))
    magnitude = f.and_(bits, f.const(bits.type, (1 << (width - 1)) - 1))
    infinity = f.const(bits.type, ((1 << (width - 1 - mantissa)) - 1) << mantissa)
    if isinstance(operation, IsInfOp):
        return f.icmp("eq", magnitude, infinity)
    finite = f.icmp("ult", magnitude, infinity)
    if isinstance(operation, IsFiniteOp):
        return finite
    return f.and_(finite, f.icmp("uge", magnitude, f.const(bits.type, 1 << mantissa)))


@_rule(arith.SelectOp)
def _select(body: _Body, operation: arith.SelectOp) -> Value:
    return body.f.select(*body.operands(operation))


def _as_f32(body: _Body, value: Value) -> Value:
    """f16 and bf16 widened; other floats as they are."""
    narrow = element_of(value.type) in (F16, BF16)
    return float_cast(body.f, body.scope.target, value, F32) if narrow else value


# Casts


@_rule(arith.ExtSIOp)
def _sign_extend(body: _Body, operation: arith.ExtSIOp) -> Value:
    return body.f.cast("sext", body.get(operation.input), register_type(operation.result.type))


@_rule(arith.ExtUIOp)
def _zero_extend(body: _Body, operation: arith.ExtUIOp) -> Value:
    value = _zero_extended(body, body.get(operation.input), _width(operation.input))
    return body.f.cast("zext", value, register_type(operation.result.type))


@_rule(arith.TruncIOp)
def _truncate(body: _Body, operation: arith.TruncIOp) -> Value:
    """To the register that holds the type; i4 and i48 stay sign-extended in theirs."""
    element = register_type(operation.result.type)
    value = body.f.cast("trunc", body.get(operation.input), element)
    return _sign_extended(body, value, operation.result.type.bitwidth)


@_rule(arith.IndexCastOp)
def _index_cast(body: _Body, operation: arith.IndexCastOp) -> Value | None:
    element = register_type(operation.result.type)
    if operation.input in body.ramps and element == I64:
        body.ramps[operation.result] = body.ramps[operation.input]
        return None
    value = body.get(operation.input)
    value = body.f.cast("sext" if bits_of(value.type) < bits_of(element) else "trunc", value, element)
    return _sign_extended(body, value, _width(operation.result))


@_rule(arith.ExtFOp, arith.TruncFOp)
def _float_cast(body: _Body, operation: arith.ExtFOp | arith.TruncFOp) -> Value:
    value, element = body.get(operation.input), register_type(operation.result.type)
    if FLUSHES_SUBNORMALS in operation.attributes and element == BF16:
        return round_to_bfloat(body.f, body.scope.target, value)
    return float_cast(body.f, body.scope.target, value, element)


@_rule(arith.SIToFPOp, arith.UIToFPOp)
def _integer_to_float(body: _Body, operation: arith.SIToFPOp | arith.UIToFPOp) -> Value:
    element = register_type(operation.result.type)
    opcode = "sitofp" if isinstance(operation, arith.SIToFPOp) else "uitofp"
    direct = F32 if element in (F16, BF16) else element
    value = body.get(operation.input)
    value = value if opcode == "sitofp" else _zero_extended(body, value, _width(operation.input))
    return float_cast(body.f, body.scope.target, body.f.cast(opcode, value, direct), element)


@_rule(arith.FPToSIOp, arith.FPToUIOp)
def _float_to_integer(body: _Body, operation: arith.FPToSIOp | arith.FPToUIOp) -> Value:
    value = _as_f32(body, body.get(operation.input))
    signed = isinstance(operation, arith.FPToSIOp)
    result = float_to_integer(body.f, value, register_type(operation.result.type), signed=signed)
    return _sign_extended(body, result, _width(operation.result))


@_rule(arith.BitcastOp)
def _bitcast(body: _Body, operation: arith.BitcastOp) -> Value:
    value = body.get(operation.input)
    element = register_type(operation.result.type)
    return body.f.cast("bitcast", value, element)


@_rule(ApplyScaleOp)
def _apply_scale(body: _Body, operation: ApplyScaleOp) -> Value:
    shifted = ShiftedScale.of(operation)
    if shifted is not None:
        return shifted.emit(body.f, body.get(shifted.x))
    scope = body.scope
    value, multiplier, shift = body.operands(operation)
    return apply_scale(body.f, scope.target, operation, value, multiplier, shift, scope.mask, body.get)


@_rule(arith.ConstantOp)
def _constant(body: _Body, operation: arith.ConstantOp) -> Value:
    return constant(body.f, operation)


# Indices and memory


@_rule(linalg.ops.IndexOp)
def _index(body: _Body, operation: linalg.ops.IndexOp) -> Value | None:
    dim = operation.dim.value.data
    index = body.scope.indices[dim]
    if dim != body.scope.lane_dim or body.scope.lanes == 1:
        return index
    body.ramps[operation.result] = index
    return None


@_rule(tensor.ExtractOp)
def _extract(body: _Body, operation: tensor.ExtractOp) -> Value:
    scope = body.scope
    source = scope.tensors.get(operation.tensor)
    assert isinstance(operation.tensor.type, TensorType)
    if source is None:
        raise UnsupportedError("no code can be generated", [f"tensor.extract of {operation.tensor}"])
    if source.fill is not None:
        return source.fill
    *leading, last = operation.indices
    shared = all(index not in body.ramps and lanes_of(body.get(index).type) == 1 for index in leading)
    if last in body.ramps and shared:
        indices = [*(body.get(index) for index in leading), body.ramps[last]]
        loaded = lookup.extract_run(scope.f, source, indices, scope.lanes, scope.mask)
    else:
        indices = [body.get(index) for index in operation.indices]
        loaded = lookup.extract(scope.f, scope.target, source, indices, scope.lanes)
    return to_register(scope.f, loaded, source.element)
