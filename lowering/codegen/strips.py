"""A matmul over pixels, or a convolution, and the depthwise one behind it, strip by strip (see `lowering.fuse_strips`).

A strip is a few rows of the image between the two, [rows, width, n0]: of the channels only one panel of the right side.
A unit of work is the rows of the result that one strip serves. For each:

1. rows that the strip before ended with, and this one needs again, are copied to its start;
2. the micro-kernel makes the other rows, tile by tile, and their generic writes them into the strip;
3. the depthwise convolution slides over the strip as over an image of n0 channels, at an address such that rows keep
   the numbers they have in the whole image: what is beyond the edges is left out as ever.

A convolution makes them row by row, from padded rows of its image (see `padded_rows`).

All strips of a panel come before those of the next one, so that a thread makes rows twice only where its share begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.ir.affine import AffineMap

from ..dialects.tiled import Conv2DOp
from ..ir import shape_of, tensor_type
from ..strips import Strips
from .access import Access, Tensor
from .arithmetic import i64
from .contraction import plain_rows, tile_output
from .depthwise import depthwise_over
from .emit import Function
from .kernel import KernelContext
from .microkernel import Microkernel
from .padded_rows import PaddedRows
from .panel import Conversion
from .product import product_of
from .register_output import RegisterOutput
from .sliding import Sliding
from .sweep import LeftSide
from .tile_output import TileOutput, row_indices
from .types import I8, PTR, Value, bits_of, memory_type, vector_type
from .window import Window, integers, pair, unpadded
from .window_tile import Image

_STRIP_BYTES = 192 * 1024
"""A strip, what it is made of and what becomes of it share an L2 of 1 MiB."""

_UNITS = 16
"""Strips of all panels that keep a few threads even."""

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
        self.panels, self.steps, self.n0, _ = shape_of(expand.operands[1])
        self.left, self.kernel = self._expansion()
        self.m0 = self.kernel.m0
        image, self.before, self.pad_value = unpadded(strips.depthwise.image)
        _, self.height, self.width, self.channels = shape_of(image)
        self.pixels = self.height * self.width
        self.element = tensor_type(image).get_element_type()
        self.element_bytes = bits_of(memory_type(self.element)) // 8
        self.row_bytes = self.width * self.n0 * self.element_bytes
        self.window_rows = shape_of(strips.depthwise.window)[0]
        self.stride = strips.depthwise.stride_values[0]
        self.out_height = shape_of(strips.depthwise.result)[1]
        rows = max(_STRIP_BYTES // self.row_bytes, self.window_rows)
        most = max(1, (rows - self.window_rows) // self.stride + 1)
        fewest = min(-(-_UNITS // self.panels), self.out_height)
        self.count = max(-(-self.out_height // most), fewest)
        self.out_rows = -(-self.out_height // self.count)
        self.count = -(-self.out_height // self.out_rows)
        self.rows = (self.out_rows - 1) * self.stride + self.window_rows

        self.in_registers = None
        output = self._output(_STRIP)
        if not output.epilogue.reads_rows:
            self.in_registers = RegisterOutput.of(self.kernel, self.pixels, self.steps, output)

    def _expansion(self) -> tuple[LeftSide, Microkernel]:
        """Where the rows of `expand` come from, and what multiplies them."""
        context, expand = self.context, self.strips.expand
        left_type, right_type, result_type = (tensor_type(value) for value in (*expand.operands, expand.result))
        product = product_of(context.target, left_type, right_type, result_type, 0)
        conversion = Conversion(context.target, memory_type(left_type.get_element_type()), product.panel, 0)
        pointer, m0 = context.tensor(expand.operands[0]).pointer, expand.rows.value.data
        if isinstance(expand, Conv2DOp):
            _, height, width, channels = left_type.get_shape()
            _, out_height, out_width, _ = result_type.get_shape()
            top, _, leftmost, _ = integers(expand.pad)
            sizes = pair(expand.kernel), pair(expand.strides), pair(expand.dilations)
            window = Window((height, width), (out_height, out_width), *sizes, (top, leftmost))
            pad_value = expand.pad_value.value.data if expand.pad_value else 0
            padded = PaddedRows(pointer, window, channels, conversion, pad_value)
            return padded, padded.kernel(product, m0, self.n0)
        pixels, k = left_type.get_shape()
        rows, pitch = plain_rows(pointer, product, conversion, pixels, k, m0, right_type)
        return rows, Microkernel(product, m0, self.n0, pitch, product.panel_step)

    def emit(self) -> int:
        f, context = self.f, self.context
        strip_offset = -(-self.kernel.tile_bytes // 64) * 64
        # Rows are kept by whole registers.
        left_offset = strip_offset + -(-self.rows * self.row_bytes // 64) * 64 + 64
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
            origin = f.gep(base, f.mul(channel, i64(-self.element_bytes)))
            over = replace(sliding, image=replace(sliding.image, pointer=origin))
            with f.loop(0, self.n0, over.tile.channels) as block:
                over.output_rows(i64(0), first_out, end_out, f.add(channel, block.index), sums)
            unit.yield_(first, end)
        at_once = 1 if isinstance(self.strips.expand, Conv2DOp) else self.rows
        return left_offset + self.left.prepared_bytes(at_once * self.width)

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
        f, width = self.f, i64(self.width)
        if not isinstance(self.strips.expand, Conv2DOp):
            start, behind = f.mul(first, width), f.mul(end, width)
            rows = self.left.block(f, prepared, i64(0), start, f.sub(behind, start))
            self._tiles(base, rows, panel, start, behind)
            return
        with f.loop(first, end) as line:
            start = f.mul(line.index, width)
            rows = self.left.block(f, prepared, line.index, i64(0), width)
            self._tiles(base, rows, panel, start, f.add(start, width))

    def _tiles(self, base: Value, rows: Value, panel: Value, start: Value, behind: Value) -> None:
        """Pixels [start, behind), from `rows`."""
        f, context, root = self.f, self.context, self.strips.expand
        right = f.gep(
            context.tensor(root.operands[1]).pointer, f.mul(panel, i64(self.steps * self.kernel.panel_step_bytes))
        )
        origin = f.gep(base, f.mul(panel, i64(-self.element_bytes * self.n0)))
        output, in_registers = self._output(origin), self.in_registers
        with f.loop(start, behind, self.m0) as tile:
            row = f.min(tile.index, f.sub(behind, i64(self.m0)))
            left = f.gep(rows, f.mul(f.sub(row, start), i64(self.kernel.row_stride)))
            arguments = [left, right, context.scratch]
            if in_registers is not None:
                in_registers = replace(in_registers, others={_STRIP.text: origin})
                f.call("void", self._tile_name, [*arguments, *in_registers.arguments(i64(0), row, panel)])
            else:
                f.call("void", self._tile_name, arguments)
                output.finish(f, context.scratch, i64(0), row, (f.sub(tile.index, row), i64(self.m0)), panel)

    def _output(self, origin: Value) -> TileOutput:
        """What takes tiles to the strip, in which element (0, 0) of the image, of a panel, would lie at `origin`."""
        indices = self._pixel if isinstance(self.strips.expand, Conv2DOp) else row_indices(batched=False)
        output = tile_output(self.context, self.strips.expand, self.kernel.product, self.n0, self.channels, indices)
        shape = (*shape_of(self.strips.expand.result)[:-1], self.n0)
        output.epilogue.store_in(Access.of(Tensor(origin, shape, self.element), AffineMap.identity(len(shape))))
        if len(shape) == 4 and output.epilogue.rows_are_linear:
            return replace(output, indices=lambda f, batch, row, column: [i64(0), i64(0), row, column])
        return output

    def _pixel(self, f: Function, batch: Value, row: Value, column: Value) -> Sequence[Value]:
        """The indices of a pixel by its number."""
        return [i64(0), f.udiv(row, i64(self.width)), f.urem(row, i64(self.width)), column]
