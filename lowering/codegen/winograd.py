"""`tiled.conv_2d` of 3x3 windows by Winograd's algorithm: fewer products, between three transforms.

A unit of work is a block of tiles times one panel of the filter. A thread transforms the pixels of a block once; for
each panel it transforms a part of the filter's channels, multiplies each of the points^2 components (a small matrix
product by the usual micro-kernel), and goes on with the next part. Then each tile of sums is transformed back, and its
results go through the epilogue. All of it stays in scratch that fits the second cache; the filter in memory is tiled as
for direct convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .arithmetic import i64
from .conversions import round_to_bfloat
from .emit import Function
from .microkernel import Microkernel
from .panel import Conversion, copy_run, fill_run
from .product import Product, widen
from .tile_output import TileOutput
from .types import BF16, I16, I64, PTR, Value, bits_of, vector_type
from .window import Window
from .winograd_plan import Layout, WinogradPlan
from .winograd_transform import TAPS, apply_columns, apply_rows

_STREAMED_BYTES = 512 * 1024
"""From this size on a filter is taken not to be in an L2 of 1 MiB when a kernel comes to it."""


@dataclass(frozen=True)
class Winograd:
    """The convolution of images [images, h, w, channels] at `image` with panels [9 * channels, n0] at `filter`."""

    plan: WinogradPlan
    product: Product
    window: Window
    channels: int
    panels: int
    n0: int
    image: Value
    filter: Value
    pad_value: int | float
    output: TileOutput

    @property
    def layout(self) -> Layout:
        return Layout(self.plan, self.channels, self.n0)

    def emit(self, f: Function, scratch: Value, thread: Value, threads: Value) -> int:
        """Emits thread `thread`'s share; returns bytes of scratch per thread."""
        plan, panels = self.plan, self.panels
        for helper in (self._image_transform(f), self._filter_transform(f), self._result_transform(f)):
            f.attach(helper)
        kernel = Microkernel(self.product, plan.m0, self.n0, self.layout.pixel_row, self.product.panel_step)
        for accumulate in (False, True) if plan.channels < self.channels else (False,):
            steps = plan.channels // self.product.k0
            f.attach(kernel.function(_tile(f, accumulate=accumulate), steps, accumulate=accumulate))
        units = i64(plan.blocks * panels)
        first = f.udiv(f.mul(thread, units), threads)
        last = f.udiv(f.mul(f.add(thread, i64(1)), units), threads)
        with f.loop(first, last, carried=[i64(-1)]) as unit:
            block, panel = f.udiv(unit.index, i64(panels)), f.urem(unit.index, i64(panels))
            start = f.mul(block, i64(plan.rows))
            with f.if_(f.icmp("ne", block, unit.values[0])):
                self._pixels(f, scratch, start)
            self._products(f, scratch, panel)
            self._results(f, scratch, start, panel)
            unit.yield_(block)
        return self.layout.bytes

    # Pixels

    def _pixels(self, f: Function, scratch: Value, start: Value) -> None:
        """Transforms the pixels of the block's tiles; rows beyond the last tile repeat it."""
        layout, plan = self.layout, self.plan
        points, outputs = plan.transforms.points, plan.transforms.outputs
        height, width = self.window.image
        pixel_bytes = plan.element_bytes * self.channels
        with f.loop(0, plan.rows) as row:
            tile = f.min(f.add(start, row.index), i64(plan.tiles - 1))
            image, y, x = self._position(f, tile)
            top = f.sub(f.mul(y, i64(outputs)), i64(self.window.before[0]))
            left = f.sub(f.mul(x, i64(outputs)), i64(self.window.before[1]))
            source = f.gep(self.image, f.mul(image, i64(height * width * pixel_bytes)))
            to = f.gep(scratch, f.mul(row.index, i64(layout.pixel_row)))
            # Unsigned, so that what lies above or left of the image is beyond its end.
            inside = f.and_(
                f.icmp("ult", top, i64(max(height - points + 1, 0))),
                f.icmp("ult", left, i64(max(width - points + 1, 0))),
            )
            with f.if_(inside):
                corner = f.gep(source, f.mul(f.add(f.mul(top, i64(width)), left), i64(pixel_bytes)))
                f.call("void", f"{f.name}.image", [corner, i64(width * pixel_bytes), to])
            with f.if_(f.xor(inside, f.const("i1", True))):
                patch = f.gep(scratch, layout.patch_at)
                self._patch(f, source, top, left, patch)
                f.call("void", f"{f.name}.image", [patch, i64(layout.patch_row), to])

    def _position(self, f: Function, tile: Value) -> tuple[Value, Value, Value]:
        """(image, row of tiles, column of tiles) of a tile."""
        down, across = (-(-size // self.plan.transforms.outputs) for size in self.window.output)
        image, within = f.udiv(tile, i64(down * across)), f.urem(tile, i64(down * across))
        return image, f.udiv(within, i64(across)), f.urem(within, i64(across))

    def _patch(self, f: Function, source: Value, top: Value, left: Value, patch: Value) -> None:
        """Copies the pixels of a tile at the edge, with what lies beyond it."""
        height, width = self.window.image
        conversion = Conversion(self.product.target, self.product.panel, self.product.panel)
        points, pixel_bytes = self.plan.transforms.points, self.plan.element_bytes * self.channels
        with f.loop(0, points) as row, f.loop(0, points) as column:
            y, x = f.add(top, row.index), f.add(left, column.index)
            at = f.add(f.mul(row.index, i64(points)), column.index)
            to = f.gep(patch, f.mul(at, i64(pixel_bytes)))
            inside = f.and_(f.icmp("ult", y, i64(height)), f.icmp("ult", x, i64(width)))
            with f.if_(inside):
                pixel = f.gep(source, f.mul(f.add(f.mul(y, i64(width)), x), i64(pixel_bytes)))
                copy_run(f, conversion, pixel, to, self.channels)
            with f.if_(f.xor(inside, f.const("i1", True))):
                fill_run(f, conversion, to, self.channels, self.pad_value)

    def _image_transform(self, caller: Function) -> Function:
        """image(pixels, bytes from one row of pixels to the next, to): one tile, all channels."""
        parameters = [(f"{PTR} noalias readonly", "pixels"), (I64, "pitch"), (f"{PTR} noalias", "to")]
        f = Function(f"{caller.name}.image", parameters, attributes="noinline")
        pixels, pitch, to = f.arguments
        matrix, points = self.plan.transforms.image, self.plan.transforms.points
        pixel_bytes = self.plan.element_bytes * self.channels
        with f.loop(0, pixel_bytes, self._together * self._element_bytes) as channel:
            corner = f.gep(pixels, channel.index)
            tiles = []
            for part in range(self._together):
                first = f.gep(corner, part * self._element_bytes)
                lines = [
                    apply_rows(
                        f, matrix, self._load_elements(f, f.gep(first, f.mul(pitch, i64(i))), points, pixel_bytes)
                    )
                    for i in range(points)
                ]
                tiles.append([apply_rows(f, matrix, [*column]) for column in zip(*lines, strict=True)])
            self._store_points(f, f.gep(to, channel.index), self._narrow(f, tiles), self.layout.pixels_point)
        return f

    # Products

    def _products(self, f: Function, scratch: Value, panel: Value) -> None:
        """The sums of the block's tiles over all channels, in parts."""
        layout, plan = self.layout, self.plan
        panel_bytes = plan.element_bytes * TAPS**2 * self.channels * self.n0
        source = f.gep(self.filter, f.mul(panel, i64(panel_bytes)))
        with f.loop(0, self.channels // plan.channels) as part:
            channel = f.mul(part.index, i64(plan.channels))
            transformed = f.gep(scratch, layout.filter_at)
            taps = f.gep(source, f.mul(channel, i64(plan.element_bytes * self.n0)))
            f.call("void", f"{f.name}.filter", [taps, transformed])
            pixels = f.gep(scratch, f.mul(channel, i64(plan.element_bytes)))
            following = self._following(f, source, part.index) if self._streams else None
            with f.loop(0, plan.products) as point, f.loop(0, plan.rows, plan.m0) as row:
                if following is not None:
                    with f.if_(f.icmp("eq", row.index, i64(0))):
                        self._prefetch(f, following, point.index)
                left = f.gep(pixels, f.mul(point.index, i64(layout.pixels_point)))
                left = f.gep(left, f.mul(row.index, i64(layout.pixel_row)))
                right = f.gep(transformed, f.mul(point.index, i64(layout.filter_point)))
                sums = f.gep(f.gep(scratch, layout.sums_at), f.mul(point.index, i64(layout.sums_point)))
                sums = f.gep(sums, f.mul(row.index, i64(layout.sums_row)))
                later = f.icmp("ne", part.index, i64(0))
                with f.if_(f.xor(later, f.const("i1", True))):
                    f.call("void", _tile(f, accumulate=False), [left, right, sums])
                if plan.channels < self.channels:
                    with f.if_(later):
                        f.call("void", _tile(f, accumulate=True), [left, right, sums])

    @property
    def _run_bytes(self) -> int:
        """Of one tap of a part of the filter."""
        return self.plan.element_bytes * self.plan.channels * self.n0

    @property
    def _streams(self) -> bool:
        """Whether the filter is too large to be in the second cache already."""
        return TAPS**2 * self.channels // self.plan.channels * self._run_bytes * self.panels >= _STREAMED_BYTES

    def _following(self, f: Function, panel: Value, part: Value) -> Value:
        """Where the part of the filter behind part `part` of a panel begins, perhaps in the panel behind."""
        parts = self.channels // self.plan.channels
        ends = f.icmp("eq", part, i64(parts - 1))
        after = f.mul(f.add(part, i64(1)), i64(self._run_bytes))
        return f.gep(panel, f.select(ends, i64(TAPS**2 * parts * self._run_bytes), after))

    def _prefetch(self, f: Function, part: Value, point: Value) -> None:
        """Brings a share of the part of the filter at `part` to the second cache while the one before is multiplied:
        its runs, one for each tap, are too short for the hardware to see them coming."""
        lines = self._run_bytes // 64
        share = -(-(TAPS**2) * lines // self.plan.products)
        tap_bytes = self.plan.element_bytes * self.channels * self.n0
        first = f.mul(point, i64(share))
        with f.loop(0, share) as each:
            line = f.add(first, each.index)
            tap, within = f.udiv(line, i64(lines)), f.urem(line, i64(lines))
            f.prefetch(f.gep(part, f.add(f.mul(tap, i64(tap_bytes)), f.mul(within, i64(64)))), 2)

    def _filter_transform(self, caller: Function) -> Function:
        """filter(panel, to): as many channels of a panel as a part has."""
        parameters = [(f"{PTR} noalias readonly", "panel"), (f"{PTR} noalias", "to")]
        f = Function(f"{caller.name}.filter", parameters, attributes="noinline")
        panel, to = f.arguments
        plan = self.plan
        matrix, tap_bytes = plan.transforms.filter, plan.element_bytes * self.channels * self.n0
        with f.loop(0, self._run_bytes, self._together * self._element_bytes) as element:
            corner = f.gep(panel, element.index)
            tiles = []
            for part in range(self._together):
                first = f.gep(corner, part * self._element_bytes)
                lines = [
                    apply_rows(f, matrix, self._load_elements(f, f.gep(first, i * TAPS * tap_bytes), TAPS, tap_bytes))
                    for i in range(TAPS)
                ]
                tiles.append([apply_rows(f, matrix, [*column]) for column in zip(*lines, strict=True)])
            self._store_points(f, f.gep(to, element.index), self._narrow(f, tiles), self.layout.filter_point)
        return f

    # Results

    def _results(self, f: Function, scratch: Value, start: Value, panel: Value) -> None:
        """Transforms the sums of each tile back and finishes those of its results that exist."""
        layout, plan = self.layout, self.plan
        outputs = plan.transforms.outputs
        height, width = self.window.output
        results = f.gep(scratch, layout.results_at)
        with f.loop(0, f.min(i64(plan.rows), f.sub(i64(plan.tiles), start))) as row:
            sums = f.gep(f.gep(scratch, layout.sums_at), f.mul(row.index, i64(layout.sums_row)))
            f.call("void", f"{f.name}.result", [sums, results])
            image, y, x = self._position(f, f.add(start, row.index))
            top, left = f.mul(y, i64(outputs)), f.mul(x, i64(outputs))
            down, across = (
                f.min(i64(outputs), f.sub(i64(size), first)) for size, first in ((height, top), (width, left))
            )
            pixel = f.add(f.mul(f.add(f.mul(image, i64(height)), top), i64(width)), left)
            with f.loop(0, down) as line:
                tile = f.gep(results, f.mul(line.index, i64(outputs * layout.sums_row)))
                first = f.add(pixel, f.mul(line.index, i64(width)))
                self.output.finish(f, tile, i64(0), first, (i64(0), across), panel)

    def _result_transform(self, caller: Function) -> Function:
        """result(sums, to): one tile, all columns of a panel."""
        parameters = [(f"{PTR} noalias readonly", "sums"), (f"{PTR} noalias", "to")]
        f = Function(f"{caller.name}.result", parameters, attributes="noinline")
        sums, to = f.arguments
        matrix, points, stride = self.plan.transforms.result, self.plan.transforms.points, self.layout.sums_point
        with f.loop(0, 4 * self.n0, self._vector_bytes) as column:
            corner = f.gep(sums, column.index)
            lines = [
                apply_columns(f, matrix, self._load(f, f.gep(corner, i * points * stride), points, stride))
                for i in range(points)
            ]
            self._store_points(
                f,
                f.gep(to, column.index),
                [apply_columns(f, matrix, [*line]) for line in zip(*lines, strict=True)],
                self.layout.sums_row,
            )
        return f

    # Vectors

    @property
    def _vector_bytes(self) -> int:
        return 4 * self.product.lanes

    def _load(self, f: Function, first: Value, count: int, stride: int) -> list[Value]:
        return [f.load(self.product.sums, f.gep(first, i * stride)) for i in range(count)]

    @property
    def _element_bytes(self) -> int:
        """Bytes of as many elements of pixels or filter as a register of sums has."""
        return self.plan.element_bytes * self.product.lanes

    def _load_elements(self, f: Function, first: Value, count: int, stride: int) -> list[Value]:
        """Registers of pixels or of the filter, widened."""
        bits = vector_type(f"i{bits_of(self.product.panel)}", self.product.lanes)
        narrow = vector_type(self.product.panel, self.product.lanes)
        loaded = [f.bitcast(f.load(bits, f.gep(first, i * stride)), narrow) for i in range(count)]
        return [widen(f, self.product.target, value, self.product.accumulator) for value in loaded]

    @property
    def _together(self) -> int:
        """Registers of pixels or of the filter transformed together: one instruction rounds two, and a store of both is
        a whole line."""
        product = self.product
        rounds_two = product.panel == BF16 and product.target.bf16 and product.lanes == 16
        return 2 if rounds_two and self._run_bytes % 64 == 0 else 1

    def _narrow(self, f: Function, tiles: Sequence[list[list[Value]]]) -> list[list[Value]]:
        """`_together` transformed tiles of elements as one, as the product reads them."""
        if self.product.panel != BF16:
            return tiles[0]
        bits = vector_type(I16, self._together * self.product.lanes)
        target = self.product.target

        def rounded(values: Sequence[Value]) -> Value:
            if len(values) == 1:
                return round_to_bfloat(f, target, values[0])
            return f.instruction("vcvtne2ps2bf16", *reversed(values))

        columns = zip(*tiles, strict=True)
        return [[f.bitcast(rounded(values), bits) for values in zip(*column, strict=True)] for column in columns]

    def _store_points(self, f: Function, to: Value, columns: list[list[Value]], stride: int) -> None:
        """Element i of column j goes to place i * len(columns) + j."""
        for i, line in enumerate(zip(*columns, strict=True)):
            for j, value in enumerate(line):
                f.store(value, f.gep(to, (i * len(columns) + j) * stride))


def _tile(f: Function, *, accumulate: bool) -> str:
    return f"{f.name}.{'add' if accumulate else 'tile'}"
