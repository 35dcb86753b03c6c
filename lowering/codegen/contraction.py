"""Matrix products over a pre-tiled right side: `tiled.matmul`, `linalg.mmt4d` and `linalg.batch_mmt4d`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue

from ..dialects.linalg import BatchMmt4dOp, Mmt4dOp
from ..dialects.tiled import MatmulOp
from ..target import Target
from .arithmetic import i64
from .emit import Function
from .microkernel import Microkernel
from .panel import Conversion, copy_run, fill_run, row_stride
from .product import Product, select_product
from .sweep import LeftSide, Sweep
from .tile_output import Sink, TileOutput
from .types import Value, bits_of, memory_type


@dataclass(frozen=True)
class Operands:
    """The addresses and the share of work that a kernel is called with. `left` and `right` are the root's operands."""

    left: Value
    right: Value
    scratch: Value
    thread: Value
    threads: Value


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


def emit_matmul(f: Function, target: Target, root: MatmulOp, operands: Operands, sink: Sink) -> int:
    """Emits `tiled.matmul` into `f`; returns the bytes of scratch per thread."""
    left_type, right_type, result_type = (tensor(value) for value in (root.lhs, root.rhs, root.result))
    *batch, m, k = left_type.get_shape()
    batches = batch[0] if batch else 1
    panels, steps, n0, k0 = right_type.get_shape()[-4:]
    offset = root.lhs_offset.value.data if root.lhs_offset else 0
    product = product_of(target, left_type, right_type, result_type, offset)
    conversion = Conversion(target, memory_type(left_type.get_element_type()), product.panel, offset)
    rows = RowsInPlace(operands.left, m * k * conversion.source_bytes, k * conversion.source_bytes)
    m0 = min(root.rows.value.data, m)
    left: LeftSide = rows
    pitch = rows.row_bytes
    if not conversion.is_copy or k % k0 or _aliases(pitch, m0, panels):
        pitch = row_stride(steps * product.panel_step)
        left = CopiedRows(rows, conversion, k, steps * k0, pitch)
    kernel = Microkernel(product, m0, n0, pitch, product.panel_step)
    sweep = Sweep(kernel, batches, m, panels, steps, pitch, right_is_batched=bool(batch))
    n = result_type.get_shape()[-1]

    def indices(f: Function, batch_index: Value, row: Value, column: Value) -> Sequence[Value]:
        return [batch_index, row, column] if batch else [row, column]

    output = TileOutput(kernel, n, target.avx512, indices, sink)
    return emit_sweep(f, sweep, left, operands, output)


def emit_mmt4d(f: Function, target: Target, root: Mmt4dOp | BatchMmt4dOp, operands: Operands, sink: Sink) -> int:
    """Emits a product of packed operands into `f`; returns the bytes of scratch per thread.

    A row tile is [k1, m0, k0]: its rows are k0 elements apart, its steps m0 * k0.
    """
    left_type, right_type, result_type = (tensor(value) for value in (root.lhs, root.rhs, root.result))
    *batch, tiles, steps, m0, k0 = left_type.get_shape()
    batches = batch[0] if batch else 1
    panels, _, n0, _ = right_type.get_shape()[-4:]
    product = product_of(target, left_type, right_type, result_type, 0)
    conversion = Conversion(target, memory_type(left_type.get_element_type()), product.panel)
    rows = RowsInPlace(
        operands.left, tiles * m0 * steps * k0 * conversion.source_bytes, steps * k0 * conversion.source_bytes
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

    output = TileOutput(kernel, panels * n0, target.avx512, indices, sink)
    return emit_sweep(f, sweep, left, operands, output)


def emit_sweep(f: Function, sweep: Sweep, left: LeftSide, operands: Operands, output: TileOutput) -> int:
    sweep.emit(f, left, operands.right, operands.scratch, operands.thread, operands.threads, output.finish)
    return sweep.scratch_bytes(left)


def product_of(target: Target, left: TensorType, right: TensorType, result: TensorType, offset: int) -> Product:
    """The product that the tiles of `right` were made for."""
    n0, k0 = right.get_shape()[-2:]
    elements = (type.get_element_type() for type in (left, right, result))
    return select_product(target, *elements, n0, k0, offset)


def tensor(value: SSAValue) -> TensorType[Attribute]:
    return cast("TensorType[Attribute]", value.type)


def _aliases(row_bytes: int, m0: int, panels: int) -> bool:
    """Whether rows this far apart fall into so few cache sets that copying them pays.

    A level-1 cache maps addresses 4 KiB apart to one set of 8 to 12 ways. Copying costs about 3 / n of the product.
    """
    return row_bytes % 2048 == 0 and m0 >= 4 and panels >= 4
