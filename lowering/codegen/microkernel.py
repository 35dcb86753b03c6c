"""The register tile: m0 rows of the left side times one panel of the right side, over k.

All rows of the left side are addressed from one pointer with constant displacements, which the broadcasts carry as
immediates; the right side is one linear stream. Per step a tile of m0 rows and V vectors issues m0 * V multiply-adds
on m0 + V loads, so that with m0 and V chosen by the target (`targets/x86.py`) arithmetic is what limits it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .emit import Function
from .product import Product
from .types import Value, bits_of

_BODY = 48
"""Multiply-adds that one iteration of the k loop holds at most: more costs compile time and gains nothing."""


@dataclass(frozen=True)
class Microkernel:
    """sums[m0, n0] (+)= left rows [m0, steps * k0] * right panel [steps, n0, k0].

    `row_stride` is the distance between rows of the left side, `step_stride` that between its steps, in bytes.
    """

    product: Product
    m0: int
    n0: int
    row_stride: int
    step_stride: int

    @property
    def tile_bytes(self) -> int:
        """Bytes of one tile of sums, row-major."""
        return self.m0 * self.row_bytes

    @property
    def row_bytes(self) -> int:
        return self.n0 * bits_of(self.product.accumulator) // 8

    @property
    def panel_step_bytes(self) -> int:
        """Bytes of the right panel that one step consumes."""
        return self.n0 * self.product.k0 * bits_of(self.product.right) // 8

    def function(self, name: str, steps: int, *, accumulate: bool) -> Function:
        """name(left, right, sums): adds `steps` steps to the tile at `sums`, or with `accumulate` False overwrites it.

        It is a function of its own so that the whole register file is its own: inlined, the constants of an epilogue
        would be kept in registers across it, and accumulators would be spilled in the innermost loop.
        """
        parameters = [("ptr noalias readonly", "left"), ("ptr noalias readonly", "right"), ("ptr noalias", "sums")]
        f = Function(name, parameters, attributes="noinline")
        self._emit(f, steps, accumulate=accumulate)
        return f

    def _emit(self, f: Function, steps: int, *, accumulate: bool) -> None:
        left, right, sums = f.arguments
        slots = [f.gep(sums, offset) for offset in range(0, self.tile_bytes, self.vector_bytes)]
        alignment = min(64, self.vector_bytes)
        if accumulate:
            values = [f.load(self.product.sums, slot, alignment) for slot in slots]
        else:
            values = [f.zero(self.product.sums)] * len(slots)
        unroll = self._unroll(steps)
        whole = steps - steps % unroll
        for count, size in ((whole, unroll), (steps - whole, 1)):
            if count:
                left, right, *values = self._steps(f, left, right, values, count, size)
        for value, slot in zip(values, slots, strict=True):
            f.store(value, slot, alignment)

    @property
    def vector_bytes(self) -> int:
        """Bytes of one register of sums."""
        return self.product.lanes * bits_of(self.product.accumulator) // 8

    @property
    def _vectors(self) -> int:
        return self.n0 // self.product.lanes

    def _unroll(self, steps: int) -> int:
        """Steps in one iteration: a divisor of `steps` if there is one, so that no remainder is emitted."""
        most = max(1, min(steps, _BODY // (self.m0 * self._vectors * self.product.k0)))
        return next((size for size in range(most, 1, -1) if steps % size == 0), most)

    def _steps(
        self, f: Function, left: Value, right: Value, values: list[Value], count: int, unroll: int
    ) -> list[Value]:
        """`count` steps, `unroll` of them an iteration; returns the advanced pointers and the sums."""
        with f.loop(0, count, unroll, carried=[left, right, *values]) as loop:
            left, right, *values = loop.values
            for step in range(unroll):
                values = self._step(f, f.gep(left, step * self.step_stride), right, step, values)
            left = f.gep(left, unroll * self.step_stride)
            loop.yield_(left, f.gep(right, unroll * self.panel_step_bytes), *values)
        return loop.results

    def _step(self, f: Function, left: Value, right: Value, step: int, values: list[Value]) -> list[Value]:
        product = self.product
        first = step * self.panel_step_bytes
        columns = [product.load_right(f, f.gep(right, first + j * product.right_step)) for j in range(self._vectors)]
        updated = []
        for i in range(self.m0):
            row = product.load_left(f, f.gep(left, i * self.row_stride))
            for j, column in enumerate(columns):
                updated.append(product.accumulate(f, values[i * self._vectors + j], row, column))
        return updated
