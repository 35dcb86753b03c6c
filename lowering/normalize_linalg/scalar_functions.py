"""The scalar functions that named operations apply: elements in, cast to the type of the result, one element out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IndexType, IntegerType, i1, i64
from xdsl.ir import Attribute, SSAValue

from ...tosa.dialect.types import is_float
from ..dialects.linalg.named import MULTIPLY_ADD, MULTIPLY_ADD_OFFSET
from ..tosa_to_linalg.body import Body

Function = Callable[..., SSAValue]


class NoSuchFunction(Exception):
    """The function is not defined for elements of this type."""


def apply(b: Body, name: str, elements: list[SSAValue], result: Attribute, unsigned: bool) -> SSAValue:
    """The function `name` of elements, one per operand, outputs last. Raises NoSuchFunction."""
    *inputs, output = elements
    if name == "select":
        condition, *values = inputs
        return b.select(condition, *(convert(b, value, result, unsigned) for value in values))
    casted = [convert(b, value, result, unsigned) for value in inputs]
    if name in _ACCUMULATIONS:
        return _ACCUMULATIONS[name](b, output, *casted)
    arity = len(casted)
    table = _UNARY if arity == 1 else _BINARY
    function = table.get(name, (None, None, None))[0 if is_float(result) else 1]
    if function is None:
        raise NoSuchFunction(f"{name} of {arity} elements of type {result}")
    return function(b, *casted)


def convert(b: Body, value: SSAValue, to: Any, unsigned: bool = False) -> SSAValue:
    """`value` as an element of type `to`, as linalg casts: integers keep their sign unless `unsigned`."""
    have = value.type
    if have == to:
        return value
    if isinstance(have, IndexType) or isinstance(to, IndexType):
        if is_float(have) or is_float(to):
            middle = convert(b, value, i64, unsigned)
            return convert(b, middle, to, unsigned)
        return b.append(arith.IndexCastOp(value, to))
    if is_float(have) and is_float(to):
        wider = _width(to) > _width(have)
        return b.append((arith.ExtFOp if wider else arith.TruncFOp)(value, to))
    if is_float(have):
        return b.append((arith.FPToUIOp if unsigned else arith.FPToSIOp)(value, to))
    if is_float(to):
        return b.append((arith.UIToFPOp if unsigned else arith.SIToFPOp)(value, to))
    assert isinstance(to, IntegerType)
    if _width(to) < _width(have):
        return b.append(arith.TruncIOp(value, to))
    return b.append((arith.ExtUIOp if unsigned else arith.ExtSIOp)(value, to))


def _width(type: Any) -> int:
    return type.bitwidth


def _op(operation: Any) -> Function:
    return lambda b, *operands: b.append(operation(*operands))


_UNARY: dict[str, tuple[Function | None, Function | None]] = {
    "copy": (lambda b, x: x, lambda b, x: x),
    "exp": (_op(math.ExpOp), None),
    "log": (_op(math.LogOp), None),
    "abs": (_op(math.AbsFOp), _op(math.AbsIOp)),
    "ceil": (_op(math.CeilOp), None),
    "floor": (_op(math.FloorOp), None),
    "negf": (_op(arith.NegfOp), None),
    "reciprocal": (lambda b, x: b.divide(b.like(1.0, x), x), None),
    "round": (_op(math.RoundOp), None),
    "sqrt": (_op(math.SqrtOp), None),
    "rsqrt": (_op(math.RsqrtOp), None),
    "square": (lambda b, x: b.mul(x, x), lambda b, x: b.mul(x, x)),
    "tanh": (_op(math.TanhOp), None),
    "erf": (_op(math.ErfOp), None),
}
"""For floating-point elements and for integers."""

_BINARY: dict[str, tuple[Function | None, Function | None]] = {
    "add": (_op(arith.AddfOp), _op(arith.AddiOp)),
    "sub": (_op(arith.SubfOp), _op(arith.SubiOp)),
    "mul": (_op(arith.MulfOp), _op(arith.MuliOp)),
    "div": (_op(arith.DivfOp), _op(arith.DivSIOp)),
    "div_unsigned": (None, _op(arith.DivUIOp)),
    "max": (_op(arith.MaximumfOp), _op(arith.MaxSIOp)),
    "max_signed": (_op(arith.MaximumfOp), _op(arith.MaxSIOp)),
    "max_unsigned": (_op(arith.MaximumfOp), _op(arith.MaxUIOp)),
    "min": (_op(arith.MinimumfOp), _op(arith.MinSIOp)),
    "min_signed": (_op(arith.MinimumfOp), _op(arith.MinSIOp)),
    "min_unsigned": (_op(arith.MinimumfOp), _op(arith.MinUIOp)),
    "powf": (_op(math.PowFOp), None),
}


def _multiply_add(b: Body, output: SSAValue, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    if output.type == i1:  # logical
        return b.append(arith.OrIOp(output, b.append(arith.AndIOp(lhs, rhs))))
    return b.add(output, b.mul(lhs, rhs))


def _multiply_add_offset(
    b: Body, output: SSAValue, lhs: SSAValue, rhs: SSAValue, lhs_zero: SSAValue, rhs_zero: SSAValue
) -> SSAValue:
    return b.add(output, b.mul(b.sub(lhs, lhs_zero), b.sub(rhs, rhs_zero)))


def _pooled(name: str) -> Function:
    """Combines with an element of the image; the window's own element counts for nothing."""

    def combine(b: Body, output: SSAValue, element: SSAValue, _window: SSAValue) -> SSAValue:
        function = _BINARY[name][0 if is_float(output.type) else 1]
        assert function is not None
        return function(b, output, element)

    return combine


_ACCUMULATIONS: dict[str, Function] = {
    MULTIPLY_ADD: _multiply_add,
    MULTIPLY_ADD_OFFSET: _multiply_add_offset,
    "pooled_sum": _pooled("add"),
    **{f"pooled_{name}": _pooled(name) for name in ("max", "max_unsigned", "min", "min_unsigned")},
}
