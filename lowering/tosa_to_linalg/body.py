"""Building the scalar bodies of `linalg.generic`: arithmetic that picks arith's operation by the operands' type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from xdsl.dialects import arith, math, tensor
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IndexType, IntegerAttr, IntegerType, UnitAttr, i1
from xdsl.dialects.linalg.ops import IndexOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from ...tosa.dialect.types import element_of, is_float
from ..dialects.scalar import ApplyScaleOp


class Body:
    """Appends scalar operations to `block`. Operands of one operation have one type, as in arith."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self._constants: dict[tuple[str, Attribute], SSAValue] = {}

    def append(self, operation: Operation) -> SSAValue:
        """Any operation with one result."""
        self.block.add_op(operation)
        return operation.results[0]

    def constant(self, value: int | float, type: Attribute) -> SSAValue:
        key = (repr(value), type)  # tells -0.0 from 0.0, and one NaN is as good as another
        if key not in self._constants:
            self._constants[key] = self.append(scalar_constant(value, type))
        return self._constants[key]

    def like(self, value: int | float, other: SSAValue) -> SSAValue:
        """The constant `value` of the type of `other`."""
        return self.constant(value, other.type)

    def _by_type(self, floating: Any, integer: Any, *operands: SSAValue) -> SSAValue:
        return self.append((floating if is_float(operands[0].type) else integer)(*operands))

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._by_type(arith.AddfOp, arith.AddiOp, a, b)

    def sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._by_type(arith.SubfOp, arith.SubiOp, a, b)

    def mul(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._by_type(arith.MulfOp, arith.MuliOp, a, b)

    def divide(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """Integers truncate towards zero."""
        return self._by_type(arith.DivfOp, arith.DivSIOp, a, b)

    def maximum(self, a: SSAValue, b: SSAValue, ignore_nan: bool = False) -> SSAValue:
        """Signed; a NaN wins unless it is ignored."""
        return self._by_type(arith.MaxnumfOp if ignore_nan else arith.MaximumfOp, arith.MaxSIOp, a, b)

    def minimum(self, a: SSAValue, b: SSAValue, ignore_nan: bool = False) -> SSAValue:
        return self._by_type(arith.MinnumfOp if ignore_nan else arith.MinimumfOp, arith.MinSIOp, a, b)

    def clamp(self, value: SSAValue, low: int | float, high: int | float, ignore_nan: bool = False) -> SSAValue:
        raised = self.maximum(value, self.like(low, value), ignore_nan)
        return self.minimum(raised, self.like(high, value), ignore_nan)

    def compare(self, predicate: str, a: SSAValue, b: SSAValue) -> SSAValue:
        """`predicate` is eq, ne, lt, le, gt or ge: signed for integers, false for unordered floats (ne: true)."""
        if is_float(a.type):
            return self.append(arith.CmpfOp(a, b, ("u" if predicate == "ne" else "o") + predicate))
        return self.append(arith.CmpiOp(a, b, predicate if predicate in ("eq", "ne") else f"s{predicate}"))

    def select(self, condition: SSAValue, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.append(arith.SelectOp(condition, a, b))

    def widen(self, value: SSAValue, type: Attribute, unsigned: bool = False) -> SSAValue:
        """`value` in an equal or wider type of its kind; i1 and unsigned integers extend with zeros."""
        if value.type == type:
            return value
        if is_float(type):
            return self.append(arith.ExtFOp(value, type))
        assert isinstance(type, IntegerType)
        extend = arith.ExtUIOp if unsigned or value.type == i1 else arith.ExtSIOp
        return self.append(extend(value, type))

    def narrow(self, value: SSAValue, type: Attribute) -> SSAValue:
        """`value` in an equal or narrower type of its kind: floats round, integers wrap."""
        if value.type == type:
            return value
        if is_float(type):
            return self.append(arith.TruncFOp(value, type))
        assert isinstance(type, IntegerType)
        return self.append(arith.TruncIOp(value, type))

    def to_index(self, value: SSAValue) -> SSAValue:
        return self.append(arith.IndexCastOp(value, IndexType()))

    def index(self, dim: int) -> SSAValue:
        """The position along iteration dimension `dim`."""
        return self.append(IndexOp(dim))

    def extract(self, source: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
        return self.append(tensor.ExtractOp(source, indices, element_of(source)))

    def apply_scale(
        self, value: SSAValue, multiplier: SSAValue, shift: SSAValue, rounding: str, high_half: bool = False
    ) -> SSAValue:
        """INEXACT_ROUND leaves the choice to us: one rounding is the cheaper one."""
        mode = "SINGLE_ROUND" if rounding == "INEXACT_ROUND" else rounding
        return self.append(ApplyScaleOp(value, multiplier, shift, mode, UnitAttr() if high_half else None))

    def exp(self, value: SSAValue) -> SSAValue:
        return self.append(math.ExpOp(value))


def scalar_constant(value: int | float, type: Attribute) -> arith.ConstantOp:
    if isinstance(type, IntegerType | IndexType):
        return arith.ConstantOp(IntegerAttr(int(value), type))
    return arith.ConstantOp(FloatAttr(float(value), cast(AnyFloat, type)))
