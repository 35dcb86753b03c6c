"""Matrix products over a pre-tiled right side: `tiled.matmul` with sizes known now (else see `runtime_matmul`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue

from ..dialects.tiled import MatmulOp
from ..ir import tensor_type
from ..tiles import rows_alias
from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .extent import Extent
from .kernel import KernelContext
from .microkernel import Microkernel
from .panel import Conversion, copy_run, fill_run, row_stride
from .product import Product, product_of
from .register_output import RegisterOutput
from .runtime_matmul import emit_runtime_matmul
from .sweep import LeftSide, Sweep
from .tile_output import Indices, TileOutput, row_indices
from .types import Value, is_float, memory_type

_TILES_TO_UNPACK = 3
"""Tiles of rows from which on it pays to widen a panel of the right side before it is swept."""


@dataclass(frozen=True)
class RowsInPlace:
    """Rows read where they lie: [batches, m] rows at even distances."""

    pointer: Value
    batch_bytes: int
    row_bytes: int
    prepares: bool = False

    def prepared_bytes(self, rows: int) -> int:
        return 0

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

    def prepared_bytes(self, rows: int) -> int:
        return rows * self.pitch

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
    left, right, out = (context.shape(value) for value in (root.lhs, root.rhs, root.result))
    sizes = [*left, *right, *out]
    if any(not isinstance(size, int) or size == 0 for size in sizes):
        return emit_runtime_matmul(context, root)
    left_type, right_type, result_type = (tensor_type(value) for value in (root.lhs, root.rhs, root.result))
    *batch, m, k = left_type.get_shape()
    batches = batch[0] if batch else 1
    panels, steps, n0, _ = right_type.get_shape()[-4:]
    offset = root.lhs_offset.value.data if root.lhs_offset else 0
    product = product_of(context.target, left_type, right_type, result_type, offset)
    conversion = Conversion(context.target, memory_type(left_type.get_element_type()), product.panel, offset)
    m0 = min(root.rows.value.data, m)
    rows, pitch = plain_rows(context.tensor(root.lhs).pointer, product, conversion, m, k, m0, right_type)
    product, stored = unpacking(product, m, m0)
    kernel = Microkernel(product, m0, n0, pitch, product.panel_step)
    sweep = Sweep(kernel, batches, m, panels, steps, pitch, right_is_batched=bool(batch), stored=stored)
    n = result_type.get_shape()[-1]
    return emit_sweep(context, root, root.rhs, sweep, rows, n, row_indices(batched=bool(batch)))


def unpacking(product: Product, m: int, m0: int) -> tuple[Product, Product | None]:
    """(the product that row tiles compute, that of the first of a block, which widens the panel for the others).

    Widening takes two instructions for each vector of the right side, beside the m0 multiply-adds of a tile: a tenth of
    the time where weights are stored as i8. Few row tiles read them as they are stored.
    """
    single = product.instruction is None and product.k0 == 1
    if not single or product.right == product.panel or not is_float(product.panel) or m < _TILES_TO_UNPACK * m0:
        return product, None
    return replace(product, right=product.panel), product


def plain_rows(
    pointer: Value, product: Product, conversion: Conversion, m: int, k: int, m0: int, right_type: TensorType
) -> tuple[LeftSide, int]:
    """The row-major [batches, m, k] left side at `pointer` and the distance between its rows: in place if possible."""
    panels, steps, _, k0 = right_type.get_shape()[-4:]
    row_bytes = k * conversion.source_bytes
    rows = RowsInPlace(pointer, m * row_bytes, row_bytes)
    if conversion.is_copy and k % k0 == 0 and not rows_alias(row_bytes, m0, panels):
        return rows, row_bytes
    pitch = row_stride(steps * product.panel_step)
    return CopiedRows(rows, conversion, k, steps * k0, pitch), pitch


def emit_sweep(
    context: KernelContext, root: Operation, right: SSAValue, sweep: Sweep, left: LeftSide, n: int, indices: Indices
) -> int:
    """Emits the product of `left` with the panels `right`, n columns in all; returns scratch bytes per thread."""
    output = tile_output(context, root, sweep.kernel.product, sweep.kernel.n0, n, indices)
    pointer = context.tensor(right).pointer
    at_once = None
    if sweep.stored is None and sweep.k_blocks == 1:
        at_once = RegisterOutput.of(sweep.kernel, sweep.m, sweep.steps, output)
    sweep.emit(
        context.f,
        left,
        pointer,
        context.scratch,
        context.thread,
        context.threads,
        output.finish,
        output.prefetch,
        at_once,
    )
    return sweep.scratch_bytes(left)


def tile_output(
    context: KernelContext, root: Operation, product: Product, n0: int, n: Extent, indices: Indices
) -> TileOutput:
    """Where tiles of n0 columns of sums of `root` go.

    Two registers at a time where that pays.
    """
    result = memory_type(tensor_type(root.results[0]).get_element_type())
    epilogue, lanes = Epilogue(context, root), product.lanes
    if n0 % (2 * lanes) == 0 and epilogue.prefers_pairs:
        lanes *= 2
    return TileOutput(context.target, product.accumulator, lanes, n0, n, result, indices, epilogue)
