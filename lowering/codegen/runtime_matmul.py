"""Matrix products over tiles whose number is known only at run time: `tiled.matmul`, `linalg.mmt4d` and their batches.

Also those of sizes known to be zero. Rows are always copied to scratch, at distances known now, so that the
micro-kernel's displacements are immediates; tiles of a packed left side are read in place where nothing is converted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from ..dialects.linalg import BatchMmt4dOp, Mmt4dOp
from ..dialects.tiled import MatmulOp
from ..ir import tensor_type
from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .extent import Extent, emit_extent
from .kernel import KernelContext
from .microkernel import Microkernel
from .panel import Conversion, copy_any, row_stride
from .product import product_of, select_product
from .runtime_sweep import PART_STEPS, RuntimeSweep, heights
from .tile_output import Indices, TileOutput, row_indices
from .types import Value, memory_type


@dataclass(frozen=True)
class RuntimeRows:
    """Rows of [batches, m, k] at `pointer`, copied `pitch` bytes apart and padded with zeros to whole steps."""

    pointer: Value
    conversion: Conversion
    m: Value
    k: Value
    k0: int
    pitch: int
    prepares: bool = True

    def block(
        self, f: Function, scratch: Value, batch: Value, row: Value, rows: Value, step: Value, steps: Value
    ) -> Value:
        size, k0 = self.conversion.source_bytes, i64(self.k0)
        begin = f.mul(step, k0)
        wanted = f.mul(steps, k0)
        count = f.min(wanted, f.sub(self.k, begin))
        first = f.add(f.mul(f.add(f.mul(batch, self.m), row), self.k), begin)
        start = f.gep(self.pointer, f.mul(first, i64(size)))
        with f.loop(i64(0), rows) as line:
            source = f.gep(start, f.mul(line.index, f.mul(self.k, i64(size))))
            destination = f.gep(scratch, f.mul(line.index, i64(self.pitch)))
            copy_any(f, self.conversion, source, destination, count)
            if self.k0 > 1:
                with f.loop(count, wanted) as tail:
                    element = f.gep(destination, f.mul(tail.index, i64(self.conversion.panel_bytes)))
                    f.store(f.const(self.conversion.panel, 0), element)
        return scratch

    def tile_distance(self, f: Function, height: Value) -> Value:
        return f.mul(height, i64(self.pitch))


@dataclass(frozen=True)
class RuntimeTiles:
    """Tiles [batches, tiles, steps, m0, k0] at `pointer`: read in place, or a part of k of each copied to scratch.

    Where elements are converted, they are copied in the order in which they lie.
    """

    pointer: Value
    conversion: Conversion
    tiles: Value
    steps: Value
    m0: int
    k0: int

    @property
    def prepares(self) -> bool:
        return not self.conversion.is_copy

    @property
    def tile_bytes(self) -> int:
        """Bytes between tiles in scratch."""
        return row_stride(PART_STEPS * self.m0 * self.k0 * self.conversion.panel_bytes)

    def block(
        self, f: Function, scratch: Value, batch: Value, row: Value, rows: Value, step: Value, steps: Value
    ) -> Value:
        tile = f.udiv(row, i64(self.m0))
        first = f.add(f.mul(f.add(f.mul(batch, self.tiles), tile), self.steps), step)
        source = f.gep(self.pointer, f.mul(first, i64(self._step_bytes)))
        if not self.prepares:
            return source
        count = f.mul(steps, i64(self.m0 * self.k0))
        with f.loop(i64(0), f.udiv(rows, i64(self.m0))) as copied:
            at = f.gep(source, f.mul(copied.index, f.mul(self.steps, i64(self._step_bytes))))
            copy_any(f, self.conversion, at, f.gep(scratch, f.mul(copied.index, i64(self.tile_bytes))), count)
        return scratch

    def tile_distance(self, f: Function, height: Value) -> Value:
        return i64(self.tile_bytes) if self.prepares else f.mul(self.steps, i64(self._step_bytes))

    @property
    def _step_bytes(self) -> int:
        return self.m0 * self.k0 * self.conversion.source_bytes


def emit_runtime_matmul(context: KernelContext, root: MatmulOp) -> int:
    """Emits `tiled.matmul` of any sizes; returns the bytes of scratch per thread."""
    f = context.f
    left_type, right_type, result_type = (tensor_type(value) for value in (root.lhs, root.rhs, root.result))
    *batch, m, k = context.shape(root.lhs)
    offset = root.lhs_offset.value.data if root.lhs_offset else 0
    product = product_of(context.target, left_type, right_type, result_type, offset)
    conversion = Conversion(context.target, memory_type(left_type.get_element_type()), product.panel, offset)
    n0, k0 = right_type.get_shape()[-2:]
    pitch = row_stride(PART_STEPS * product.panel_step)
    rows, depth = emit_extent(f, m), emit_extent(f, k)
    left = RuntimeRows(context.tensor(root.lhs).pointer, conversion, rows, depth, k0, pitch)
    kernels = [Microkernel(product, h, n0, pitch, product.panel_step) for h in heights(root.rows.value.data)]
    panels, steps = (emit_extent(f, size) for size in context.shape(root.rhs)[-4:-2])
    right = context.tensor(root.rhs).pointer
    panel_bytes = f.mul(steps, i64(kernels[0].panel_step_bytes))

    def address(f: Function, batch_index: Value, panel: Value) -> Value:
        which = f.add(f.mul(batch_index, panels), panel) if batch else panel
        return f.gep(right, f.mul(which, panel_bytes))

    batches = emit_extent(f, batch[0] if batch else 1)
    sweep = RuntimeSweep(kernels, batches, rows, panels, steps, address)
    n = context.shape(root.result)[-1]

    return _emit(context, root, sweep, left, sweep.block_rows * pitch, n, row_indices(batched=bool(batch)))


def emit_mmt4d(context: KernelContext, root: Mmt4dOp | BatchMmt4dOp) -> int:
    """Emits a product of packed operands; returns the bytes of scratch per thread.

    A tile of the left side is [k1, m0, k0]: its rows are k0 elements apart, its steps m0 * k0. Tiles that do not fit
    into the registers are cut into slices that do.
    """
    f, target = context.f, context.target
    left_type, right_type, result_type = (tensor_type(value) for value in (root.lhs, root.rhs, root.result))
    *batch, tiles, steps, m0, k0 = context.shape(root.lhs)
    n0 = right_type.get_shape()[-2]
    assert isinstance(m0, int) and isinstance(k0, int)
    lhs, rhs, sums = (type.get_element_type() for type in (left_type, right_type, result_type))
    width = _width(target.vector_bits // 32, n0)
    product = select_product(target, lhs, rhs, sums, width, k0, 0)
    height = _slice(m0, max((target.vector_registers - 2) // (width // product.lanes + 1), 1))
    conversion = Conversion(target, memory_type(lhs), product.panel)
    tile_count, step_count = emit_extent(f, tiles), emit_extent(f, steps)
    left = RuntimeTiles(context.tensor(root.lhs).pointer, conversion, tile_count, step_count, m0, k0)
    row_bytes = product.panel_step
    step_bytes = n0 * product.right_step // product.lanes
    kernel = Microkernel(product, height, width, row_bytes, m0 * row_bytes, step_bytes)
    right, panels = context.tensor(root.rhs).pointer, context.shape(root.rhs)[-4]
    slices = n0 // width

    def address(f: Function, batch_index: Value, piece: Value) -> Value:
        panel, inside = f.udiv(piece, i64(slices)), f.urem(piece, i64(slices))
        which = f.add(f.mul(batch_index, emit_extent(f, panels)), panel) if batch else panel
        start = f.gep(right, f.mul(which, f.mul(step_count, i64(step_bytes))))
        return f.gep(start, f.mul(inside, i64(step_bytes // slices)))

    batches = emit_extent(f, batch[0] if batch else 1)
    pieces = emit_extent(f, panels * slices)
    sweep = RuntimeSweep([kernel], batches, emit_extent(f, tiles * m0), pieces, step_count, address, m0 // height)

    def indices(f: Function, batch_index: Value, row: Value, column: Value) -> Sequence[Value]:
        tile = [f.udiv(row, i64(m0)), f.udiv(column, i64(n0)), f.urem(row, i64(m0)), f.urem(column, i64(n0))]
        return [batch_index, *tile] if batch else tile

    prepared_bytes = sweep.block_rows // m0 * left.tile_bytes if left.prepares else 0
    return _emit(context, root, sweep, left, prepared_bytes, panels * n0, indices)


def _emit(
    context: KernelContext,
    root: MatmulOp | Mmt4dOp | BatchMmt4dOp,
    sweep: RuntimeSweep,
    left: RuntimeRows | RuntimeTiles,
    prepared_bytes: int,
    n: Extent,
    indices: Indices,
) -> int:
    kernel = sweep.highest
    result = memory_type(tensor_type(root.result).get_element_type())
    product, epilogue = kernel.product, Epilogue(context, root)
    output = TileOutput(context.target, product.accumulator, product.lanes, kernel.n0, n, result, indices, epilogue)
    sweep.emit(context.f, left, context.scratch, context.thread, context.threads, output.finish)
    return sweep.scratch_bytes(prepared_bytes)


def _width(lanes: int, n0: int) -> int:
    """Columns of a register tile: n0 if that is four registers at most, else most whole registers that divide it."""
    if n0 <= 4 * lanes:
        return n0
    return next((count * lanes for count in (4, 3, 2, 1) if n0 % (count * lanes) == 0), gcd(n0, lanes))


def _slice(m0: int, most: int) -> int:
    return next(rows for rows in range(min(m0, most), 0, -1) if m0 % rows == 0)
