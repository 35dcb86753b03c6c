"""Iteration spaces in the notation of sums of products: "m k, k n -> m n".

Each operand lists the loop of every dimension it has. `y+h` is a window: the position y * stride + h * dilation, with
the strides and dilations of the operation, one after the other. The loops are those of the result, then those that
only inputs have (reductions), in the order in which the last input has them. Another order stands in front, before a
colon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap

from .base import PARALLEL, REDUCTION


@dataclass(frozen=True)
class Space:
    """The loops by name, and for each operand, inputs first, the loops that each of its dimensions has."""

    loops: tuple[str, ...]
    operands: tuple[tuple[str, ...], ...]

    @property
    def windows(self) -> int:
        """How many dimensions are windows: as many strides and dilations there are."""
        return sum("+" in dimension for operand in self.operands for dimension in operand)

    @property
    def iterators(self) -> tuple[IteratorTypeAttr, ...]:
        return tuple(PARALLEL if loop in self.operands[-1] else REDUCTION for loop in self.loops)

    def maps(self, strides: Sequence[int] = (), dilations: Sequence[int] = ()) -> tuple[AffineMap, ...]:
        """The indexing map of each operand."""
        steps = iter(zip(strides, dilations, strict=True))

        def position(dimension: str) -> AffineExpr:
            outer, _, tap = dimension.partition("+")
            if not tap:
                return self._dim(outer)
            stride, dilation = next(steps)
            return self._dim(outer) * stride + self._dim(tap) * dilation

        return tuple(
            AffineMap(len(self.loops), 0, tuple(position(dimension) for dimension in operand))
            for operand in self.operands
        )

    def _dim(self, name: str) -> AffineExpr:
        return AffineDimExpr(self.loops.index(name))


@cache
def space(notation: str) -> Space:
    """`notation` read."""
    order, _, products = notation.rpartition(":")
    left, right = products.split("->")
    inputs = [tuple(operand.split()) for operand in left.split(",")]
    result = tuple(right.split())
    loops = dict.fromkeys(order.split() or result)
    for operand in reversed(inputs):
        loops |= dict.fromkeys(name for dimension in operand for name in dimension.split("+"))
    return Space(tuple(loops), (*inputs, result))
