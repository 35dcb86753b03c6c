"""Attention on a GPU: softmax(f(Q K^T)) V without the scores ever leaving a block (Dao et al., "FlashAttention", 2022).

A block takes `rows` rows of one batch, whose query it keeps in shared memory, and goes over the keys and values a tile
of `columns` at a time:

1. a tile of keys and one of values come to shared memory, in f32;
2. every thread multiplies its rows of the query with its columns of the keys, in registers, applies the chain, and
   learns the greatest score of each of its rows so far from the 15 other lanes that have columns of that row;
3. what it has summed so far, of weights and of the result, was relative to an earlier greatest score: it is multiplied
   by exp(earlier - now); the weights of the tile take the place of its keys in shared memory;
4. every thread multiplies the weights of its rows with its columns of the values, onto its part of the result.

In the end the lanes of a row add up their totals, and each row is divided by it as it is stored. Sums are f32 on CUDA
cores, in the order of columns; weights are rounded where the program wants them narrow. What a score is relative to
starts from the lowest finite number, not -inf: rows whose first tiles are all masked by -inf so come out right.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.dialects import math
from xdsl.dialects.linalg.ops import GenericOp

from ...attention import Stages
from ...ir import shape_of
from ...targets import nvptx
from ...targets.attention_tile import ACROSS, DOWN, THREADS, AttentionTile, choose_attention_tile
from ..access import Access
from ..arithmetic import i64
from ..combiner import Combiner
from ..kernel import Grid, KernelContext
from ..operations import FLOAT
from ..product import widen
from ..stage_bodies import StageBodies
from ..types import F32, Value, vector_type
from .block import SharedMemory, barrier, block_tiles, shuffle_xor, thread_index
from .predicated import under
from .sliding import split_index
from .tensor_attention import emit_tensor_attention

_GROUP = 4
"""Elements that are loaded from shared memory together."""

_LOADS = 4
"""That are under way in a thread before it stores the first of them to shared memory."""

_LOWEST = float(np.finfo(np.float32).min)


def emit_attention(context: KernelContext, stages: Stages) -> Grid | None:
    """Emits a region of these stages, on tensor cores where they multiply its elements; None if no tile of it fits a
    block."""
    grid = emit_tensor_attention(context, stages)
    if grid is not None:
        return grid
    *batches, rows, columns = shape_of(stages.scores.res[0])
    depth, width = stages.scores.get_static_loop_ranges()[-1], shape_of(stages.mixed.res[0])[-1]
    memory = nvptx.shared_bytes(context.target)
    tile = choose_attention_tile(prod(batches), rows, columns, depth, width, memory)
    return None if tile is None else _Attention(context, stages, tile).emit()


class _Attention:
    def __init__(self, context: KernelContext, stages: Stages, tile: AttentionTile) -> None:
        self.context, self.f, self.stages, self.tile = context, context.f, stages, tile
        self.bodies = StageBodies(context, stages)
        *self.batches, self.rows, self.columns = shape_of(stages.scores.res[0])
        greatest, total = (Combiner.of(op.body.block) for op in (stages.greatest, stages.total))
        assert greatest is not None and total is not None
        self.greatest, self.total = greatest, total
        per_thread = tile.width // ACROSS
        self.vector = next(vector for vector in (4, 2, 1) if per_thread % vector == 0)
        self.vectors = per_thread // self.vector
        memory = SharedMemory()
        self.query, self.keys, self.values = (
            memory.allocate(size) for size in (tile.query_bytes, tile.key_bytes, tile.value_bytes)
        )
        self.shared_bytes = memory.bytes
        self.ty, self.tx = split_index(self.f, thread_index(self.f), [DOWN, ACROSS])

    def emit(self) -> Grid:
        f, tile = self.f, self.tile
        tiles = [*self.batches, -(-self.rows // tile.rows)]
        with block_tiles(f, prod(tiles)) as loop:
            *batch, number = split_index(f, loop.index, tiles)
            first = f.mul(number, i64(tile.rows))
            barrier(f)  # the tile before has been read
            row, column = len(batch), len(batch) + 2
            self._stage(self.stages.scores, 0, (row, column), batch, first, self.rows, self.query, tile.depth_pitch)
            neutral = [f.const(F32, _LOWEST)] * tile.thread_rows + [f.const(F32, 0.0)] * tile.thread_rows
            sums = [f.zero(vector_type(F32, self.vector))] * (tile.thread_rows * self.vectors)
            with f.loop(0, self.columns, tile.columns, [*neutral, *sums]) as keys:
                keys.yield_(*self._step(batch, first, keys.index, keys.values))
            self._store(batch, first, keys.results[tile.thread_rows :])
        return Grid(THREADS, prod(tiles), self.shared_bytes)

    def _step(self, batch: Sequence[Value], first: Value, column: Value, state: Sequence[Value]) -> list[Value]:
        """The greatest scores, totals and sums of a thread's rows with one tile of keys more."""
        f, tile, count = self.f, self.tile, self.tile.thread_rows
        greatest, totals, sums = state[:count], state[count : 2 * count], state[2 * count :]
        space = len(batch)
        keys, values = (space + 1, space + 2), (space + 2, space + 1)
        barrier(f)  # keys or weights, and values, of the tile before have been read
        self._stage(self.stages.scores, 1, keys, batch, column, self.columns, self.keys, tile.depth_pitch)
        self._stage(self.stages.mixed, 1, values, batch, column, self.columns, self.values, tile.width)
        barrier(f)
        scores = self._scores()
        new_greatest, new_totals, weights, new_sums = [], [], [], []
        for i in range(count):
            largest, total, factor, line = self._weights(batch, first, column, i, scores[i], greatest[i], totals[i])
            new_greatest.append(largest)
            new_totals.append(total)
            weights.append(line)
            scale = f.splat(factor, self.vector)
            new_sums += [f.fmul(each, scale) for each in sums[i * self.vectors : (i + 1) * self.vectors]]
        barrier(f)  # the keys have been read
        for i, line in enumerate(weights):
            for j, weight in enumerate(line):
                at = f.add(self._row_offset(i, tile.columns_pitch), f.add(self.tx, i64(ACROSS * j)))
                f.store(weight, f.element_pointer(self.keys, F32, at))
        barrier(f)
        return [*new_greatest, *new_totals, *self._mixed(new_sums)]

    # Shared memory

    def _row_offset(self, i: int, pitch: int) -> Value:
        """Where in shared memory, in elements, the thread's row number `i` begins."""
        return self.f.mul(self._row(i), i64(pitch))

    def _row(self, i: int) -> Value:
        """Of the block's, so that the two rows of a warp lie in different banks."""
        return self.f.add(self.ty, i64(DOWN * i))

    def _stage(
        self,
        generic: GenericOp,
        operand: int,
        loops: tuple[int, int],
        batch: Sequence[Value],
        first: Value,
        total: int,
        to: Value,
        pitch: int,
    ) -> None:
        """Copies a tile of an operand's rows from `first` on to shared memory, zeros behind its last.

        `loops` are those of its rows and of its columns. Neighbouring threads take neighbouring vectors where its
        columns are contiguous, else neighbouring elements of a column.
        """
        f, tile, (row_loop, column_loop) = self.f, self.tile, loops
        access = Access.of(self.context.tensor(generic.inputs[operand]), generic.indexing_maps.data[operand].data)
        is_query = to is self.query
        rows, width = tile.rows if is_query else tile.columns, tile.width if to is self.values else tile.depth
        contiguous = access.strides[column_loop] == 1
        lanes = _GROUP if contiguous else 1
        shape = [rows, width // lanes] if contiguous else [width, rows]
        units = prod(shape) // THREADS
        at_once = next(count for count in (_LOADS, 2, 1) if units % count == 0)
        thread = thread_index(f)
        with f.loop(0, units * THREADS, at_once * THREADS) as loop:
            loaded: list[tuple[Value, Value]] = []
            for number in range(at_once):
                unit = f.add(f.add(loop.index, i64(number * THREADS)), thread)
                outer, inner = split_index(f, unit, shape)
                row, column = (outer, f.mul(inner, i64(lanes))) if contiguous else (inner, outer)
                indices = [i64(0)] * len(access.strides)
                indices[: len(batch)] = batch
                at = f.add(first, row)
                indices[row_loop] = at if total % rows == 0 else f.min(at, i64(total - 1))
                indices[column_loop] = column
                value = widen(f, self.context.target, access.load(f, indices, column_loop, lanes), F32)
                if total % rows:
                    value = f.select(f.icmp("slt", at, i64(total)), value, f.zero(value.type))
                loaded.append((value, f.add(f.mul(row, i64(pitch)), column)))
            for value, offset in loaded:
                f.store(value, f.element_pointer(to, F32, offset))

    def _load(self, base: Value, offset: Value, lanes: int) -> Value:
        return self.f.load(vector_type(F32, lanes), self.f.element_pointer(base, F32, offset))

    # Products

    def _scores(self) -> list[list[Value]]:
        """Of the thread's rows and columns, [rows][columns]."""
        f, tile = self.f, self.tile
        rows, columns = tile.thread_rows, tile.thread_columns
        with f.loop(0, tile.depth, _GROUP, [f.const(F32, 0.0)] * (rows * columns)) as loop:
            sums = list(loop.values)
            left = [
                self._load(self.query, f.add(self._row_offset(i, tile.depth_pitch), loop.index), _GROUP)
                for i in range(rows)
            ]
            for j in range(columns):
                key = f.mul(f.add(self.tx, i64(ACROSS * j)), i64(tile.depth_pitch))
                right = self._load(self.keys, f.add(key, loop.index), _GROUP)
                for i in range(rows):
                    for lane in range(_GROUP):
                        place = i * columns + j
                        sums[place] = f.fma(f.extract(left[i], lane), f.extract(right, lane), sums[place])
            loop.yield_(*sums)
        return [loop.results[i * columns : (i + 1) * columns] for i in range(rows)]

    def _mixed(self, sums: Sequence[Value]) -> list[Value]:
        """The sums with the products of the tile's weights and values added."""
        f, tile = self.f, self.tile
        with f.loop(0, tile.columns, _GROUP, sums) as loop:
            added = list(loop.values)
            lines = [
                self._load(self.keys, f.add(self._row_offset(i, tile.columns_pitch), loop.index), _GROUP)
                for i in range(tile.thread_rows)
            ]
            for lane in range(_GROUP):
                line = f.mul(f.add(loop.index, i64(lane)), i64(tile.width))
                for j in range(self.vectors):
                    value = self._load(self.values, f.add(line, self._column(j)), self.vector)
                    for i, weights in enumerate(lines):
                        place = i * self.vectors + j
                        weight = f.splat(f.extract(weights, lane), self.vector)
                        added[place] = f.fma(weight, value, added[place])
            loop.yield_(*added)
        return loop.results

    def _column(self, j: int) -> Value:
        """Where the thread's vector number `j` of a row of the result begins."""
        return self.f.add(self.f.mul(self.tx, i64(self.vector)), i64(ACROSS * self.vector * j))

    # Rows of scores

    def _weights(
        self,
        batch: Sequence[Value],
        first: Value,
        column: Value,
        i: int,
        scores: Sequence[Value],
        greatest: Value,
        total: Value,
    ) -> tuple[Value, Value, Value, list[Value]]:
        """(greatest score so far, total relative to it, what sums are to be multiplied by, weights) of a row."""
        f, tile = self.f, self.tile
        row = f.add(first, self._row(i))
        row = row if self.rows % tile.rows == 0 else f.min(row, i64(self.rows - 1))
        there: list[Value | None] = [None] * len(scores)
        if self.columns % tile.columns:  # groups of 16 columns are there as a whole, or not
            there = [f.icmp("slt", f.add(column, i64(ACROSS * j)), i64(self.columns)) for j in range(len(scores))]
        lowest, zero = f.const(F32, _LOWEST), f.const(F32, 0.0)
        changed, largest = [], greatest
        for j, (score, is_there) in enumerate(zip(scores, there, strict=True)):
            at = f.add(f.add(column, self.tx), i64(ACROSS * j))
            at = at if is_there is None else f.min(at, i64(self.columns - 1))
            value = self.bodies.changed(score, [*batch, row, at])
            value = value if is_there is None else f.select(is_there, value, lowest)
            changed.append(value)
            largest = self.greatest.combine(f, largest, value)
        largest = self._over_lanes(self.greatest, largest)
        factor = FLOAT[math.ExpOp](f, f.fsub(greatest, largest))
        total = f.fmul(total, factor)
        weights = []
        for value, is_there in zip(changed, there, strict=True):
            weight = widen(f, self.context.target, self.bodies.weight(value, largest), F32)
            weight = weight if is_there is None else f.select(is_there, weight, zero)
            weights.append(weight)
            total = self.total.combine(f, total, weight)
        return largest, total, factor, weights

    def _over_lanes(self, combiner: Combiner, value: Value) -> Value:
        """What the lanes that share a row have together."""
        distance = ACROSS // 2
        while distance:
            value = combiner.combine(self.f, value, shuffle_xor(self.f, value, distance))
            distance //= 2
        return value

    def _store(self, batch: Sequence[Value], first: Value, state: Sequence[Value]) -> None:
        f, count = self.f, self.tile.thread_rows
        totals = [self._over_lanes(self.total, total) for total in state[:count]]
        for i, total in enumerate(totals):
            row = f.add(first, self._row(i))
            inside = None if self.rows % self.tile.rows == 0 else f.icmp("slt", row, i64(self.rows))
            with under(f, inside):
                for j in range(self.vectors):
                    self.bodies.store(state[count + i * self.vectors + j], total, [*batch, row, self._column(j)])
