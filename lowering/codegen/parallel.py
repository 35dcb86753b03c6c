"""Element-wise loop nests: split among threads, vectorised along the contiguous loop of the results.

What reads its operand across that loop (a transpose) goes through a tile turned in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..target import Target
from .access import Access
from .arithmetic import i64
from .cuda.parallel import emit_on_grid
from .emit import Function
from .extent import Extent, emit_extent, extent_of, may_reach, product
from .kernel import KernelContext
from .lanes import Compute, Lanes
from .nest import Nest
from .transpose import turn_tile
from .types import Value, bits_of, memory_type

SMALL_WORK = 4000
"""Cycles. Less than this is done by one thread: about what it costs the others to take part."""

_MANY = 16
"""Iterations of a loop that divide well among the threads of a machine."""

_TURN_SIDE = 16
"""Largest side of a tile turned in registers, in elements."""


def vector_loop(
    f: Function,
    target: Target,
    begin: Value,
    end: Value,
    lanes: int,
    emit: Callable[[Value, int, Value | None], None],
) -> None:
    """emit(index, lanes, mask) for whole vectors of [begin, end), then for the rest: one under a mask, where masked
    memory access is an instruction, else one element at a time."""
    if begin.constant is not None and end.constant is not None:
        whole = i64(begin.constant + max(end.constant - begin.constant, 0) // lanes * lanes)
    else:
        whole = f.add(begin, f.and_(f.sub(end, begin), i64(-lanes)))
    if begin.constant is None or whole.constant is None or begin.constant < whole.constant:
        with f.loop(begin, whole, lanes) as loop:
            emit(loop.index, lanes, None)
    if lanes == 1 or (whole.constant is not None and whole.constant == end.constant):
        return
    if not target.avx512:
        with f.loop(whole, end) as loop:
            emit(loop.index, 1, None)
        return
    if whole.constant is not None and end.constant is not None:
        emit(whole, lanes, f.tail_mask(f.sub(end, whole), lanes))
        return
    with f.if_(f.icmp("slt", whole, end)):
        emit(whole, lanes, f.tail_mask(f.sub(end, whole), lanes))


def share_loops(
    context: KernelContext, sizes: Sequence[Extent], grains: Sequence[int], *, divide: bool | Value
) -> list[tuple[Value, Value]]:
    """The bounds of nested loops for this thread: one loop, in multiples of its grain, is divided among the threads.

    It is the outermost of many iterations, else the longest. Not to `divide` leaves all to the first thread.
    """
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) < len(sizes):
        return _share_unknown(context, sizes, grains, divide)
    units = [-(-size // grain) for size, grain in zip(known, grains, strict=True)]
    long = [loop for loop, count in enumerate(units) if count >= _MANY]
    divided = long[0] if long else units.index(max(units))
    bounds = [(i64(0), i64(size)) for size in known]
    bounds[divided] = context.share(known[divided], grains[divided], divide=divide)
    return bounds


def _share_unknown(
    context: KernelContext, sizes: Sequence[Extent], grains: Sequence[int], divide: bool | Value
) -> list[tuple[Value, Value]]:
    """As `share_loops`, with the choice of the loop made at run time."""
    if len(sizes) == 1:
        return [context.share(sizes[0], grains[0], divide=divide)]
    f = context.f
    extents = [emit_extent(f, size) for size in sizes]
    units = [f.udiv(f.add(size, i64(grain - 1)), i64(grain)) for size, grain in zip(extents, grains, strict=True)]
    divided, most = i64(0), units[0]
    for loop, count in enumerate(units[1:], 1):
        longer = f.icmp("sgt", count, most)
        divided, most = f.select(longer, i64(loop), divided), f.select(longer, count, most)
    for loop, count in reversed(list(enumerate(units))):
        many = f.icmp("sge", count, i64(_MANY))
        divided, most = f.select(many, i64(loop), divided), f.select(many, count, most)
    begin, end = context.share(extent_of(most), divide=divide)
    bounds = []
    for loop, (size, grain) in enumerate(zip(extents, grains, strict=True)):
        mine = f.icmp("eq", divided, i64(loop))
        first, last = (f.min(f.mul(bound, i64(grain)), size) for bound in (begin, end))
        bounds.append((f.select(mine, first, i64(0)), f.select(mine, last, size)))
    return bounds


def is_large(context: KernelContext, iterations: Extent, cycles: float) -> bool | Value:
    """Whether `iterations` of `cycles` each are worth sharing among threads; an i1 where that is not known."""
    if isinstance(iterations, int):
        return iterations * cycles >= SMALL_WORK
    least = i64(max(1, int(SMALL_WORK / cycles)))
    return context.f.icmp("sge", emit_extent(context.f, iterations), least)


def emit_parallel(
    context: KernelContext,
    nest: Nest,
    inputs: int,
    compute: Compute,
    *,
    lanes: int,
    cycles_per_vector: float = 1.0,
    divide: bool = True,
) -> None:
    """Runs `compute` over all iterations. The first `inputs` accesses of `nest` are read, the others written.

    Results must be contiguous along the innermost loop; `lanes` is the widest vector that `compute` should get.
    Not to `divide` leaves all to the first thread, however much it is.
    """
    if divide and context.on_grid:
        emit_on_grid(context, nest, inputs, compute, lanes)
        return
    lanes = _fitting_lanes(nest, inputs, lanes)
    _Parallel(context, nest, inputs, compute, lanes, cycles_per_vector, divide=divide).emit()


def _fitting_lanes(nest: Nest, inputs: int, lanes: int) -> int:
    """Not more than the innermost loop can fill; one if the results are not contiguous along it."""
    if not nest.sizes or any(access.strides[-1] != 1 or access.quasi for access in nest.accesses[inputs:]):
        return 1
    while lanes > 1 and not may_reach(nest.sizes[-1], lanes // 2 + 1):
        lanes //= 2
    return lanes


class _Parallel:
    def __init__(
        self,
        context: KernelContext,
        nest: Nest,
        inputs: int,
        compute: Compute,
        lanes: int,
        cycles: float,
        *,
        divide: bool,
    ) -> None:
        self.context = context
        self.f = context.f
        self.nest = nest
        self.reads, self.writes = nest.accesses[:inputs], nest.accesses[inputs:]
        self.compute = compute
        self.lanes = lanes
        self.divide = divide and is_large(context, product(nest.sizes), cycles / lanes)
        self.across = self._across_loop()
        self.tiles: dict[int, Value] = {}
        self.height = self._tile_height() if self.across is not None else 1

    def emit(self) -> None:
        sizes = self.nest.sizes
        if not sizes:
            with self.f.if_(self.f.icmp("eq", self.context.thread, i64(0))):
                self._point(Lanes([], None, 1))
            return
        grains = [1] * len(sizes)
        grains[-1] = self.lanes
        if self.across is not None:
            grains[self.across] = self.height
        self._loops(0, [i64(0)] * len(sizes), share_loops(self.context, sizes, grains, divide=self.divide))

    def _loops(self, depth: int, indices: list[Value], bounds: list[tuple[Value, Value]]) -> None:
        last = len(bounds) - 1
        if depth == self.across:
            self._loops(depth + 1, indices, bounds)
        elif depth < last:
            with self.f.loop(*bounds[depth]) as loop:
                self._loops(depth + 1, [*indices[:depth], loop.index, *indices[depth + 1 :]], bounds)
        elif self.across is None:
            vector_loop(
                self.f,
                self.context.target,
                *bounds[last],
                self.lanes,
                lambda index, count, mask: self._point(Lanes([*indices[:-1], index], last, count, mask)),
            )
        else:
            self._tiled(indices, bounds[self.across], bounds[last])

    def _point(self, lanes: Lanes) -> None:
        f = self.f
        loop = lanes.loop if lanes.count > 1 else None
        values = [
            self._load_turned(i, lanes)
            if i in self.tiles
            else access.load(f, lanes.indices, loop, lanes.count, lanes.mask)
            for i, access in enumerate(self.reads)
        ]
        for access, result in zip(self.writes, self.compute(lanes, values), strict=True):
            access.store(f, result, lanes.indices, loop, lanes.count, lanes.mask)

    # Operands read across the lanes

    def _across_loop(self) -> int | None:
        """The loop along which an operand is contiguous that is not contiguous along the lanes."""
        if self.lanes == 1:
            return None
        for access in self.reads:
            if self._is_turned(access):
                return access.strides.index(1)
        return None

    def _is_turned(self, access: Access) -> bool:
        regular = access.tensor.fill is None and not access.quasi and access.strides[-1] not in (-1, 0, 1)
        return regular and 1 in access.strides and may_reach(self.nest.sizes[access.strides.index(1)], 4)

    def _tile_height(self) -> int:
        """Rows of a tile: a multiple of the side, or all there are if they are few."""
        assert self.across is not None
        size = self.nest.sizes[self.across]
        return min(_TURN_SIDE, 1 << (size.bit_length() - 1)) if isinstance(size, int) else _TURN_SIDE

    def _tiled(self, indices: list[Value], rows: tuple[Value, Value], columns: tuple[Value, Value]) -> None:
        """Tiles of `height` iterations of the across loop by one vector: turned operands first, then row by row."""
        f, across = self.f, self.across
        assert across is not None
        turned = [i for i, access in enumerate(self.reads) if self._is_turned(access) and access.strides[across] == 1]
        sizes = {i: bits_of(memory_type(self.reads[i].tensor.element)) // 8 for i in turned}
        buffers = {i: f.alloca(self.height * self.lanes * sizes[i]) for i in turned}
        last = len(self.nest.sizes) - 1
        with f.loop(*rows, self.height) as row, f.loop(*columns, self.lanes) as column:
            height = f.min(i64(self.height), f.sub(rows[1], row.index))
            width = f.min(i64(self.lanes), f.sub(columns[1], column.index))
            for i in turned:
                self._turn(i, buffers[i], indices, row.index, column.index, height, width)
            with f.loop(0, height) as line:
                at = [*indices]
                at[across] = f.add(row.index, line.index)

                def emit(index: Value, count: int, mask: Value | None) -> None:
                    offset = f.add(f.mul(line.index, i64(self.lanes)), index)
                    self.tiles = {
                        i: f.element_pointer(buffers[i], memory_type(self.reads[i].tensor.element), offset)
                        for i in turned
                    }
                    at[last] = f.add(column.index, index)
                    self._point(Lanes([*at], last, count, mask))
                    self.tiles = {}

                vector_loop(f, self.context.target, i64(0), width, self.lanes, emit)

    def _turn(
        self, operand: int, buffer: Value, indices: list[Value], row: Value, column: Value, height: Value, width: Value
    ) -> None:
        f, access = self.f, self.reads[operand]
        element = memory_type(access.tensor.element)
        side = min(self.height, self.lanes, self.context.target.vector_bits // bits_of(element), _TURN_SIDE)
        base = list(indices)

        def source(r: Value, c: Value) -> Value:
            assert self.across is not None
            base[self.across], base[-1] = f.add(row, r), f.add(column, c)
            return access.pointer(f, base)

        def destination(r: Value, c: Value) -> Value:
            return f.element_pointer(buffer, element, f.add(f.mul(r, i64(self.lanes)), c))

        turn_tile(f, element, side, source, destination, height, width, (self.height, self.lanes))

    def _load_turned(self, operand: int, lanes: Lanes) -> Value:
        tensor = replace(self.reads[operand].tensor, pointer=self.tiles[operand])
        return Access(tensor, (1,), 0).load(self.f, [i64(0)], 0, lanes.count)
