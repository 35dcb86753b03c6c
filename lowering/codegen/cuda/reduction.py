"""`linalg.generic` with reduction loops on a GPU.

Where an operand is contiguous along the innermost reduction loop a warp makes each result: its lanes take neighbouring
elements, 32 apart from one to the next, and what they have is combined by shuffles, in five steps of halves. Sums of
f32 so are made of 32 parts, each a 32nd of the row, and rounded no more often than a CPU's of 16 lanes. Other
reductions are a thread's for each result, neighbours next to each other: a warp reads columns in whole lines.
"""

from __future__ import annotations

from xdsl.dialects.linalg.ops import GenericOp

from ..arithmetic import i64
from ..combiner import Combiner
from ..emit import Function
from ..extent import emit_extent, product
from ..kernel import Grid, KernelContext
from ..reduction import Point, Reduction
from ..types import Value, bits_of
from .block import WARP, grid_threads, lane_index, shuffle_xor
from .parallel import launch_threads, split_extents

_THREADS = 128


def emit_grid_reduction(context: KernelContext, generic: GenericOp) -> Grid:
    """Emits a generic with reduction loops that writes each element once, and its epilogue."""
    _GridReduction(context, generic).emit()
    assert context.grid is not None
    return context.grid


class _GridReduction(Reduction):
    def emit(self) -> None:
        results = self.nest.sizes[: self.outer] or (1,)
        inner = [i64(0)] * (len(self.nest.sizes) - self.outer)
        if not self._takes_warps():
            with grid_threads(self.f, product(results), _THREADS) as thread:
                self._result(Point([*self._outer_indices(thread.index), *inner]))
            launch_threads(self.context, product(results))
            return
        total = product(results) * WARP
        with grid_threads(self.f, total, _THREADS) as thread:
            self._warp_result(Point([*self._outer_indices(self.f.udiv(thread.index, i64(WARP))), *inner]))
        launch_threads(self.context, total)

    def _outer_indices(self, index: Value) -> list[Value]:
        return split_extents(self.context, index, self.nest.sizes[: self.outer]) if self.outer else []

    def _takes_warps(self) -> bool:
        """Whether rows are reduced, and what lanes have fits the registers that are shuffled."""
        return self._reduces_rows() and self.combiner is not None and bits_of(self.combiner.element) == 32

    def _warp_result(self, point: Point) -> None:
        f, combiner = self.f, self.combiner
        assert combiner is not None
        (total,) = self._lane_sums(self.outer, point.indices, [combiner.neutral(f, 1)])
        total = combine_warp(f, combiner, total)
        with f.if_(f.icmp("eq", lane_index(f), i64(0))):
            initial = self.inits[0].load(f, point.indices, None, 1)
            self._store(point, [combiner.combine(f, initial, total)])

    def _lane_sums(self, depth: int, indices: list[Value], sums: list[Value]) -> list[Value]:
        """What this lane has of a row."""
        f, sizes = self.f, self.nest.sizes
        is_last = depth == len(sizes) - 1
        first, step = (lane_index(f), WARP) if is_last else (i64(0), 1)
        with f.loop(first, emit_extent(f, sizes[depth]), step, sums) as loop:
            inner = [*indices[:depth], loop.index, *indices[depth + 1 :]]
            loop.yield_(
                *(self._body(Point(inner), loop.values) if is_last else self._lane_sums(depth + 1, inner, loop.values))
            )
        return loop.results


def combine_warp(f: Function, combiner: Combiner, value: Value) -> Value:
    """What all lanes have together, in every one of them."""
    distance = WARP // 2
    while distance:
        value = combiner.combine(f, value, shuffle_xor(f, value, distance))
        distance //= 2
    return value
