"""Attention on tensor cores: both products by `mma.sync`, and between them scores that never leave a warp's registers
(Dao, "FlashAttention-2", 2023).

A warp has 16 or 32 rows of the result. The fragments of its query stay in registers. Keys and values come to shared
memory a tile of columns at a time by asynchronous copies, the next tile while one is computed with; threads meet at one
barrier a tile.

1. Fragments of keys are loaded by `ldmatrix` as they lie, and multiplied with those of the query. Lane (g, t) =
   (lane / 4, lane mod 4) then has the scores (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1) of every 8 columns.
2. It applies the chain, learns the greatest score of its rows so far from the three other lanes of its quad, and
   multiplies what it has summed, which was relative to an earlier greatest score, by exp(earlier - now).
3. The weights, rounded to the elements that are multiplied, are in the order of a left fragment: those of 16 columns,
   two instructions' scores, are its four registers (of 8 columns as tf32). They never go through shared memory.
4. They are multiplied with values, whose pairs along k lie a line apart and which `ldmatrix.trans` turns, and with a
   column of ones: so the totals of rows are sums of the rounded weights, as the program says, and need no shuffle.

In the end rows are divided by their totals as pairs of neighbours are stored. exp(x) is 2**(x log2 e) by the special
function unit: off by 2**-22 and by the rounding of the product, which is below 2**-17 as long as the result is a normal
number, where weights are rounded to 2**-9 (bf16) or 2**-11 (f16, tf32). What a score is relative to starts from the
lowest finite number, not -inf: rows whose first tiles are all masked by -inf so come out right.

What bounds it, and the shape of tiles, is `tensor_attention_tile`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import tf32
from xdsl.dialects.linalg.ops import GenericOp

from ...attention import Stages
from ...dialects.encoding import MULTIPLY_TYPE
from ...ir import shape_of, tensor_type
from ...targets import nvptx
from ...targets.tensor_attention_tile import AttentionSizes, TensorAttentionTile, choose_tensor_attention_tile
from ..access import Access
from ..arithmetic import i64
from ..emit import Function
from ..kernel import Grid, KernelContext
from ..stage_bodies import StageBodies
from ..types import BF16, F16, F32, I32, Value, bits_of, memory_type, vector_type
from .block import WARP, SharedMemory, barrier, block_tiles, lane_index, shuffle_xor, thread_index
from .mma import COLUMNS, ROWS, Mma, select_mma
from .predicated import under
from .shared_matrix import SQUARE, SharedMatrix
from .sliding import split_index
from .staging import commit, has_asynchronous_copies, wait

_LOWEST = float(np.finfo(np.float32).min)

_HALVES = (0, 1)
"""Of an instruction's rows: those of a lane are g and g + 8."""


_ROUNDED_PAIRS = {F16: "llvm.nvvm.ff2f16x2.rn", BF16: "llvm.nvvm.ff2bf16x2.rn"}
"""What rounds two f32, the upper first, to elements in a register."""

_ONES = {F16: 0x3C003C00, BF16: 0x3F803F80, F32: 0x3F800000}
"""A register of ones."""


@dataclass(frozen=True)
class _Rows:
    """What a lane has of 16 rows: by halves of them the greatest scores and the totals, and by 8 columns of the result
    four sums."""

    greatest: list[Value]
    totals: list[Value]
    sums: list[list[Value]]

    @property
    def values(self) -> list[Value]:
        return [*self.greatest, *self.totals, *(value for each in self.sums for value in each)]

    @staticmethod
    def of(values: Sequence[Value]) -> _Rows:
        sums = [list(values[first : first + 4]) for first in range(4, len(values), 4)]
        return _Rows(list(values[:2]), list(values[2:4]), sums)


def emit_tensor_attention(context: KernelContext, stages: Stages) -> Grid | None:
    """Emits a region of these stages; None where tensor cores do not multiply its elements, where operands are no
    lines of whole vectors, or if no tile fits a block."""
    products = stages.scores, stages.mixed
    element, *others = (
        memory_type(tensor_type(value).get_element_type()) for product in products for value in product.inputs
    )
    as_tf32 = all(product.attributes.get(MULTIPLY_TYPE) == tf32 for product in products)
    mma = select_mma(context.target, element, element, F32, rounds_f32=as_tf32)
    if set(others) != {element} or mma is None or not has_asynchronous_copies(context.target):
        return None
    *batches, rows, columns = shape_of(stages.scores.res[0])
    depth, width = stages.scores.get_static_loop_ranges()[-1], shape_of(stages.mixed.res[0])[-1]
    sizes = AttentionSizes(math.prod(batches), rows, columns, depth, width, bits_of(element) // 8)
    tile = choose_tensor_attention_tile(sizes, nvptx.shared_bytes(context.target))
    if tile is None or any(size % SQUARE for size in (columns, depth, width)):
        return None
    emitter = _TensorAttention(context, stages, tile, mma)
    return emitter.emit() if emitter.is_possible else None


class _TensorAttention:
    def __init__(self, context: KernelContext, stages: Stages, tile: TensorAttentionTile, mma: Mma) -> None:
        self.context, self.f, self.stages, self.tile, self.mma = context, context.f, stages, tile, mma
        self.bodies = StageBodies(context, stages)
        *self.batches, self.rows, self.columns = shape_of(stages.scores.res[0])
        self.depth, self.width = stages.scores.get_static_loop_ranges()[-1], shape_of(stages.mixed.res[0])[-1]
        self.threads = tile.warps * WARP
        row, column, inner = (len(self.batches) + number for number in range(3))
        depth, width = self.depth, self.width
        query, keys, values = (
            self._access(stages.scores, 0),
            self._access(stages.scores, 1),
            self._access(stages.mixed, 1),
        )
        size = bits_of(mma.element) // 8
        # Lanes have the weights of neighbouring columns: 16-bit elements in one register, as products want them; of
        # 32-bit ones those of columns 2t and 2t + 1 stand for k of t and t + 4.
        self.query = SharedMatrix(query, row, inner, tile.rows, depth, self.rows, depth, size, is_left=True)
        self.keys = SharedMatrix(keys, column, inner, tile.columns, depth, self.columns, depth, size)
        self.values = SharedMatrix(
            values, column, inner, width, tile.columns, width, self.columns, size, neighbours=size == 4
        )

    def _access(self, generic: GenericOp, operand: int) -> Access:
        return Access.of(self.context.tensor(generic.inputs[operand]), generic.indexing_maps.data[operand].data)

    @property
    def is_possible(self) -> bool:
        return all(matrix.is_possible for matrix in (self.query, self.keys, self.values))

    def emit(self) -> Grid:
        f, tile = self.f, self.tile
        stages, stage_bytes = tile.stages(self.columns), self.keys.bytes + self.values.bytes
        memory = SharedMemory()
        query, ring = memory.allocate(self.query.bytes), memory.allocate(stages * stage_bytes)
        lane = lane_index(f)
        self.group, self.place = f.udiv(lane, i64(4)), f.urem(lane, i64(4))
        self.warp_row = f.mul(f.udiv(thread_index(f), i64(WARP)), i64(tile.down * ROWS))
        query_lane = f.add(self.query.lane_offset(f), f.mul(self.warp_row, i64(self.query.offset(1, 0))))
        self.key_lane, self.value_lane = self.keys.lane_offset(f), self.values.lane_offset(f)
        tiles = [*self.batches, -(-self.rows // tile.rows)]
        with block_tiles(f, math.prod(tiles)) as loop:
            *batch, number = split_index(f, loop.index, tiles)
            first = f.mul(number, i64(tile.rows))
            barrier(f)  # the tile before has been read
            self.query.copy(f, self.context.target, self.threads, batch, first, i64(0), query)
            self._copy(batch, i64(0), ring)
            commit(f)
            wait(f, 0)
            barrier(f)
            fragments = self._query_fragments(f.gep(query, query_lane))
            lowest, zero = f.const(F32, _LOWEST), f.const(F32, 0.0)
            start = [*[lowest] * 2, *[zero] * (2 + self.width // COLUMNS * 4)] * tile.down
            with f.loop(0, self.columns, tile.columns, start) as keys:
                stage = ring
                if stages > 1:
                    stage = f.gep(ring, f.mul(self._parity(keys.index), i64(stage_bytes)))
                    ahead = f.add(keys.index, i64(tile.columns))
                    wait(f, 0)
                    barrier(f)  # this tile is there, and the one before has been read
                    with f.if_(f.icmp("slt", ahead, i64(self.columns))):
                        self._copy(batch, ahead, f.gep(ring, f.mul(self._parity(ahead), i64(stage_bytes))))
                    commit(f)
                state = [_Rows.of(part) for part in _parts(keys.values, tile.down)]
                state = self._step(batch, f.add(first, self.warp_row), keys.index, stage, fragments, state)
                keys.yield_(*(value for each in state for value in each.values))
            state = [_Rows.of(part) for part in _parts(keys.results, tile.down)]
            self._store(batch, f.add(first, self.warp_row), state)
        return Grid(self.threads, math.prod(tiles), memory.bytes)

    # Operands

    def _parity(self, column: Value) -> Value:
        return self.f.urem(self.f.udiv(column, i64(self.tile.columns)), i64(2))

    def _copy(self, batch: Sequence[Value], column: Value, stage: Value) -> None:
        """Has the keys and values from `column` on copied to a stage."""
        f, target = self.f, self.context.target
        self.keys.copy(f, target, self.threads, batch, column, i64(0), stage)
        self.values.copy(f, target, self.threads, batch, i64(0), column, f.gep(stage, self.keys.bytes))

    def _query_fragments(self, query: Value) -> list[list[list[Value]]]:
        """The registers of the warp's squares [rows][depth]."""
        steps = range(0, self.depth, self.query.k_square)
        squares = [[(i * ROWS, k) for k in steps] for i in range(self.tile.down)]
        return [[self._registers(self.query.load(self.f, query, *square)) for square in line] for line in squares]

    def _registers(self, words: Iterable[Value]) -> list[Value]:
        return [self.mma.register_of(self.f, word) for word in words]

    # A tile of keys and values

    def _step(
        self,
        batch: Sequence[Value],
        row: Value,
        column: Value,
        stage: Value,
        query: list[list[list[Value]]],
        state: list[_Rows],
    ) -> list[_Rows]:
        """The state with the tile from `column` on; the warp's first row is `row`."""
        f = self.f
        scores = self._scores(f.gep(stage, self.key_lane), query)
        weights: list[list[list[Value]]] = []
        rescaled: list[_Rows] = []
        for i, before in enumerate(state):
            pairs: list[list[Value]] = []
            greatest: list[Value] = []
            factors: list[Value] = []
            for half in _HALVES:
                line = f.add(row, f.add(self.group, i64(i * ROWS + half * ROWS // 2)))
                largest, packed = self._weights(batch, line, column, half, scores[i], before.greatest[half])
                greatest.append(largest)
                factors.append(self._exponential(f.fsub(before.greatest[half], largest)))
                pairs.append(packed)
            # Of a step of k: the first register of each half of the rows, then the second.
            weights.append(
                [[pairs[half][j + k] for k in (0, 1) for half in _HALVES] for j in range(0, len(pairs[0]), 2)]
            )
            totals = [f.fmul(total, factor) for total, factor in zip(before.totals, factors, strict=True)]
            sums = [[f.fmul(value, factors[n // 2]) for n, value in enumerate(each)] for each in before.sums]
            rescaled.append(_Rows(greatest, totals, sums))
        return self._mixed(f.gep(f.gep(stage, self.keys.bytes), self.value_lane), weights, rescaled)

    def _scores(self, keys: Value, query: list[list[list[Value]]]) -> list[list[list[Value]]]:
        """Those of the warp, [rows][columns / 8] fragments of sums."""
        f, tile = self.f, self.tile
        zero = f.const(F32, 0.0)
        sums = [[[zero] * 4 for _ in range(tile.columns // COLUMNS)] for _ in range(tile.down)]
        for step in range(self.depth // self.keys.k_square):
            for j in range(0, tile.columns, SQUARE):
                square = self._registers(self.keys.load(f, keys, j, step * self.keys.k_square))
                for i in range(tile.down):
                    for half in range(SQUARE // COLUMNS):
                        place = j // COLUMNS + half
                        right = square[2 * half : 2 * half + 2]
                        sums[i][place] = self.mma.multiply(f, query[i][step], right, sums[i][place])
        return sums

    def _mixed(self, values: Value, weights: list[list[list[Value]]], state: list[_Rows]) -> list[_Rows]:
        """The state with products of weights [rows][steps of k] and values, and weights themselves, added."""
        f = self.f
        ones = [f.bitcast(f.const(I32, _ONES[self.mma.element]), self.mma.register)] * 2
        totals = [[total for total in each.totals for _ in range(2)] for each in state]
        sums = [list(each.sums) for each in state]
        for step in range(self.tile.columns // self.values.k_square):
            for n in range(0, self.width, SQUARE):
                square = self._registers(self.values.load(f, values, n, step * self.values.k_square))
                for i, line in enumerate(sums):
                    for half in range(SQUARE // COLUMNS):
                        place = n // COLUMNS + half
                        right = square[2 * half : 2 * half + 2]
                        line[place] = self.mma.multiply(f, weights[i][step], right, line[place])
            for i, total in enumerate(totals):
                totals[i] = self.mma.multiply(f, weights[i][step], ones, total)
        return [
            _Rows(before.greatest, total[::2], line) for before, total, line in zip(state, totals, sums, strict=True)
        ]

    # Rows of scores

    def _weights(
        self, batch: Sequence[Value], row: Value, column: Value, half: int, scores: list[list[Value]], greatest: Value
    ) -> tuple[Value, list[Value]]:
        """(the greatest score of a row so far, the weights of the tile relative to it as registers of two each)."""
        f = self.f
        row = row if self.rows % self.tile.rows == 0 else f.min(row, i64(self.rows - 1))
        lowest = f.splat(f.const(F32, _LOWEST), 2)
        there: list[Value | None] = [None] * len(scores)
        changed: list[Value] = []
        for j, sums in enumerate(scores):
            first = f.add(column, i64(j * COLUMNS))
            if self.columns % self.tile.columns:  # groups of 8 columns are there as a whole, or not
                there[j] = f.icmp("slt", first, i64(self.columns))
                first = f.min(first, i64(self.columns - COLUMNS))
            at = f.add(first, f.mul(self.place, i64(2)))
            value = self.bodies.changed(self._pair(*sums[2 * half : 2 * half + 2]), [*batch, row, at])
            is_there = there[j]
            changed.append(value if is_there is None else f.select(is_there, value, lowest))
        largest = _tree(f, [greatest, *(f.extract(value, lane) for value in changed for lane in range(2))])
        for distance in (1, 2):  # the lanes of a quad share a row
            largest = _greater(f, largest, shuffle_xor(f, largest, distance))
        weights: list[Value] = []
        for value, is_there in zip(changed, there, strict=True):
            lower, upper = (self._exponential(f.fsub(f.extract(value, lane), largest)) for lane in range(2))
            weights += self._rounded(lower, upper, is_there)
        return largest, weights

    def _rounded(self, lower: Value, upper: Value, is_there: Value | None) -> list[Value]:
        """Weights of neighbouring columns as registers, zero where those are not there."""
        f, element = self.f, self.mma.element
        if element == F32:
            words = [f.bitcast(each, I32) for each in (lower, upper)]
        else:
            pair = f.call(vector_type(element, 2), _ROUNDED_PAIRS[element], [upper, lower])
            words = [f.bitcast(pair, I32)]
        if is_there is not None:
            words = [f.select(is_there, word, f.const(I32, 0)) for word in words]
        return self._registers(words)

    def _exponential(self, value: Value) -> Value:
        power = self.f.fmul(value, self.f.const(F32, math.log2(math.e)))
        return self.f.call(F32, "llvm.nvvm.ex2.approx.ftz.f", [power])

    def _pair(self, first: Value, second: Value) -> Value:
        return self.f.insert(self.f.insert(self.f.undefined(vector_type(F32, 2)), first, 0), second, 1)

    def _store(self, batch: Sequence[Value], row: Value, state: Sequence[_Rows]) -> None:
        f = self.f
        for i, rows in enumerate(state):
            for half in _HALVES:
                line = f.add(row, f.add(self.group, i64(i * ROWS + half * ROWS // 2)))
                inside = None if self.rows % self.tile.rows == 0 else f.icmp("slt", line, i64(self.rows))
                with under(f, inside):
                    for n, sums in enumerate(rows.sums):
                        at = f.add(f.mul(self.place, i64(2)), i64(n * COLUMNS))
                        pair = self._pair(*sums[2 * half : 2 * half + 2])
                        self.bodies.store(pair, rows.totals[half], [*batch, line, at])


def _greater(f: Function, a: Value, b: Value) -> Value:
    """One instruction, which prefers numbers to NaN. A score that is NaN makes its weight NaN, and so the row."""
    return f.call(F32, "llvm.maxnum.f32", [a, b])


def _tree(f: Function, values: list[Value]) -> Value:
    """The greatest of all."""
    while len(values) > 1:
        pairs = [_greater(f, *pair) for pair in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[2 * len(pairs) :]
    return values[0]


def _parts(values: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """`count` equal parts."""
    size = len(values) // count
    return [values[number * size : (number + 1) * size] for number in range(count)]
