"""`tiled.conv_2d` as a matrix product: output pixels are rows, the window is k.

A 1x1 window without strides or padding finds its rows in the image as they are. For any other, the windows of a
block of pixels are gathered into scratch (im2col of one block, never of the image): a block is swept over all panels of
the filter, so that a gathered element, one vector move per 64 bytes, takes part in n multiply-adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dialects.tiled import Conv2DOp
from ..ir import tensor_type
from .arithmetic import i64
from .contraction import emit_sweep, plain_rows, tile_output, unpacking
from .emit import OUTLINED, Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .microkernel import Microkernel
from .padded_rows import PaddedRows, reads_padded_rows
from .panel import Conversion, copy_run, fill_run, row_stride
from .product import product_of
from .single_channel import SingleChannel, in_rows_of_pixels, suits_single_channel
from .sweep import LeftSide, Sweep
from .types import BF16, F32, Value, memory_type, vector_type
from .window import Window, integers, pair
from .winograd import Winograd
from .winograd_plan import winograd_plan

_MOST_ROWS = 8
"""Rows of a window that are gathered without a loop."""


@dataclass(frozen=True)
class GatheredWindows:
    """Rows [kh, kw, c] of output pixels, gathered from the image [n, h, w, c] at `pointer`, `pitch` bytes apart."""

    pointer: Value
    window: Window
    channels: int
    conversion: Conversion
    pad_value: int | float
    padded_k: int
    pitch: int
    prepares: bool = True

    def prepared_bytes(self, rows: int) -> int:
        return rows * self.pitch

    def block(self, f: Function, scratch: Value, batch: Value, first: Value, rows: Value) -> Value:
        """Line by line of the result: tiles of few cycles bear nothing but copying for each pixel."""
        height, width = self.window.output
        f.attach(self._pixel(f))
        end = f.add(first, rows)
        with f.loop(f.udiv(first, i64(width)), f.ceildiv(end, i64(width))) as line:
            image, oh = f.udiv(line.index, i64(height)), f.urem(line.index, i64(height))
            image_bytes = self.window.image[0] * self.window.image[1] * self.channels * self.conversion.source_bytes
            source = f.gep(self.pointer, f.mul(image, i64(image_bytes)))
            top = f.sub(f.mul(oh, i64(self.window.strides[0])), i64(self.window.before[0]))
            start = f.mul(line.index, i64(width))
            to = f.gep(scratch, f.mul(f.sub(start, first), i64(self.pitch)))
            self._line(f, source, to, top, f.max(f.sub(first, start), i64(0)), f.min(f.sub(end, start), i64(width)))
        return scratch

    def _line(self, f: Function, source: Value, to: Value, top: Value, begin: Value, end: Value) -> None:
        """Pixels [begin, end) of a line of the result whose windows begin at row `top`; its first would go to `to`."""

        def pixels(first: Value, last: Value) -> None:
            with f.loop(first, last) as pixel:
                left = f.sub(f.mul(pixel.index, i64(self.window.strides[1])), i64(self.window.before[1]))
                destination = f.gep(to, f.mul(pixel.index, i64(self.pitch)))
                f.call("void", self._pixel_name(f), [source, destination, top, left])

        if not self._is_small:
            pixels(begin, end)
            return
        window = self.window
        whole = [window.image[axis] - window.span(axis) for axis in (0, 1)]
        # The pixels whose windows lie within the image, where this line's do at all.
        low = -(-window.before[1] // window.strides[1])
        high = (whole[1] + window.before[1]) // window.strides[1] + 1
        inside = f.icmp("ult", top, i64(whole[0] + 1))
        low = f.select(inside, f.max(f.min(i64(low), end), begin), end)
        high = f.select(inside, f.max(f.min(i64(high), end), low), end)
        pixels(begin, low)
        with f.loop(low, high) as pixel:
            left = f.sub(f.mul(pixel.index, i64(window.strides[1])), i64(window.before[1]))
            self._small_window(f, self._address(f, source, top, left), f.gep(to, f.mul(pixel.index, i64(self.pitch))))
        pixels(high, end)

    def _pixel_name(self, caller: Function) -> str:
        return f"{caller.name}.gather"

    def _pixel(self, caller: Function) -> Function:
        """gather(image, destination, top, left): one window, wherever it lies."""
        parameters = [
            ("ptr noalias readonly", "image"),
            ("ptr noalias", "destination"),
            ("i64", "top"),
            ("i64", "left"),
        ]
        f = Function(self._pixel_name(caller), parameters, attributes=OUTLINED)
        image, destination, top, left = f.arguments
        window, size = self.window, self.conversion.panel_bytes
        run = window.kernel[1] * self.channels
        with f.loop(0, window.kernel[0]) as kh:
            y = f.add(top, f.mul(kh.index, i64(window.dilations[0])))
            self._window_row(f, image, f.gep(destination, f.mul(kh.index, i64(run * size))), y, left)
        k = window.kernel[0] * run
        if self.padded_k > k:
            fill_run(f, self.conversion, f.gep(destination, k * size), self.padded_k - k, 0)
        return f

    @property
    def _run_lanes(self) -> int:
        """Elements of a vector that a row of a window fits in."""
        return 1 << (self.window.kernel[1] * self.channels - 1).bit_length()

    @property
    def _is_small(self) -> bool:
        """Whether a row of a window is one vector, and its rows are so few that they are written one over another."""
        window, run = self.window, self.window.kernel[1] * self.channels
        written = (window.kernel[0] - 1) * run + self._run_lanes
        return (
            self.conversion.target.avx512
            and window.kernel[0] <= _MOST_ROWS
            and (window.dilations[1] == 1 or window.kernel[1] == 1)
            and all(window.image[axis] >= window.span(axis) for axis in (0, 1))
            and 1 < self._run_lanes <= self.conversion.lanes
            and self.padded_k <= written <= self.pitch // self.conversion.panel_bytes
        )

    def _small_window(self, f: Function, source: Value, destination: Value) -> None:
        """A window within the image. A row overwrites what the one before left behind its end; behind the last one is
        what no weight but zero meets."""
        window, conversion, lanes = self.window, self.conversion, self._run_lanes
        run = window.kernel[1] * self.channels
        line_bytes = window.dilations[0] * window.image[1] * self.channels * conversion.source_bytes
        stored = vector_type(f"i{8 * conversion.source_bytes}", lanes)
        mask = f.tail_mask(i64(run), lanes)
        for row in range(window.kernel[0]):
            line = f.gep(source, row * line_bytes)
            bits = f.load(stored, line) if run == lanes else f.masked_load(stored, line, mask)
            value = conversion.apply(f, f.bitcast(bits, vector_type(conversion.source, lanes)))
            f.store(value, f.gep(destination, row * run * conversion.panel_bytes))

    def _window_row(self, f: Function, image: Value, destination: Value, y: Value, left: Value) -> None:
        """One row of a window: a single run where it lies within the image, tap by tap at the edges."""
        window = self.window
        is_run = window.dilations[1] == 1 or window.kernel[1] == 1
        whole_rows = window.image[1] - window.span(1) + 1
        if not is_run or whole_rows <= 0:
            self._taps(f, image, destination, y, left)
            return

        def copy() -> None:
            copy_run(
                f, self.conversion, self._address(f, image, y, left), destination, window.kernel[1] * self.channels
            )

        conditions = []
        if window.reaches_out(0):
            conditions.append(f.icmp("ult", y, i64(window.image[0])))
        if window.reaches_out(1):
            conditions.append(f.icmp("ult", left, i64(whole_rows)))
        if not conditions:
            copy()
            return
        inside = conditions[0] if len(conditions) == 1 else f.and_(*conditions)
        with f.if_(inside):
            copy()
        with f.if_(f.xor(inside, f.const("i1", True))):
            self._taps(f, image, destination, y, left)

    def _taps(self, f: Function, image: Value, destination: Value, y: Value, left: Value) -> None:
        window, channels = self.window, self.channels
        in_column = f.icmp("ult", y, i64(window.image[0]))
        with f.loop(0, window.kernel[1]) as kw:
            x = f.add(left, f.mul(kw.index, i64(window.dilations[1])))
            tap = f.gep(destination, f.mul(kw.index, i64(channels * self.conversion.panel_bytes)))
            inside = f.and_(in_column, f.icmp("ult", x, i64(window.image[1])))
            with f.if_(inside):
                copy_run(f, self.conversion, self._address(f, image, y, x), tap, channels)
            with f.if_(f.xor(inside, f.const("i1", True))):
                fill_run(f, self.conversion, tap, channels, self.pad_value)

    def _address(self, f: Function, image: Value, y: Value, x: Value) -> Value:
        pixel = f.add(f.mul(y, i64(self.window.image[1])), x)
        return f.gep(image, f.mul(pixel, i64(self.channels * self.conversion.source_bytes)))


def emit_convolution(context: KernelContext, root: Conv2DOp) -> int:
    """Emits `tiled.conv_2d`; returns the bytes of scratch per thread."""
    image_type, filter_type, result_type = (tensor_type(value) for value in (root.image, root.filter, root.result))
    images, height, width, channels = image_type.get_shape()
    _, out_height, out_width, n = result_type.get_shape()
    offset = root.lhs_offset.value.data if root.lhs_offset else 0
    product = product_of(context.target, image_type, filter_type, result_type, offset)
    conversion = Conversion(context.target, memory_type(image_type.get_element_type()), product.panel, offset)
    panels, steps, n0, k0 = filter_type.get_shape()
    m = images * out_height * out_width
    m0 = min(root.rows.value.data, m)
    top, _, leftmost, _ = integers(root.pad)
    window = Window(
        (height, width),
        (out_height, out_width),
        pair(root.kernel),
        pair(root.strides),
        pair(root.dilations),
        (top, leftmost),
    )
    linear = Epilogue(context, root).rows_are_linear

    def indices(f: Function, batch: Value, row: Value, column: Value) -> Sequence[Value]:
        if linear:
            return [i64(0), i64(0), row, column]
        pixel = f.urem(row, i64(out_height * out_width))
        image = f.udiv(row, i64(out_height * out_width))
        return [image, f.udiv(pixel, i64(out_width)), f.urem(pixel, i64(out_width)), column]

    pointer = context.tensor(root.image).pointer
    pad_value = root.pad_value.value.data if root.pad_value else 0
    if suits_single_channel(context.target, window, product, channels, n) and conversion.is_copy and not pad_value:
        output = tile_output(context, root, product, n0, n, indices)
        if len(output.epilogue.shape) == 4:
            output = in_rows_of_pixels(output, out_height, out_width)
            filter = context.tensor(root.filter).pointer
            return SingleChannel(context, window, images, channels, pointer, filter, n0, output).emit()
    plan = None
    in_pairs = (product.instruction, product.panel) == ("vdpbf16ps", BF16)
    in_f32 = (product.panel, product.right, product.accumulator, product.k0) == (F32, F32, F32, 1)
    if (in_f32 or in_pairs) and conversion.is_copy:
        plan = winograd_plan(context.target, window, images, channels, panels, n0, m0, product.k0)
    if plan is not None:
        output = tile_output(context, root, product, n0, n, indices)
        filter = context.tensor(root.filter).pointer
        winograd = Winograd(plan, product, window, channels, panels, n0, pointer, filter, pad_value, output)
        return winograd.emit(context.f, context.scratch, context.thread, context.threads)
    product, stored = unpacking(product, m, m0)
    if stored is None and reads_padded_rows(window, images, channels, product, min(m0, out_width), steps, panels * n0):
        padded = PaddedRows(pointer, window, channels, conversion, pad_value)
        kernel = padded.kernel(product, min(m0, out_width), n0)
        sweep = Sweep(
            kernel, images * out_height, out_width, panels, steps, padded.pitch, right_is_batched=False, stored=None
        )

        def in_line(f: Function, batch: Value, row: Value, column: Value) -> Sequence[Value]:
            return indices(f, batch, f.add(f.mul(batch, i64(out_width)), row), column)

        return emit_sweep(context, root, root.filter, sweep, padded, n, in_line)
    left: LeftSide
    if window.is_pointwise:
        left, pitch = plain_rows(pointer, product, conversion, m, channels, m0, filter_type)
    else:
        pitch = row_stride(steps * product.panel_step)
        left = GatheredWindows(pointer, window, channels, conversion, pad_value, steps * k0, pitch)
    kernel = Microkernel(product, m0, n0, pitch, product.panel_step)
    sweep = Sweep(kernel, 1, m, panels, steps, pitch, right_is_batched=False, stored=stored)
    return emit_sweep(context, root, root.filter, sweep, left, n, indices)
