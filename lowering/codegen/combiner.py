"""Reductions whose order of evaluation is free: the operation that combines, and what it starts from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

from xdsl.dialects import arith
from xdsl.ir import Block, Operation

from .emit import Function
from .operations import FLOAT, INTEGER
from .types import BF16, F16, I1, Value, bits_of, element_of, is_float, lanes_of, register_type

_INFINITE = {arith.MaximumfOp: -math.inf, arith.MinimumfOp: math.inf}
_NEUTRAL: dict[type[Operation], float] = {
    arith.AddfOp: 0.0,
    arith.AddiOp: 0,
    arith.MulfOp: 1.0,
    arith.MuliOp: 1,
    arith.OrIOp: 0,
    arith.XOrIOp: 0,
    arith.AndIOp: -1,
    arith.MaxUIOp: 0,
    arith.MinUIOp: -1,
    arith.MaxnumfOp: math.nan,
    arith.MinnumfOp: math.nan,
    **_INFINITE,
}


@dataclass(frozen=True)
class Combiner:
    """An associative and commutative operation, taken as such for floats too: sums may be reordered."""

    operation: type[Operation]
    element: str

    @staticmethod
    def of(block: Block) -> Combiner | None:
        """That of a body which yields `combine(accumulator, something else)`, its last argument being the former."""
        terminator = block.last_op
        assert terminator is not None
        accumulator = block.args[-1]
        combining = terminator.operands[0].owner
        if len(terminator.operands) != 1 or not isinstance(combining, Operation):
            return None
        element = register_type(accumulator.type)
        known = type(combining) in _NEUTRAL or isinstance(combining, arith.MaxSIOp | arith.MinSIOp)
        once = accumulator.has_one_use() and accumulator in combining.operands
        # Half precision accumulators are converted at every step; bodies do that, not this.
        return Combiner(type(combining), element) if known and once and element not in (F16, BF16) else None

    def neutral(self, f: Function, lanes: int) -> Value:
        """What combining with leaves any value as it is."""
        if self.operation in (arith.MaxSIOp, arith.MinSIOp):
            limit = 1 << (bits_of(self.element) - 1)
            value: float = -limit if self.operation is arith.MaxSIOp else limit - 1
        else:
            value = _NEUTRAL[self.operation]
        return f.splat(f.const(self.element, bool(value) if self.element == I1 else value), lanes)

    def combine(self, f: Function, a: Value, b: Value) -> Value:
        assert is_float(a.type) == (self.operation in FLOAT)
        return (FLOAT if self.operation in FLOAT else INTEGER)[self.operation](f, a, b)

    def combine_all(self, f: Function, values: list[Value]) -> Value:
        """All of them, pairwise."""
        while len(values) > 2:
            pairs = [self.combine(f, a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
            values = pairs + values[len(pairs) * 2 :]
        return reduce(lambda a, b: self.combine(f, a, b), values)

    def combine_lanes(self, f: Function, vector: Value) -> Value:
        """The lanes of a vector, halves onto halves."""
        lanes = lanes_of(vector.type)
        while lanes > 1:
            lanes //= 2
            low = f.shuffle(vector, None, range(lanes)) if lanes > 1 else f.extract(vector, 0)
            high = f.shuffle(vector, None, range(lanes, 2 * lanes)) if lanes > 1 else f.extract(vector, 1)
            vector = self.combine(f, low, high)
        assert vector.type == element_of(vector.type)
        return vector
