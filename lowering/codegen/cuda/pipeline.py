"""Stages of both sides of a contraction on their way through shared memory, in a ring, asynchronously where GPUs can.

A stage holds `depth` steps of k: of the left side [rows, depth], as `LeftSide` finds them, and behind it of a panel of
the right side what lies together in memory. While a stage is computed with, the next ones' copies are under way.
Several stages may go together: threads meet at a barrier for each group of them only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...target import Target
from ...targets.mma_tile import RING
from ..arithmetic import i64
from ..emit import Function
from ..extent import Extent, emit_extent
from ..types import Value, bits_of
from .block import barrier, thread_index
from .left_side import Column, LeftSide, Row
from .predicated import under
from .staging import Staging, commit, wait

_VECTOR_BITS = 128

_KEPT_ROWS = 8
"""Rows whose addresses a thread keeps in registers; those of more, where vectors are short, are computed each time."""

Accumulate = Callable[[Value, Value, Sequence[Value]], Sequence[Value]]
"""accumulate(left, right, sums): the sums after a stage, whose two parts are at these addresses."""


@dataclass(frozen=True)
class Pipeline:
    """`steps` stages of `rows` of `left` and `columns` of panels of `right_element`, copied by `threads` threads.

    A panel is [steps, depth * columns] elements in whatever order. With `k` it is [k, columns], the last stage of it
    filled with zeros. `group` stages go together; more than one only where `steps` is a known multiple.
    """

    target: Target
    left: LeftSide
    right_element: str
    rows: int
    columns: int
    depth: int
    steps: Extent
    threads: int
    k: Extent | None = None
    group: int = 1

    @property
    def groups(self) -> int:
        """How many the ring holds."""
        if not self.is_asynchronous:
            return 1
        return max(2, min(RING, self.steps // self.group)) if isinstance(self.steps, int) else RING

    @property
    def bytes(self) -> int:
        """Of the ring."""
        return self.groups * self._group_bytes

    @property
    def panel_bytes(self) -> Extent:
        """Of a panel of the right side."""
        if self.k is None:
            return self.steps * self._right_bytes
        return self.k * (self.columns * bits_of(self.right_element) // 8)

    @property
    def is_asynchronous(self) -> bool:
        """Whether copies are under way while stages are computed with."""
        return self._left_staging.is_asynchronous and self._right_staging.is_asynchronous

    @property
    def _left_staging(self) -> Staging:
        return Staging(self.target, self.left.element, min(self.left.vector, self.depth), self.left.fill)

    @property
    def _right_staging(self) -> Staging:
        return Staging(self.target, self.right_element, _VECTOR_BITS // bits_of(self.right_element))

    @property
    def _left_pitch(self) -> int:
        return self.depth * bits_of(self.left.element) // 8

    @property
    def _left_bytes(self) -> int:
        return self.rows * self._left_pitch

    @property
    def _right_bytes(self) -> int:
        return self.depth * self.columns * bits_of(self.right_element) // 8

    @property
    def _stage_bytes(self) -> int:
        return self._left_bytes + self._right_bytes

    @property
    def _group_bytes(self) -> int:
        return self.group * self._stage_bytes

    def run(
        self,
        f: Function,
        ring: Value,
        batch: Value,
        first: Value,
        panel: Value,
        sums: Sequence[Value],
        accumulate: Accumulate,
    ) -> list[Value]:
        """`sums` after all stages of rows [first, first + rows) of `batch` and the panel at `panel`.

        What the ring held has to have been read by all threads; the last stage of it is still being read on return.
        """
        copies = _Copies(self, f, batch, first, panel)
        groups = i64(self.steps // self.group) if isinstance(self.steps, int) else emit_extent(f, self.steps)

        def issue(place: Value, group: Value) -> None:
            for number in range(self.group):
                step = f.add(f.mul(group, i64(self.group)), i64(number))
                copies.issue(f.gep(place, number * self._stage_bytes), step)

        def compute(place: Value, sums: Sequence[Value]) -> Sequence[Value]:
            for number in range(self.group):
                stage = f.gep(place, number * self._stage_bytes)
                sums = accumulate(stage, f.gep(stage, self._left_bytes), sums)
            return sums

        if not self.is_asynchronous:
            with f.loop(0, groups, carried=sums) as step:
                issue(ring, step.index)
                if self._left_staging.is_asynchronous or self._right_staging.is_asynchronous:
                    commit(f)
                    wait(f, 0)
                barrier(f)
                updated = compute(ring, step.values)
                barrier(f)
                step.yield_(*updated)
            return step.results
        for group in range(self.groups - 1):
            is_one = groups.constant is not None and group < groups.constant
            with under(f, None if is_one else f.icmp("slt", i64(group), groups)):
                issue(f.gep(ring, group * self._group_bytes), i64(group))
            commit(f)
        with f.loop(0, groups, carried=sums) as step:
            wait(f, self.groups - 2)
            barrier(f)
            ahead = f.add(step.index, i64(self.groups - 1))
            with f.if_(f.icmp("slt", ahead, groups)):
                issue(self._place(f, ring, ahead), ahead)
            commit(f)
            step.yield_(*compute(self._place(f, ring, step.index), step.values))
        return step.results

    def _place(self, f: Function, ring: Value, group: Value) -> Value:
        return f.gep(ring, f.mul(f.urem(group, i64(self.groups)), i64(self._group_bytes)))


class _Copies:
    """What this thread copies of every stage: vectors of some rows at one column, and of the panel."""

    def __init__(self, pipeline: Pipeline, f: Function, batch: Value, first: Value, panel: Value) -> None:
        self._pipeline, self._f, self._panel = pipeline, f, panel
        left = pipeline._left_staging
        vectors = pipeline.depth // left.vector
        self._thread = thread_index(f)
        self._down, self._column = f.udiv(self._thread, i64(vectors)), f.urem(self._thread, i64(vectors))
        self._distance = max(pipeline.threads // vectors, 1)
        self._count = -(-pipeline.rows // self._distance)
        self._batch, self._first = batch, first
        self._rows = [self._row(i64(number)) for number in range(self._count)] if self._count <= _KEPT_ROWS else []
        self._is_mine = f.icmp("ult", self._down, i64(pipeline.rows)) if self._distance > pipeline.rows else None

    def _line(self, number: Value) -> Value:
        return self._f.add(self._down, self._f.mul(number, i64(self._distance)))

    def _row(self, number: Value) -> Row:
        return self._pipeline.left.row(self._f, self._batch, self._f.add(self._first, self._line(number)))

    def issue(self, stage: Value, step: Value) -> None:
        """Copies this thread's part of step `step` to `stage`."""
        f, pipeline = self._f, self._pipeline
        left, right = pipeline._left_staging, pipeline._right_staging
        start = f.add(f.mul(step, i64(pipeline.depth)), f.mul(self._column, i64(left.vector)))
        column = pipeline.left.column(f, start)
        with under(f, self._is_mine):
            self._copy_left(stage, column)
        source = f.gep(self._panel, f.mul(step, i64(pipeline._right_bytes)))
        destination = f.gep(stage, pipeline._left_bytes)
        vectors = pipeline._right_bytes // right.bytes
        left_over = self._left_over(f, step)
        for number in range(0, vectors, pipeline.threads):
            vector = f.add(self._thread, i64(number))
            at = f.mul(vector, i64(right.bytes))
            is_vector = f.icmp("ult", vector, i64(vectors)) if vectors - number < pipeline.threads else None
            with under(f, is_vector):
                there = None if left_over is None else f.icmp("slt", at, left_over)
                right.copy(f, f.gep(destination, at), f.gep(source, at), there)

    def _left_over(self, f: Function, step: Value) -> Value | None:
        """The bytes of the panel from stage `step` on; None where all stages are whole."""
        pipeline = self._pipeline
        if pipeline.k is None or (isinstance(pipeline.k, int) and pipeline.k % pipeline.depth == 0):
            return None
        return f.sub(emit_extent(f, pipeline.panel_bytes), f.mul(step, i64(pipeline._right_bytes)))

    def _copy_left(self, stage: Value, column: Column) -> None:
        for number, row in enumerate(self._rows):
            self._copy_row(stage, column, i64(number), row)
        if not self._rows:
            with self._f.loop(0, self._count) as each:
                self._copy_row(stage, column, each.index, self._row(each.index))

    def _copy_row(self, stage: Value, column: Column, number: Value, row: Row) -> None:
        f, pipeline = self._f, self._pipeline
        staging = pipeline._left_staging
        address, there = pipeline.left.place(f, row, column)
        at = f.mul(self._line(number), i64(pipeline._left_pitch))
        at = f.add(at, f.mul(self._column, i64(staging.bytes)))
        staging.copy(f, f.gep(stage, at), address, there)
