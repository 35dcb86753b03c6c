"""`linalg.generic` with reduction loops: sums, extrema, products, arg-max, scatter.

By rows, where the operand is contiguous along a reduction loop: vectors run along it, several accumulators hide the
latency of the combining operation and keep long float sums accurate, and their lanes are combined at the end.
By columns, where it is contiguous along a parallel loop or rows fill less than a quarter of a register: each lane is a
result of its own, so any body will do.
Else element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir.affine import AffineDimExpr

from .access import Access, evaluate
from .arithmetic import i64
from .body import Scope, emit_body
from .combiner import Combiner
from .emit import Function
from .epilogue import Epilogue
from .extent import emit_extent, magnitude, may_reach, product
from .generic import body_cycles, indexed_loops, vector_lanes
from .kernel import KernelContext
from .nest import loop_sizes, simplify
from .parallel import is_large, share_loops, vector_loop
from .types import Value

_ACCUMULATORS = 4
"""Independent chains of combining: latency of an addition (4 cycles on current x86) at one vector a cycle."""


@dataclass(frozen=True)
class Point:
    """Where in the nest a vector of `lanes` iterations along `loop` begins."""

    indices: list[Value]
    loop: int | None = None
    lanes: int = 1
    mask: Value | None = None


def emit_reduction(context: KernelContext, generic: GenericOp) -> int:
    """Emits a generic with reduction loops and its epilogue. It needs no scratch memory."""
    Reduction(context, generic).emit()
    return 0


class Reduction:
    def __init__(self, context: KernelContext, generic: GenericOp) -> None:
        self.context, self.f, self.generic = context, context.f, generic
        self.block = generic.body.block
        maps = [attribute.data for attribute in generic.indexing_maps.data]
        inputs = len(generic.inputs)
        # Some inputs only say how long loops are: the windows of poolings.
        self.used = [bool(argument.uses) for argument in self.block.args[:inputs]]
        operands = [
            Access.of(context.tensor(value), map)
            for value, map, used in zip(
                [*generic.inputs, *generic.outputs], maps, [*self.used, *[True] * len(generic.outputs)], strict=True
            )
            if used
        ]
        self.count = sum(self.used)
        self.output_maps = maps[inputs:]
        parallel = {i for i, kind in enumerate(generic.iterator_types) if kind.data == IteratorType.PARALLEL}
        # Loops outside first, in the order of memory, so that reduction loops can merge.
        walked = operands[self.count], max(operands[: self.count] or operands, key=_walked_loops)
        sizes = loop_sizes(context, generic)
        order = sorted(
            range(len(sizes)), key=lambda d: (d in parallel, magnitude(walked[d not in parallel].strides[d]))
        )
        order.reverse()
        self.nest = simplify(sizes, operands, keep=parallel | indexed_loops(self.block), order=order)
        self.outer = sum(1 for loop in parallel if self.nest.origin[loop] is not None)
        self.inputs, self.inits = self.nest.accesses[: self.count], self.nest.accesses[self.count :]
        self.lead = max(self.inputs or self.inits, key=_walked_loops)
        self.combiner = Combiner.of(self.block)
        self.lanes = vector_lanes(self.block, context.target)
        self.sink = Epilogue(context, generic) if len(generic.results) == 1 else None
        self.tensors = context.extracted_tensors(generic)

    def emit(self) -> None:
        sizes = self.nest.sizes
        by_columns = self._column_lanes()
        grains = [1] * max(self.outer, 1)
        grains[-1] = by_columns
        outer = sizes[: self.outer] or (1,)
        divide = is_large(self.context, product(sizes), body_cycles(self.block) / self.lanes)
        bounds = share_loops(self.context, outer, grains, divide=divide)
        self._parallel(0, [i64(0)] * len(sizes), bounds, by_columns)

    def _parallel(self, depth: int, indices: list[Value], bounds: list[tuple[Value, Value]], lanes: int) -> None:
        last = len(bounds) - 1
        if depth < last:
            with self.f.loop(*bounds[depth]) as loop:
                self._parallel(depth + 1, _at(indices, depth, loop.index), bounds, lanes)
            return

        def emit(index: Value, count: int, mask: Value | None) -> None:
            at = _at(indices, depth, index) if self.outer else indices
            self._result(Point(at, depth if count > 1 else None, count, mask))

        vector_loop(self.f, self.context.target, *bounds[last], lanes, emit)

    def _column_lanes(self) -> int:
        """How many columns to compute at once; 1 if rows are the better way, or neither is."""
        if self._reduces_rows() or not self._columns_fit():
            return 1
        lanes = self.lanes
        while lanes > 1 and not may_reach(self.nest.sizes[self.outer - 1], lanes // 2 + 1):
            lanes //= 2
        return lanes

    def _columns_fit(self) -> bool:
        """Whether lanes may be results."""
        last = self.outer - 1
        if last < 0 or any(access.varies_irregularly(last) for access in (*self.inputs, *self.inits)):
            return False
        contiguous = all(init.strides[last] in (0, 1) for init in self.inits)
        return contiguous and all(self._output_dim(i, last) is not None for i in range(len(self.inits)))

    def _reduces_rows(self) -> bool:
        inner = self.outer < len(self.nest.sizes)
        if inner and not may_reach(self.nest.sizes[-1], self.lanes // 4) and self._columns_fit():
            return False
        return inner and self.combiner is not None and self.lead.strides[-1] == 1 and not self.lead.quasi

    def _output_dim(self, result: int, loop: int) -> int | None:
        """The dimension of a result that follows `loop`, if its elements are contiguous along it."""
        original = self.nest.original_loop(loop)
        for dim, expression in enumerate(self.output_maps[result].results):
            if expression == AffineDimExpr(original or 0) and original is not None:
                shape = self.sink.shape if self.sink else self.inits[result].tensor.shape
                return dim if all(size == 1 for size in shape[dim + 1 :]) else None
        return None

    # One vector (or scalar) of results

    def _result(self, point: Point) -> None:
        f = self.f
        init = [access.load(f, point.indices, point.loop, point.lanes, point.mask) for access in self.inits]
        init = [f.splat(value, point.lanes) if not value.type.startswith("<") else value for value in init]
        if self._reduces_rows():
            assert self.combiner is not None
            totals = [self.combiner.combine(f, init[0], self._row(point))]
        else:
            totals = self._steps(self.outer, point, init)
        self._store(point, totals)

    def _store(self, point: Point, totals: Sequence[Value]) -> None:
        f = self.f
        loops = self.nest.original_indices(point.indices)
        results = self.context.results_of(self.generic)
        for i, (total, outputs, map) in enumerate(zip(totals, results, self.output_maps, strict=True)):
            indices = [evaluate(f, expression, loops) for expression in map.results]
            dim = None if point.loop is None else self._output_dim(i, point.loop)
            if self.sink is not None:
                self.sink.emit(f, indices, total, point.mask, dim)
                return
            for output in outputs:
                access = Access(output, output.strides, 0)
                access.store(f, total, indices, dim, point.lanes, point.mask)

    def _body(self, point: Point, accumulators: Sequence[Value]) -> list[Value]:
        f = self.f
        values = [access.load(f, point.indices, point.loop, point.lanes, point.mask) for access in self.inputs]
        loop = None if point.loop is None else self.nest.original_loop(point.loop)
        indices = self.nest.original_indices(point.indices)
        scope = Scope(
            f, self.context.target, point.lanes, indices, loop, self.tensors, point.mask, self.context.scalars
        )
        loaded = iter(values)
        arguments = [next(loaded) if used else f.undefined("i1") for used in self.used]
        results = emit_body(scope, self.block, [*arguments, *accumulators])
        return [f.splat(value, point.lanes) if not value.type.startswith("<") else value for value in results]

    # Columns and single elements: the accumulators pass through the body step by step

    def _steps(self, depth: int, point: Point, accumulators: list[Value]) -> list[Value]:
        f, sizes = self.f, self.nest.sizes
        if depth == len(sizes):
            return self._body(point, accumulators)
        if depth == len(sizes) - 1 and self.combiner is not None and may_reach(sizes[depth], 2 * _ACCUMULATORS):
            return [self._interleaved(depth, point, accumulators[0])]
        with f.loop(0, emit_extent(f, sizes[depth]), 1, accumulators) as loop:
            inner = Point(_at(point.indices, depth, loop.index), point.loop, point.lanes, point.mask)
            loop.yield_(*self._steps(depth + 1, inner, loop.values))
        return loop.results

    def _interleaved(self, depth: int, point: Point, accumulator: Value) -> Value:
        """The innermost loop with several accumulators in turn."""
        f, combiner, size = self.f, self.combiner, emit_extent(self.f, self.nest.sizes[depth])
        assert combiner is not None
        whole = _multiple(f, size, _ACCUMULATORS)
        neutral = combiner.neutral(f, point.lanes)
        starts = [accumulator, *[neutral] * (_ACCUMULATORS - 1)]

        def step(index: Value, value: Value) -> Value:
            inner = Point(_at(point.indices, depth, index), point.loop, point.lanes, point.mask)
            return self._body(inner, [value])[0]

        with f.loop(0, whole, _ACCUMULATORS, starts) as loop:
            loop.yield_(*(step(f.add(loop.index, i64(i)), value) for i, value in enumerate(loop.values)))
        total = combiner.combine_all(f, loop.results)
        with f.loop(whole, size, 1, [total]) as rest:
            rest.yield_(step(rest.index, rest.values[0]))
        return total if whole.constant is not None and whole.constant == size.constant else rest.results[0]

    # Rows: vectors along the innermost reduction loop

    def _row(self, point: Point) -> Value:
        """One result, its initial value left out."""
        f, combiner, size = self.f, self.combiner, self.nest.sizes[-1]
        assert combiner is not None
        lanes = self.lanes
        while lanes > 1 and not may_reach(size, lanes // 2 + 1):
            lanes //= 2
        width = _ACCUMULATORS if may_reach(size, 2 * _ACCUMULATORS * lanes) else 1
        vectors = [combiner.neutral(f, lanes)] * width
        # Without masks the remainder of a row is added up apart, as a scalar.
        remainder = size % lanes != 0 if isinstance(size, int) else lanes > 1
        apart = [combiner.neutral(f, 1)] if remainder and not self.context.target.avx512 else []
        (*totals,) = self._row_loops(self.outer, point.indices, [*vectors, *apart], lanes, width)
        total = combiner.combine_lanes(f, combiner.combine_all(f, totals[:width]))
        return combiner.combine(f, total, totals[-1]) if apart else total

    def _row_loops(
        self, depth: int, indices: list[Value], accumulators: list[Value], lanes: int, width: int
    ) -> list[Value]:
        f, sizes = self.f, self.nest.sizes
        if depth == len(sizes) - 1:
            return self._row_run(indices, accumulators, lanes, width)
        with f.loop(0, emit_extent(f, sizes[depth]), 1, accumulators) as loop:
            loop.yield_(*self._row_loops(depth + 1, _at(indices, depth, loop.index), loop.values, lanes, width))
        return loop.results

    def _row_run(self, indices: list[Value], accumulators: list[Value], lanes: int, width: int) -> list[Value]:
        f, size = self.f, emit_extent(self.f, self.nest.sizes[-1])
        last = len(self.nest.sizes) - 1

        def step(index: Value, value: Value, count: int, mask: Value | None = None) -> Value:
            point = Point(_at(indices, last, index), last if count > 1 else None, count, mask)
            combined = self._body(point, [value])[0]
            return combined if mask is None else f.select(mask, combined, value)

        vectors, apart = accumulators[:width], accumulators[width:]
        blocks, whole = _multiple(f, size, lanes * width), _multiple(f, size, lanes)
        if blocks.constant != 0:
            with f.loop(0, blocks, lanes * width, vectors) as loop:
                loop.yield_(*(step(f.add(loop.index, i64(lanes * i)), v, lanes) for i, v in enumerate(loop.values)))
            vectors = loop.results
        if blocks.constant is not None and whole.constant is not None:
            for i, start in enumerate(range(blocks.constant, whole.constant, lanes)):
                vectors[i] = step(i64(start), vectors[i], lanes)
        elif width > 1:
            with f.loop(blocks, whole, lanes, vectors[:1]) as loop:
                loop.yield_(step(loop.index, loop.values[0], lanes))
            vectors = [*loop.results, *vectors[1:]]
        if lanes == 1 or (whole.constant is not None and whole.constant == size.constant):
            return [*vectors, *apart]
        if apart:
            with f.loop(whole, size, 1, apart) as rest:
                rest.yield_(step(rest.index, rest.values[0], 1))
            return [*vectors, *rest.results]
        count = f.sub(size, whole)
        if count.constant is not None:
            vectors[-1] = step(whole, vectors[-1], lanes, f.tail_mask(count, lanes))
            return vectors
        with f.if_(f.icmp("slt", whole, size), vectors[-1:]) as branch:
            branch.yield_(step(whole, vectors[-1], lanes, f.tail_mask(count, lanes)))
        return [*vectors[:-1], *branch.results]


def _at(indices: list[Value], position: int, index: Value) -> list[Value]:
    return [*indices[:position], index, *indices[position + 1 :]]


def _walked_loops(access: Access) -> int:
    return sum(stride != 0 for stride in access.strides)


def _multiple(f: Function, size: Value, unit: int) -> Value:
    """The largest multiple of `unit`, a power of two, that is not larger than `size`."""
    return i64(size.constant // unit * unit) if size.constant is not None else f.and_(size, i64(-unit))
