"""Matrix products over a pre-tiled right side: `tiled.matmul`, `linalg.mmt4d` and `linalg.batch_mmt4d`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue

from ..dialects.linalg import BatchMmt4dOp, Mmt4dOp
from ..dialects.tiled import MatmulOp
from ..ir import tensor_type
from ..target import Target
from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .microkernel import Microkernel
from .panel import Conversion, copy_run, fill_run, row_stride
from .product import Product, select_product
from .sweep import LeftSide, Sweep
from .tile_output import Indices, TileOutput
from .types import Value, memory_type


@dataclass(frozen=True)
class RowsInPlace:
    """Rows read where they lie: [batches, m] rows at even distances."""

    pointer: Value
    batch_bytes: int
    row_bytes: int
    prepares: bool = False

    def block(self, f: Function, scratch: Value, batch: Value, first: Value, rows: Value) -> Value:
        start = f.gep(self.pointer, f.mul(batch, i64(self.batch_bytes)))
        return f.gep(start, f.mul(first, i64(self.row_bytes)))


@dataclass(frozen=True)
class CopiedRows:
    """Rows of k elements copied into a panel, `pitch` bytes apart, and padded with zeros to whole steps."""

    source: RowsInPlace
    conversion: Conversion
    k: int
    padded_k: int
    pitch: int
    prepares: bool = True

    def block(self, f: Function, scratch: Value, batch: Value, first: Value, rows: Value) -> Value:
        start = self.source.block(f, scratch, batch, first, rows)
        with f.loop(0, rows) as row:
            source = f.gep(start, f.mul(row.index, i64(self.source.row_bytes)))
            destination = f.gep(scratch, f.mul(row.index, i64(self.pitch)))
            copy_run(f, self.conversion, source, destination, self.k)
            if self.padded_k > self.k:
                tail = f.gep(destination, self.k * self.conversion.panel_bytes)
                fill_run(f, self.conversion, tail, self.padded_k - self.k, 0)
        return scratch


def emit_matmul(context: KernelContext, root: MatmulOp) -> int:
    """Emits `tiled.matmul`; returns the bytes of scratch per thread."""
    left_type, right_type, result_type = (tensor_type(value) for value in (root.lhs, root.rhs, root.result))
    *batch, m, k = left_type.get_shape()
    batches = batch[0] if batch else 1
    panels, steps, n0, _ = right_type.get_shape()[-4:]
    offset = root.lhs_offset.value.data if root.lhs_offset else 0
    product = product_of(context.target, left_type, right_type, result_type, offset)
    conversion = Conversion(context.target, memory_type(left_type.get_element_type()), product.panel, offset)
    m0 = min(root.rows.value.data, m)
    left, pitch = plain_rows(context.tensor(root.lhs).pointer, product, conversion, m, k, m0, right_type)
    kernel = Microkernel(product, m0, n0, pitch, product.panel_step)
    sweep = Sweep(kernel, batches, m, panels, steps, pitch, right_is_batched=bool(batch))
    n = result_type.get_shape()[-1]

    def indices(f: Function, batch_index: Value, row: Value, column: Value) -> Sequence[Value]:
        return [batch_index, row, column] if batch else [row, column]

    return emit_sweep(context, root, root.rhs, sweep, left, n, indices)


def emit_mmt4d(context: KernelContext, root: Mmt4dOp | BatchMmt4dOp) -> int:
    """Emits a product of packed operands; returns the bytes of scratch per thread.

    A row tile is [k1, m0, k0]: its rows are k0 elements apart, its steps m0 * k0.
    """
    left_type, right_type, result_type = (tensor_type(value) for value in (root.lhs, root.rhs, root.result))
    *batch, tiles, steps, m0, k0 = left_type.get_shape()
    batches = batch[0] if batch else 1
    panels, _, n0, _ = right_type.get_shape()[-4:]
    product = product_of(context.target, left_type, right_type, result_type, 0)
    conversion = Conversion(context.target, memory_type(left_type.get_element_type()), product.panel)
    rows = RowsInPlace(
        context.tensor(root.lhs).pointer,
        tiles * m0 * steps * k0 * conversion.source_bytes,
        steps * k0 * conversion.source_bytes,
    )
    left: LeftSide = rows
    pitch = rows.row_bytes
    if not conversion.is_copy:
        # Blocks are whole tiles, so that a tile widened row by row keeps its order.
        pitch = steps * product.panel_step
        left = CopiedRows(rows, conversion, steps * k0, steps * k0, pitch)
    kernel = Microkernel(product, m0, n0, product.panel_step, m0 * product.panel_step)
    sweep = Sweep(kernel, batches, tiles * m0, panels, steps, pitch, right_is_batched=bool(batch))

    def indices(f: Function, batch_index: Value, row: Value, column: Value) -> Sequence[Value]:
        tile = [f.udiv(row, i64(m0)), f.udiv(column, i64(n0)), f.urem(row, i64(m0)), f.urem(column, i64(n0))]
        return [batch_index, *tile] if batch else tile

    return emit_sweep(context, root, root.rhs, sweep, left, panels * n0, indices)


def plain_rows(
    pointer: Value, product: Product, conversion: Conversion, m: int, k: int, m0: int, right_type: TensorType
) -> tuple[LeftSide, int]:
    """The row-major [batches, m, k] left side at `pointer` and the distance between its rows: in place if possible."""
    panels, steps, _, k0 = right_type.get_shape()[-4:]
    row_bytes = k * conversion.source_bytes
    rows = RowsInPlace(pointer, m * row_bytes, row_bytes)
    if conversion.is_copy and k % k0 == 0 and not _aliases(row_bytes, m0, panels):
        return rows, row_bytes
    pitch = row_stride(steps * product.panel_step)
    return CopiedRows(rows, conversion, k, steps * k0, pitch), pitch


def emit_sweep(
    context: KernelContext, root: Operation, right: SSAValue, sweep: Sweep, left: LeftSide, n: int, indices: Indices
) -> int:
    """Emits the product of `left` with the panels `right`, n columns in all; returns scratch bytes per thread."""
    output = TileOutput(sweep.kernel, n, context.target.avx512, indices, Epilogue(context, root))
    pointer = context.tensor(right).pointer
    sweep.emit(context.f, left, pointer, context.scratch, context.thread, context.threads, output.finish)
    return sweep.scratch_bytes(left)


def product_of(target: Target, left: TensorType, right: TensorType, result: TensorType, offset: int) -> Product:
    """The product that the tiles of `right` were made for."""
    n0, k0 = right.get_shape()[-2:]
    lhs, rhs, sums = (type.get_element_type() for type in (left, right, result))
    return select_product(target, lhs, rhs, sums, n0, k0, offset)


def _aliases(row_bytes: int, m0: int, panels: int) -> bool:
    """Whether rows this far apart fall into so few cache sets that copying them pays.

    A level-1 cache maps addresses 4 KiB apart to one set of 8 to 12 ways, so that rows 1 KiB apart share four sets.
    Copying costs about 3 / n of the product.
    """
    return row_bytes % 1024 == 0 and m0 >= 4 and panels >= 4
