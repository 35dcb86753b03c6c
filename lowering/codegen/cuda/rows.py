"""Rows on a GPU: softmax, layer norm and whatever else `fuse_rows` made one dispatch of, a row in registers throughout.

A warp takes a row, or a block where rows are long (see `row_team`). Threads hold neighbouring vectors, as far apart as
the team is wide, of everything that is computed of the row; what is read from memory is read once, in whole lines.
Reductions combine a thread's own elements in order, then lanes in five steps of halves, then warps through shared
memory: a sum of f32 is rounded less often than one of 16 lanes on a CPU. What there is once for a row every thread
computes for itself, and one stores.
"""

from __future__ import annotations

from math import prod

from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from ...attention import is_reducing
from ...rows import Rows
from ...targets.row_team import WARP, team_threads
from ..access import Access
from ..arithmetic import i64
from ..body import Scope, emit_body
from ..combiner import Combiner
from ..kernel import Grid, KernelContext
from ..types import Value, bits_of, vector_type
from .block import SharedMemory, barrier, block_tiles, grid_threads, lane_index, thread_index
from .parallel import launch_threads
from .predicated import under
from .reduction import combine_warp
from .sliding import split_index

_THREADS = 128
"""Of a block whose warps take a row each."""


def emit_rows(context: KernelContext, rows: Rows) -> Grid:
    """Emits a region of these generics."""
    return _Rows(context, rows).emit()


class _Rows:
    def __init__(self, context: KernelContext, rows: Rows) -> None:
        self.context, self.f, self.rows = context, context.f, rows
        *self.outer, self.columns = rows.shape
        self.team = team_threads(self.columns)
        self.lanes = next(lanes for lanes in (4, 2, 1) if lanes == 1 or self.columns % (lanes * self.team) == 0)
        self.slots = -(-self.columns // (self.lanes * self.team))
        self.has_tail = self.columns % (self.lanes * self.team) != 0
        self.memory = SharedMemory()
        self.whole: dict[tuple[SSAValue, AffineMap], list[Value]] = {}
        self.computed: dict[SSAValue, list[Value]] = {}
        """By result the thread's vectors of the row; one scalar of what there is once for it."""

    def emit(self) -> Grid:
        f, rows = self.f, prod(self.outer)
        if self.team == WARP:
            with grid_threads(f, rows * WARP, _THREADS) as loop:
                self._row(f.udiv(loop.index, i64(WARP)), lane_index(f))
            launch_threads(self.context, rows * WARP)
            assert self.context.grid is not None
            return self.context.grid
        with block_tiles(f, rows) as loop:
            self._row(loop.index, thread_index(f))
        return Grid(self.team, rows, self.memory.bytes)

    def _row(self, row: Value, member: Value) -> None:
        f = self.f
        self.member = member
        self.indices = split_index(f, row, self.outer) if self.outer else []
        starts = [
            f.add(f.mul(member, i64(self.lanes)), i64(slot * self.lanes * self.team)) for slot in range(self.slots)
        ]
        self.there = f.icmp("slt", starts[-1], i64(self.columns)) if self.has_tail else None
        if self.has_tail:
            starts[-1] = f.min(starts[-1], i64(self.columns - 1))
        self.starts = starts
        for generic in self.rows.generics:
            if is_reducing(generic):
                self._reduce(generic)
            elif self.rows.is_whole(generic):
                self._elementwise(generic)
            else:
                self._once(generic)

    # Operands

    def _operand(self, generic: GenericOp, number: int, slot: int | None) -> Value:
        """Of a vector of the row, or of what there is once if `slot` is None."""
        value, map = generic.inputs[number], generic.indexing_maps.data[number].data
        if value in self.computed:
            return self.computed[value][0 if slot is None or self._is_single(value) else slot]
        if not generic.body.block.args[number].uses:
            return self.f.undefined("i1")
        if slot is None:
            return self._load(value, map, [*self.indices, i64(0)], 1)
        key = value, map
        if key not in self.whole:
            self.whole[key] = [self._load(value, map, [*self.indices, at], self.lanes) for at in self.starts]
        return self.whole[key][slot]

    def _is_single(self, value: SSAValue) -> bool:
        owner = value.owner
        return isinstance(owner, GenericOp) and not self.rows.is_whole_result(owner)

    def _load(self, value: SSAValue, map: AffineMap, indices: list[Value], lanes: int) -> Value:
        access = Access.of(self.context.tensor(value), map)
        return access.load(self.f, indices, len(indices) - 1 if lanes > 1 else None, lanes)

    def _evaluate(self, generic: GenericOp, slot: int | None, accumulators: list[Value]) -> list[Value]:
        f, context = self.f, self.context
        lanes = self.lanes if slot is not None else 1
        indices = [*self.indices, i64(0) if slot is None else self.starts[slot]]
        arguments = [self._operand(generic, number, slot) for number in range(len(generic.inputs))]
        tensors = context.extracted_tensors(generic)
        scope = Scope(f, context.target, lanes, indices, len(indices) - 1, tensors, None, context.scalars)
        results = emit_body(scope, generic.body.block, [*arguments, *accumulators])
        return [f.splat(each, lanes) if lanes > 1 and not each.type.startswith("<") else each for each in results]

    # Generics

    def _elementwise(self, generic: GenericOp) -> None:
        unread = [self.f.undefined("i1")] * len(generic.outputs)
        results = [self._evaluate(generic, slot, unread) for slot in range(self.slots)]
        for number, result in enumerate(generic.res):
            self.computed[result] = [values[number] for values in results]
        map = AffineMap.identity(len(self.rows.shape))
        for result, outputs in zip(generic.res, self.context.results_of(generic), strict=True):
            for output in outputs:
                access = Access.of(output, map)
                for slot, value in enumerate(self.computed[result]):
                    with under(self.f, self.there if slot == self.slots - 1 else None):
                        access.store(self.f, value, [*self.indices, self.starts[slot]], len(self.indices), self.lanes)

    def _once(self, generic: GenericOp) -> None:
        results = self._evaluate(generic, None, [self.f.undefined("i1")] * len(generic.outputs))
        self._keep(generic, results)

    def _reduce(self, generic: GenericOp) -> None:
        f, combiner = self.f, Combiner.of(generic.body.block)
        assert combiner is not None
        sums = combiner.neutral(f, self.lanes)
        for slot in range(self.slots):
            (added,) = self._evaluate(generic, slot, [sums])
            is_tail = self.there is not None and slot == self.slots - 1
            sums = f.select(self.there, added, sums) if is_tail and self.there is not None else added
        total = combiner.combine_lanes(f, sums)
        total = combine_warp(f, combiner, total)
        if self.team > WARP:
            total = self._over_block(combiner, total)
        init = Access.of(self.context.tensor(generic.outputs[0]), generic.indexing_maps.data[-1].data)
        initial = init.load(f, [*self.indices, i64(0)], None, 1)
        self._keep(generic, [combiner.combine(f, initial, total)])

    def _keep(self, generic: GenericOp, results: list[Value]) -> None:
        f = self.f
        for result, value, outputs in zip(generic.res, results, self.context.results_of(generic), strict=True):
            self.computed[result] = [value]
            if not outputs:
                continue
            with under(f, f.icmp("eq", self.member, i64(0))):
                for output in outputs:
                    access = Access.of(output, AffineMap.identity(len(self.rows.shape)))
                    access.store(f, value, [*self.indices, i64(0)], None, 1)

    def _over_block(self, combiner: Combiner, value: Value) -> Value:
        """What all warps have together. Every reduction has memory of its own: one barrier in front of it keeps those
        of the row before apart, one behind it is waited for."""
        f, warps, size = self.f, self.team // WARP, bits_of(value.type) // 8
        at = self.memory.allocate(warps * size)
        barrier(f)
        with under(f, f.icmp("eq", lane_index(f), i64(0))):
            f.store(value, f.gep(at, f.mul(f.udiv(self.member, i64(WARP)), i64(size))))
        barrier(f)
        return combiner.combine_lanes(f, f.load(vector_type(value.type, warps), at))
