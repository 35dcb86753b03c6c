"""Attention: the region that `form_dispatches.attention` makes, a few rows of scores at a time.

A unit of work is one tile of m0 rows of one batch. For each:

1. the micro-kernel multiplies its rows of the query with the keys: scores [columns / n0][m0][n0] in scratch;
2. row by row, in place: the chain on the scores and the greatest of them; then exp(score - greatest), written as the
   rows of the left side of the second product, and the sum of what was written;
3. the micro-kernel multiplies these with the values, panel by panel; each row is divided by its sum as it is stored.

Keys and values are tiled in scratch when a thread comes to a batch: columns * (depth + width) elements moved for rows
times as many multiply-adds. With 128 rows and columns of depth 64 that, the scores of a tile and the rest take 86 KiB:
what is read often stays in the first cache, all of it in the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from xdsl.dialects.linalg.ops import GenericOp

from ..attention import Stages
from ..ir import shape_of, tensor_type
from ..target import Target
from ..targets.register_tile import tallest
from .access import Access
from .arithmetic import i64
from .combiner import Combiner
from .kernel import KernelContext
from .microkernel import Microkernel
from .panel import row_stride
from .product import Product, select_product, widen
from .stage_bodies import StageBodies
from .transpose import transpose_registers
from .types import BF16, F32, I16, I32, Value, bits_of, memory_type, vector_type


def emit_attention(context: KernelContext, stages: Stages) -> int:
    """Emits a region of these stages; returns the bytes of scratch per thread."""
    return _Attention(context, stages).emit()


@dataclass(frozen=True)
class _Matrix:
    """An operand of a product, and the loops that count its rows and columns."""

    access: Access
    row: int
    column: int


class _Attention:
    def __init__(self, context: KernelContext, stages: Stages) -> None:
        self.context, self.f, self.stages = context, context.f, stages
        self.bodies = StageBodies(context, stages)
        self.target: Target = context.target
        *batches, self.rows, self.columns = shape_of(stages.scores.res[0])
        self.batches = tuple(batches)
        self.width = shape_of(stages.mixed.res[0])[-1]
        self.depth = stages.scores.get_static_loop_ranges()[-1]
        count = len(batches)
        row, column, inner = count, count + 1, count + 2
        self.query, self.key = self._matrix(stages.scores, 0, row, inner), self._matrix(stages.scores, 1, inner, column)
        self.value = self._matrix(stages.mixed, 1, inner, column)
        self.lanes = self.target.vector_bits // 32
        fewest_tiles = -(-self.rows // tallest(self.target)[2])
        self.m0 = -(-self.rows // fewest_tiles)
        self.tiles = -(-self.rows // self.m0)
        self.first = self._product(self._panel_columns(self.columns), stages.scores)
        self.second = self._product(self._panel_columns(self.width), stages.mixed)

    def _matrix(self, generic: GenericOp, operand: int, row: int, column: int) -> _Matrix:
        tensor = self.context.tensor(generic.inputs[operand])
        return _Matrix(Access.of(tensor, generic.indexing_maps.data[operand].data), row, column)

    def _panel_columns(self, total: int) -> int:
        return 2 * self.lanes if total % (2 * self.lanes) == 0 else self.lanes

    def _product(self, n0: int, generic: GenericOp) -> Product:
        """How a product is computed: in pairs where an instruction adds pairs of bf16, else in f32."""
        left, right = (tensor_type(value).get_element_type() for value in generic.inputs)
        sums = tensor_type(generic.res[0]).get_element_type()
        narrow = memory_type(left) == memory_type(right) == BF16
        if narrow:
            paired = select_product(self.target, left, right, sums, n0, 2, 0)
            if paired.instruction is not None:
                return paired
        return select_product(self.target, sums, sums, sums, n0, 1, 0)

    # Scratch

    @cached_property
    def _layout(self) -> dict[str, int]:
        """Where in scratch each part begins, and "end"."""
        first, second = self.first, self.second
        sizes = {
            "keys": self.columns * self.depth * bits_of(first.right) // 8,
            "values": self.width * self.columns * bits_of(second.right) // 8,
            "query": self.m0 * self._query_pitch,
            "scores": self.m0 * self.columns * 4,
            "weights": self.m0 * self._weights_pitch,
            "mixed": self.m0 * self._panel_columns(self.width) * 4,
            "greatest": self.m0 * 4,
            "totals": self.m0 * 4,
            "lines": self.lanes * self.depth * bits_of(first.right) // 8,
        }
        offsets, end = {}, 0
        for name, size in sizes.items():
            offsets[name] = end
            end += -(-size // 64) * 64
        return {**offsets, "end": end}

    @property
    def _query_pitch(self) -> int:
        return row_stride(self.depth * bits_of(self.first.panel) // 8)

    @property
    def _weights_pitch(self) -> int:
        return row_stride(self.columns * bits_of(self.second.panel) // 8)

    def _at(self, part: str, offset: Value | int = 0) -> Value:
        return self.f.gep(self.f.gep(self.context.scratch, self._layout[part]), offset)

    # The loops

    def emit(self) -> int:
        f, context = self.f, self.context
        kernels = (
            ("scores", self.first, self.columns, self._query_pitch, self.depth),
            ("mixed", self.second, self.width, self._weights_pitch, self.columns),
        )
        for name, product, columns, pitch, k in kernels:
            kernel = Microkernel(product, self.m0, self._panel_columns(columns), pitch, product.panel_step)
            f.attach(kernel.function(f"{f.name}.{name}", k // product.k0, accumulate=False))
        begin, end = context.share(prod(self.batches) * self.tiles)
        with f.loop(begin, end, carried=[i64(-1)]) as unit:
            number, tile = f.udiv(unit.index, i64(self.tiles)), f.urem(unit.index, i64(self.tiles))
            batch = self._batch(number)
            with f.if_(f.icmp("ne", number, unit.values[0])):
                self._tile_keys(batch)
                self._tile_values(batch)
            row = f.min(f.mul(tile, i64(self.m0)), i64(self.rows - self.m0))
            self._tile(batch, row)
            unit.yield_(number)
        return self._layout["end"]

    def _batch(self, number: Value) -> list[Value]:
        indices: list[Value] = []
        for size in reversed(self.batches):
            indices.insert(0, self.f.urem(number, i64(size)) if size > 1 else i64(0))
            number = self.f.udiv(number, i64(size))
        return indices

    def _tile(self, batch: Sequence[Value], row: Value) -> None:
        f, columns = self.f, self._panel_columns(self.columns)
        with f.loop(0, self.m0) as line:
            to = self._at("query", f.mul(line.index, i64(self._query_pitch)))
            self._copy(self.query, batch, f.add(row, line.index), to, self.first.panel, self.depth)
        panel_bytes = self.depth * columns * bits_of(self.first.right) // 8
        with f.loop(0, self.columns // columns) as panel:
            keys = self._at("keys", f.mul(panel.index, i64(panel_bytes)))
            scores = self._at("scores", f.mul(panel.index, i64(self.m0 * columns * 4)))
            f.call("void", f"{f.name}.scores", [self._at("query"), keys, scores])
        self._softmax(batch, row)
        width = self._panel_columns(self.width)
        panel_bytes = self.columns * width * bits_of(self.second.right) // 8
        with f.loop(0, self.width // width) as panel:
            values = self._at("values", f.mul(panel.index, i64(panel_bytes)))
            f.call("void", f"{f.name}.mixed", [self._at("weights"), values, self._at("mixed")])
            first = f.mul(panel.index, i64(width))
            with f.loop(0, self.m0) as line:
                self._store(batch, f.add(row, line.index), line.index, first, width)

    # Operands

    def _copy(self, matrix: _Matrix, batch: Sequence[Value], row: Value, to: Value, element: str, count: int) -> None:
        """`count` elements of a row of an operand, as `element`, one after the other to `to`."""
        f = self.f
        with f.loop(0, count, self.lanes) as column:
            value = self._load(matrix, batch, row, column.index)
            f.store(self._as(value, element), f.gep(to, f.mul(column.index, i64(bits_of(element) // 8))))

    def _load(self, matrix: _Matrix, batch: Sequence[Value], row: Value, column: Value) -> Value:
        """A register of elements of a row of an operand, from `column` on; lane by lane if its columns lie apart."""
        indices = [i64(0)] * len(matrix.access.strides)
        indices[: len(batch)] = batch
        indices[matrix.row], indices[matrix.column] = row, column
        return matrix.access.load(self.f, indices, matrix.column, self.lanes)

    def _as(self, value: Value, element: str) -> Value:
        """A register of an operand, narrow exactly if panels of `element` are, as they hold it."""
        if element == BF16:
            return self.f.bitcast(value, vector_type(I16, self.lanes))
        return widen(self.f, self.target, value, element)

    def _tile_keys(self, batch: Sequence[Value]) -> None:
        """The keys of a batch as panels [columns / n0][depth / k0][n0][k0]: squares of k0-tuples turned in
        registers."""
        f, side, product = self.f, self.lanes, self.first
        n0, word = self._panel_columns(self.columns), product.k0 * bits_of(product.right) // 8
        line_bytes = self.depth * bits_of(product.right) // 8
        turned = _Matrix(self.key.access, self.key.column, self.key.row)  # one row for each column of the scores
        with f.loop(0, self.columns, side) as block:
            with f.loop(0, side) as line:
                to = self._at("lines", f.mul(line.index, i64(line_bytes)))
                self._copy(turned, batch, f.add(block.index, line.index), to, product.right, self.depth)
            panel = f.mul(f.udiv(block.index, i64(n0)), i64(self.depth // product.k0 * n0 * word))
            within = f.mul(f.urem(block.index, i64(n0)), i64(word))
            destination = f.gep(self._at("keys", panel), within)
            with f.loop(0, self.depth // product.k0, side) as step:
                source = self._at("lines", f.mul(step.index, i64(word)))
                lines = [f.load(vector_type(I32, side), f.gep(source, i * line_bytes)) for i in range(side)]
                for i, column in enumerate(transpose_registers(f, lines)):
                    at = f.mul(f.add(step.index, i64(i)), i64(n0 * word))
                    f.store(column, f.gep(destination, at))

    def _tile_values(self, batch: Sequence[Value]) -> None:
        """The values of a batch as panels [width / n0][columns / k0][n0][k0]."""
        f, product = self.f, self.second
        n0, word = self._panel_columns(self.width), product.k0 * bits_of(product.right) // 8
        with f.loop(0, self.columns, product.k0) as row, f.loop(0, self.width, self.lanes) as column:
            lines = [
                self._as(self._load(self.value, batch, f.add(row.index, i64(i)), column.index), product.right)
                for i in range(product.k0)
            ]
            panel = f.mul(f.udiv(column.index, i64(n0)), i64(self.columns // product.k0 * n0 * word))
            step = f.mul(f.udiv(row.index, i64(product.k0)), i64(n0 * word))
            within = f.mul(f.urem(column.index, i64(n0)), i64(word))
            value = lines[0]
            if product.k0 == 2:
                value = f.shuffle(
                    lines[0], lines[1], [lane // 2 + self.lanes * (lane % 2) for lane in range(2 * self.lanes)]
                )
            f.store(value, self._at("values", f.add(panel, f.add(step, within))))

    # Rows of scores

    def _softmax(self, batch: Sequence[Value], row: Value) -> None:
        """From the scores of a tile to weights and their sums.

        All rows in one pass and then in another: rows do not wait for each other's greatest.
        """
        f, stages = self.f, self.stages
        greatest, total = (Combiner.of(op.body.block) for op in (stages.greatest, stages.total))
        assert greatest is not None and total is not None
        element = self.second.panel
        with f.loop(0, self.m0) as line:

            def changed(column: Value, value: Value) -> Value:
                address = self._score(line.index, column)
                score = f.load(vector_type(F32, self.lanes), address)
                if stages.chain is not None:
                    score = self.bodies.changed(score, [*batch, f.add(row, line.index), column])
                    f.store(score, address)
                return greatest.combine(f, value, score)

            f.store(self._reduced(greatest, changed), self._at("greatest", f.mul(line.index, i64(4))))
        with f.loop(0, self.m0) as line:
            largest = f.load(F32, self._at("greatest", f.mul(line.index, i64(4))))

            def weighted(column: Value, value: Value) -> Value:
                score = f.load(vector_type(F32, self.lanes), self._score(line.index, column))
                weight = self.bodies.weight(score, largest)
                at = f.add(f.mul(line.index, i64(self._weights_pitch)), f.mul(column, i64(bits_of(element) // 8)))
                f.store(self._as(weight, element), self._at("weights", at))
                return total.combine(f, value, widen(f, self.target, weight, F32))

            f.store(self._reduced(total, weighted), self._at("totals", f.mul(line.index, i64(4))))

    def _reduced(self, combiner: Combiner, step: Callable[[Value, Value], Value]) -> Value:
        """What `step` makes of the columns of a row, combined; several chains hide the latency of combining."""
        f, vectors = self.f, self.columns // self.lanes
        count = next(chains for chains in (4, 2, 1) if vectors % chains == 0)
        with f.loop(0, self.columns, count * self.lanes, carried=[combiner.neutral(f, self.lanes)] * count) as column:
            starts = [f.add(column.index, i64(i * self.lanes)) for i in range(count)]
            column.yield_(*(step(at, value) for at, value in zip(starts, column.values, strict=True)))
        return combiner.combine_lanes(f, combiner.combine_all(f, column.results))

    def _score(self, line: Value, column: Value) -> Value:
        """The address of the scores of row `line` of a tile from `column` on."""
        f, n0 = self.f, self._panel_columns(self.columns)
        panel = f.mul(f.udiv(column, i64(n0)), i64(self.m0 * n0 * 4))
        within = f.add(f.mul(line, i64(n0 * 4)), f.mul(f.urem(column, i64(n0)), i64(4)))
        return self._at("scores", f.add(panel, within))

    # Results

    def _store(self, batch: Sequence[Value], row: Value, line: Value, first: Value, width: int) -> None:
        f = self.f
        total = f.load(F32, self._at("totals", f.mul(line, i64(4))))
        with f.loop(0, width, self.lanes) as column:
            at = f.add(f.mul(line, i64(width * 4)), f.mul(column.index, i64(4)))
            mixed = f.load(vector_type(F32, self.lanes), self._at("mixed", at))
            self.bodies.store(mixed, total, [*batch, row, f.add(first, column.index)])
