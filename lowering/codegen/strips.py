"""A matmul over pixels and the depthwise convolution behind it, strip by strip (see `lowering.fuse_strips`).

A strip is a few rows of the image between the two, [rows, width, n0]: of the channels only one panel of the right side.
A unit of work is the rows of the result that one strip serves. For each:

1. rows that the strip before ended with, and this one needs again, are copied to its start;
2. the micro-kernel makes the other rows, tile by tile, and their generic writes them into the strip;
3. the depthwise convolution slides over the strip as over an image of n0 channels, at an address such that rows keep
   the numbers they have in the whole image: what is beyond the edges is left out as ever.

All strips of a panel come before those of the next one, so that a thread makes rows twice only where its share begins.
"""

from __future__ import annotations

from dataclasses import replace

from xdsl.ir.affine import AffineMap

from ..ir import shape_of, tensor_type
from ..strips import Strips
from .access import Access, Tensor
from .arithmetic import i64
from .contraction import plain_rows, tile_output
from .depthwise import depthwise_over
from .kernel import KernelContext
from .microkernel import Microkernel
from .panel import Conversion
from .product import product_of
from .register_output import RegisterOutput
from .sliding import Sliding
from .tile_output import TileOutput, row_indices
from .types import I8, PTR, Value, memory_type, vector_type
from .window import unpadded
from .window_tile import Image

_STRIP_BYTES = 192 * 1024
"""A strip, what it is made of and what becomes of it share an L2 of 1 MiB."""

_STRIP = Value(PTR, "%strip")
"""The address of a strip as the function of a tile knows it."""


def emit_strips(context: KernelContext, strips: Strips) -> int:
    """Emits a region of these operations; returns the bytes of scratch per thread."""
    return _Strips(context, strips).emit()


class _Strips:
    def __init__(self, context: KernelContext, strips: Strips) -> None:
        self.context, self.f = context, context.f
        self.strips = strips
        expand = strips.expand
        left_type, right_type, result_type = (tensor_type(value) for value in (expand.lhs, expand.rhs, expand.result))
        self.pixels, k = left_type.get_shape()
        self.panels, self.steps, self.n0, _ = right_type.get_shape()
        product = product_of(context.target, left_type, right_type, result_type, 0)
        conversion = Conversion(context.target, memory_type(left_type.get_element_type()), product.panel, 0)
        self.m0 = expand.rows.value.data
        pointer = context.tensor(expand.lhs).pointer
        self.left, self.pitch = plain_rows(pointer, product, conversion, self.pixels, k, self.m0, right_type)
        self.kernel = Microkernel(product, self.m0, self.n0, self.pitch, product.panel_step)
        image, self.before, self.pad_value = unpadded(strips.depthwise.image)
        _, self.height, self.width, self.channels = shape_of(image)
        self.element = tensor_type(image).get_element_type()
        self.row_bytes = self.width * self.n0 * 4
        self.window_rows = shape_of(strips.depthwise.window)[0]
        self.stride = strips.depthwise.stride_values[0]
        self.out_height = shape_of(strips.depthwise.result)[1]
        rows = max(_STRIP_BYTES // self.row_bytes, self.window_rows)
        most = max(1, (rows - self.window_rows) // self.stride + 1)
        self.count = -(-self.out_height // most)
        self.out_rows = -(-self.out_height // self.count)
        self.rows = (self.out_rows - 1) * self.stride + self.window_rows

        self.in_registers = None
        output = self._output(_STRIP)
        if not output.epilogue.reads_rows:
            self.in_registers = RegisterOutput.of(self.kernel, self.pixels, self.steps, output)

    def emit(self) -> int:
        f, context = self.f, self.context
        strip_offset = -(-self.kernel.tile_bytes // 64) * 64
        left_offset = strip_offset + self.rows * self.row_bytes
        strip, prepared = f.gep(context.scratch, strip_offset), f.gep(context.scratch, left_offset)
        f.attach(self.kernel.function(self._tile_name, self.steps, accumulate=False, finish=self.in_registers))
        sliding = self._sliding(strip)
        for function in sliding.tile_functions():
            f.attach(function)
        sums = f.alloca(sliding.tile_bytes)
        begin, last = context.share(self.panels * self.count)
        with f.loop(begin, last, carried=[i64(0), i64(0)]) as unit:
            panel, number = f.udiv(unit.index, i64(self.count)), f.urem(unit.index, i64(self.count))
            first_out = f.mul(number, i64(self.out_rows))
            end_out = f.min(f.add(first_out, i64(self.out_rows)), i64(self.out_height))
            first = f.max(f.sub(f.mul(first_out, i64(self.stride)), i64(self.before[0])), i64(0))
            behind = f.add(f.mul(f.sub(end_out, i64(1)), i64(self.stride)), i64(self.window_rows - self.before[0]))
            end = f.min(behind, i64(self.height))
            is_fresh = f.or_(f.icmp("eq", unit.index, begin), f.icmp("eq", number, i64(0)))
            old_first, old_end = unit.values
            made = f.select(is_fresh, first, f.max(old_end, first))
            self._keep(strip, f.sub(first, old_first), f.sub(made, first))
            # Where row 0 of the image would be.
            base = f.gep(strip, f.sub(i64(0), f.mul(first, i64(self.row_bytes))))
            self._make(base, prepared, panel, made, end)
            channel = f.mul(panel, i64(self.n0))
            origin = f.gep(base, f.mul(channel, i64(-4)))
            over = replace(sliding, image=replace(sliding.image, pointer=origin))
            with f.loop(first_out, end_out) as oh, f.loop(0, self.n0, over.tile.channels) as block:
                over.output_row(i64(0), oh.index, f.add(channel, block.index), sums)
            unit.yield_(first, end)
        return left_offset + (self.rows * self.width * self.pitch if self.left.prepares else 0)

    @property
    def _tile_name(self) -> str:
        return f"{self.f.name}.expand"

    def _sliding(self, strip: Value) -> Sliding:
        shape = (1, self.height, self.width, self.n0)
        image = Image(strip, memory_type(self.element), shape, self.before, self.pad_value)
        return depthwise_over(self.context, self.strips.depthwise, image, self.channels)

    def _keep(self, strip: Value, distance: Value, rows: Value) -> None:
        """Moves `rows` rows of the strip from `distance` rows behind its start there."""
        f = self.f
        type = vector_type(I8, self.context.target.vector_bits // 8)
        source = f.gep(strip, f.mul(distance, i64(self.row_bytes)))
        with f.loop(0, f.mul(rows, i64(self.row_bytes)), self.context.target.vector_bits // 8) as byte:
            f.store(f.load(type, f.gep(source, byte.index)), f.gep(strip, byte.index))

    def _make(self, base: Value, prepared: Value, panel: Value, first: Value, end: Value) -> None:
        """Rows [first, end) of the image, of the channels of `panel`."""
        f, context, root = self.f, self.context, self.strips.expand
        start, behind = f.mul(first, i64(self.width)), f.mul(end, i64(self.width))
        rows = self.left.block(f, prepared, i64(0), start, f.sub(behind, start))
        right = f.gep(context.tensor(root.rhs).pointer, f.mul(panel, i64(self.steps * self.kernel.panel_step_bytes)))
        origin = f.gep(base, f.mul(panel, i64(-4 * self.n0)))
        output, in_registers = self._output(origin), self.in_registers
        with f.loop(start, behind, self.m0) as tile:
            row = f.min(tile.index, f.sub(behind, i64(self.m0)))
            left = f.gep(rows, f.mul(f.sub(row, start), i64(self.pitch)))
            arguments = [left, right, context.scratch]
            if in_registers is not None:
                in_registers = replace(in_registers, others={_STRIP.text: origin})
                f.call("void", self._tile_name, [*arguments, *in_registers.arguments(i64(0), row, panel)])
            else:
                f.call("void", self._tile_name, arguments)
                output.finish(f, context.scratch, i64(0), row, (f.sub(tile.index, row), i64(self.m0)), panel)

    def _output(self, origin: Value) -> TileOutput:
        """What takes tiles to the strip, in which element (0, 0) of the image, of a panel, would lie at `origin`."""
        indices = row_indices(batched=False)
        output = tile_output(self.context, self.strips.expand, self.kernel.product, self.n0, self.channels, indices)
        strip = Tensor(origin, (self.pixels, self.n0), self.element)
        output.epilogue.store_in(Access.of(strip, AffineMap.identity(2)))
        return output
