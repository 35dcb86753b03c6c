"""`linalg.generic` with reduction loops on a GPU: a team of threads makes each result, or each vector of results.

By rows, where an operand is contiguous along the innermost reduction loop: the members of a team take neighbouring
vectors of it, and combine what they have by shuffles, those of several warps through shared memory. By columns else:
neighbours of a warp take neighbouring results, so that it reads whole lines, and members, each some warps away, are
combined through shared memory, in halves. Every thread has four loads under way, each with a sum of its own.

Sums of f32 are so made of at least as many parts as a CPU's, and always of the same in the same order.

The floor is what is read, once, by memory; what is far from it is a team that waits for one load after another. Of
112 x 112 x 16 floats (800 KB, half a microsecond of an A100's memory) a thread for each result waits for 3136 groups of
loads, 1.3 milliseconds. Teams of 256, in two blocks, wait for thirteen, 6 microseconds. How many threads a team has is
`choose_team`. Blocks do not share a result: they would have to meet.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.linalg.ops import GenericOp

from ..arithmetic import i64
from ..body import Scope, emit_body
from ..combiner import Combiner
from ..emit import Function
from ..extent import Extent, emit_extent, product
from ..kernel import Grid, KernelContext
from ..reduction import Point, Reduction
from ..types import BF16, I1, I8, I16, Value, bits_of, byte_size, element_of, lanes_of, register_type, vector_type
from .arg_reduction import ArgReduction
from .block import WARP, SharedMemory, barrier, block_tiles, grid_threads, shuffle_xor, thread_index
from .outer_product import ceil_div
from .parallel import launch_threads, split_extents
from .predicated import under
from .team import ACCUMULATORS, choose_team

_THREADS = 128

_MOST_LANES = 4


def emit_grid_reduction(context: KernelContext, generic: GenericOp) -> Grid:
    """Emits a generic with reduction loops that writes each element once, and its epilogue."""
    _GridReduction(context, generic).emit()
    assert context.grid is not None
    return context.grid


class _GridReduction(Reduction):
    def emit(self) -> None:
        self.argument = ArgReduction.of(self.generic)
        results = product(self.nest.sizes[: self.outer] or (1,))
        if (self.combiner is None and self.argument is None) or self.outer == len(self.nest.sizes):
            self._emit_threads(results)
            return
        terms = product(self.nest.sizes[self.outer :])
        self.by_rows = self.lead.strides[-1] == 1 and not self.lead.quasi
        self.team = choose_team(
            results, terms, self._most_lanes(), byte_size(self.lead.tensor.element), by_rows=self.by_rows
        )
        self.counts, self.terms = self._vectors(self.team.lanes)
        self.memory = SharedMemory()
        self._emit_teams(product(self.counts or [1]))

    def _emit_threads(self, results: Extent) -> None:
        """A thread for each result: bodies whose parts nobody can combine."""
        inner = [i64(0)] * (len(self.nest.sizes) - self.outer)
        with grid_threads(self.f, results, _THREADS) as thread:
            indices = split_extents(self.context, thread.index, self.nest.sizes[: self.outer]) if self.outer else []
            self._result(Point([*indices, *inner]))
        launch_threads(self.context, results)

    def _most_lanes(self) -> int:
        """The widest vectors that loads may have: of a row's terms, or of neighbouring results."""
        loop = len(self.nest.sizes) - 1 if self.by_rows else self.outer - 1
        size = self.nest.sizes[loop] if loop >= 0 else 1
        accesses = [*self.inputs, *([] if self.by_rows else self.inits)]
        if self.argument is not None or not isinstance(size, int) or self.combiner is None:
            return 1
        if any(access.varies_irregularly(loop) or access.strides[loop] not in (0, 1) for access in accesses):
            return 1
        if self.combiner.element == I1 or (not self.by_rows and self._output_dim(0, loop) is None):
            return 1
        lanes = min(self.lanes, _MOST_LANES)
        while size % lanes:
            lanes //= 2
        return lanes

    def _vectors(self, lanes: int) -> tuple[list[Extent], list[Extent]]:
        """The extents of the loops over results and over terms, in vectors."""
        outer, inner = list(self.nest.sizes[: self.outer]), list(self.nest.sizes[self.outer :])
        vectors = inner if self.by_rows else outer
        if lanes > 1:
            vectors[-1] = int(str(vectors[-1])) // lanes
        return outer, inner

    def _emit_teams(self, results: Extent) -> None:
        f, team = self.f, self.team
        thread, tiles = thread_index(f), ceil_div(f, results, team.results)
        quick, slow = (team.members, team.results) if self.by_rows else (team.results, team.members)
        low, high = f.urem(thread, i64(quick)), f.udiv(thread, i64(quick))
        member, own = (low, high) if self.by_rows else (high, low)
        assert slow * quick == team.threads
        with block_tiles(f, tiles) as loop:
            result = f.add(f.mul(loop.index, i64(team.results)), own)
            size = emit_extent(f, results)
            there = None if isinstance(results, int) and results % team.results == 0 else f.icmp("slt", result, size)
            # Those without a result take part in the barriers, and read what others do.
            at = result if there is None else f.min(result, f.sub(size, i64(1)))
            indices = split_extents(self.context, at, self.counts) if self.counts else []
            lanes = 1 if self.by_rows else team.lanes
            if lanes > 1:
                indices[-1] = f.mul(indices[-1], i64(lanes))
            point = Point(indices, self.outer - 1 if lanes > 1 else None, lanes)
            totals = self._over_team(member, own, self._part(point, member))
            with under(f, there, f.icmp("eq", member, i64(0)) if team.members > 1 else None):
                self._finish(point, totals)
        blocks = tiles if isinstance(tiles, int) else 0
        self.context.grid = Grid(team.threads, blocks, self.memory.bytes)

    def _finish(self, point: Point, totals: Sequence[Value]) -> None:
        whole = Point([*point.indices, *[i64(0)] * len(self.terms)], point.loop, point.lanes)
        if self.argument is None:
            initial = self.inits[0].load(self.f, whole.indices, whole.loop, whole.lanes)
            totals = self._merge([_splat(self.f, initial, whole.lanes)], totals)
        self._store(whole, totals)

    # What one thread has

    def _part(self, point: Point, member: Value) -> list[Value]:
        """Of the terms member, member + members, ..."""
        f, members = self.f, self.team.members
        count, group = emit_extent(f, product(self.terms)), members * ACCUMULATORS
        whole = i64(count.constant // group * group) if count.constant is not None else f.and_(count, i64(-group))
        starts = self._start(point)
        parts = starts * ACCUMULATORS
        if whole.constant != 0:
            with f.loop(member, whole, group, parts) as loop:
                width = len(starts)
                stepped: list[Value] = []
                for number in range(ACCUMULATORS):
                    index = f.add(loop.index, i64(number * members))
                    stepped += self._step(point, index, loop.values[number * width : (number + 1) * width])
                loop.yield_(*stepped)
            parts = loop.results
            halves = [parts[i * width : (i + 1) * width] for i in range(ACCUMULATORS)]
            while len(halves) > 1:
                halves = [self._merge(a, b) for a, b in zip(halves[::2], halves[1::2], strict=True)]
            starts = halves[0]
        if whole.constant is None or whole.constant != count.constant:
            with f.loop(f.add(whole, member), count, members, starts) as rest:
                rest.yield_(*self._step(point, rest.index, rest.values))
            starts = rest.results
        if self.by_rows and self.team.lanes > 1:
            assert self.combiner is not None
            return [self.combiner.combine_lanes(f, starts[0])]
        return starts

    def _start(self, point: Point) -> list[Value]:
        if self.argument is not None:
            # All begin with what there is before: no term that is not better replaces it.
            first = [*point.indices, *[i64(0)] * len(self.terms)]
            return [init.load(self.f, first, None, 1) for init in self.inits]
        assert self.combiner is not None
        return [self.combiner.neutral(self.f, self.team.lanes)]

    def _step(self, point: Point, index: Value, values: Sequence[Value]) -> list[Value]:
        f, lanes = self.f, self.team.lanes
        inner = split_extents(self.context, index, self.terms)
        if self.by_rows and lanes > 1:
            inner[-1] = f.mul(inner[-1], i64(lanes))
        loop = len(self.nest.sizes) - 1 if self.by_rows and lanes > 1 else point.loop
        return self._body(Point([*point.indices, *inner], loop, lanes), values)

    def _merge(self, a: Sequence[Value], b: Sequence[Value]) -> list[Value]:
        if self.argument is None:
            assert self.combiner is not None
            return [self.combiner.combine(self.f, a[0], b[0])]
        return self.argument.pick(self.f, self._is_better(a[1], b[1]), self._is_better(b[1], a[1]), list(a), list(b))

    def _is_better(self, x: Value, best: Value) -> Value:
        """Whether the body would take element `x` at index 1 for the `best` at index 0."""
        assert self.argument is not None
        f, type = self.f, self._index_type
        indices = [i64(0)] * len(self.nest.origin)
        indices[self.argument.loop] = i64(1)
        scope = Scope(f, self.context.target, 1, indices, None, self.tensors, None, self.context.scalars)
        index, _ = emit_body(scope, self.block, [x, f.const(type, 0), best])
        return f.icmp("ne", index, f.const(type, 0))

    @property
    def _index_type(self) -> str:
        return register_type(self.inits[0].tensor.element)

    # What the team has

    def _over_team(self, member: Value, own: Value, values: list[Value]) -> list[Value]:
        """What all members have; the first knows it."""
        if not self.by_rows:
            return self._halve(member, own, values, self.team.members)
        distance = min(self.team.members, WARP) // 2
        while distance:
            values = self._merge(values, [shuffle_xor(self.f, value, distance) for value in values])
            distance //= 2
        if self.team.members <= WARP:
            return values
        warps = self.team.members // WARP
        warp, lane = self.f.udiv(member, i64(WARP)), self.f.urem(member, i64(WARP))
        return self._halve(warp, own, values, warps, self.f.icmp("eq", lane, i64(0)))

    def _halve(
        self, row: Value, column: Value, values: list[Value], rows: int, takes_part: Value | None = None
    ) -> list[Value]:
        """Combines what `rows` of each team have, the lower half with the upper one, in shared memory. `column` is the
        team; threads that do not take part look on."""
        f, columns = self.f, self.team.results
        if rows == 1:
            return values
        stored = [_to_bits(f, value) for value in values]
        sizes = [bits_of(each.type) // 8 * lanes_of(each.type) for each in stored]
        at = [self.memory.allocate(rows * columns * size) for size in sizes]
        place = row if columns == 1 else f.add(f.mul(row, i64(columns)), column)

        def address(number: int, further: int) -> Value:
            return f.gep(at[number], f.mul(f.add(place, i64(further * columns)), i64(sizes[number])))

        barrier(f)  # what the results before left has been read
        half = rows // 2
        while half:
            # Of the rows that still count, the upper half writes and the lower one takes it up.
            upper = f.and_(f.icmp("sge", row, i64(half)), f.icmp("slt", row, i64(2 * half)))
            with under(f, takes_part, upper):
                for number, value in enumerate(values):
                    f.store(_to_bits(f, value), address(number, 0))
            barrier(f)
            lower = f.icmp("slt", row, i64(half))
            with f.if_(lower if takes_part is None else f.and_(lower, takes_part), values) as branch:
                others = [
                    _from_bits(f, f.load(each.type, address(number, half)), values[number].type)
                    for number, each in enumerate(stored)
                ]
                branch.yield_(*self._merge(values, others))
            values = branch.results
            half //= 2
        return values


def _splat(f: Function, value: Value, lanes: int) -> Value:
    return f.splat(value, lanes) if lanes > 1 and not value.type.startswith("<") else value


def _to_bits(f: Function, value: Value) -> Value:
    """As memory holds it: bf16 as integers, which LLVM would widen, booleans as bytes."""
    if value.type == I1:
        return f.cast("zext", value, I8)
    element = element_of(value.type)
    return f.bitcast(value, vector_type(I16, lanes_of(value.type))) if element == BF16 else value


def _from_bits(f: Function, bits: Value, type: str) -> Value:
    if type == I1:
        return f.icmp("ne", bits, f.const(I8, 0))
    return bits if bits.type == type else f.bitcast(bits, type)


def combine_warp(f: Function, combiner: Combiner, value: Value) -> Value:
    """What all lanes have together, in every one of them."""
    distance = WARP // 2
    while distance:
        value = combiner.combine(f, value, shuffle_xor(f, value, distance))
        distance //= 2
    return value
