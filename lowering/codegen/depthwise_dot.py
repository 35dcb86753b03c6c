"""Depthwise convolutions of i8 by `vpdpbusd`, which multiplies bytes and adds up four neighbouring products.

Four rows of the image are interleaved first: a column of L channels becomes one vector of L lanes [channel, row]. What
a filter's tap row lies on is a matter of the taps' bytes alone: with a 3x3 window and stride 1 four rows serve two rows
of results, whose taps are [t0, t1, t2, 0] and [0, t0, t1, t2]. So an interleaved column serves six results, and three
instructions replace the nine multiplications and additions of a result.

The left side of the instruction is unsigned: bytes of the image are offset by 128, and sums start from
-128 * sum(filter). Padding is interleaved like everything else, so that no tap has to ask for it afterwards.

A unit of work is a band of rows of results of a chunk of channels: its rows of the image are interleaved, then tiles of
all its rows and some pixels are computed, one block of L channels after the other (see `depthwise_band`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .arithmetic import i64
from .depthwise_band import ROWS, Band
from .emit import OUTLINED, Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .sliding_tile import channel_mask
from .types import I8, I32, Value, vector_type
from .window_tile import Image, load_lanes

_CACHED_BYTES = 256 * 1024
"""Of an image that a level-2 cache holds beside the result. The channels of larger ones are not divided where that can
be helped, so that lines of the image are read once, each of which holds parts of several chunks."""
_COLUMNS_BYTES = 48 * 1024
"""Of interleaved columns that a chunk may have."""
_CHUNK = 4
"""Blocks in a chunk of a small image: enough to use whole cache lines, and few enough to share out among threads."""


@dataclass(frozen=True)
class DotDepthwise:
    """The convolution of `image` with the filter at `filter`, [KH, KW, channels] bytes; sums start from `initial`."""

    context: KernelContext
    epilogue: Epilogue
    image: Image
    band: Band
    filter: Value
    initial: Value

    @property
    def f(self) -> Function:
        return self.context.f

    @property
    def _lanes(self) -> int:
        return self.band.lanes

    @property
    def _bytes(self) -> str:
        """The vector of an interleaved column, four bytes a lane."""
        return vector_type(I8, ROWS * self._lanes)

    @property
    def _channels(self) -> int:
        return self.image.shape[3]

    @property
    def _blocks(self) -> int:
        return -(-self._channels // self._lanes)

    @cached_property
    def _chunk(self) -> int:
        """Blocks of a chunk, a multiple of what is finished together."""
        most = max(2, _COLUMNS_BYTES // self.band.columns_bytes)
        _, height, width, channels = self.image.shape
        if height * width * channels <= _CACHED_BYTES:
            most = min(most, _CHUNK)
        chunks = -(-self._blocks // most)
        return -(-self._blocks // chunks // self._together) * self._together

    @cached_property
    def _together(self) -> int:
        """Blocks finished together."""
        masked = self.context.target.avx512
        even = self._channels % (2 * self._lanes) == 0
        return 2 if self._blocks > 1 and (masked or even) and self.epilogue.prefers_pairs else 1

    @property
    def _sums_bytes(self) -> int:
        """Of a pixel."""
        return self._together * ROWS * self._lanes

    def emit(self) -> int:
        """Emits this thread's share; returns the bytes of scratch per thread."""
        f, band, chunk = self.f, self.band, self._chunk
        for function in (self._prepare(), self._interleave(), band.function(self._tile_name, self._sums_bytes)):
            f.attach(function)
        taps = self.context.scratch
        columns = f.gep(taps, chunk * band.taps_bytes)
        sums = f.gep(columns, chunk * band.columns_bytes)
        self._pad_columns(columns)
        height, width = band.window.output
        chunks, bands = -(-self._blocks // chunk), -(-height // band.rows)
        begin, end = self.context.share(self.image.shape[0] * chunks * bands)
        plane_bytes = self.image.shape[1] * self.image.shape[2] * self._channels
        with f.loop(begin, end, carried=[i64(-1)]) as unit:
            of_all, number = f.udiv(unit.index, i64(bands)), f.urem(unit.index, i64(bands))
            image, part = f.udiv(of_all, i64(chunks)), f.urem(of_all, i64(chunks))
            first = f.mul(part, i64(chunk))
            channel, count = f.mul(first, i64(self._lanes)), f.min(i64(chunk), f.sub(i64(self._blocks), first))
            with f.if_(f.icmp("ne", part, unit.values[0])):
                f.call(
                    "void",
                    self._prepare_name,
                    [f.gep(self.filter, channel), self.initial, channel, count, taps, self._order],
                )
            # The last band ends where the image does; rows that it shares with the one before are computed again.
            row = f.mul(number, i64(band.rows))
            oh = f.min(row, i64(height - band.rows))
            top = f.sub(f.mul(oh, i64(band.window.strides[0])), i64(band.window.before[0]))
            plane = f.gep(f.gep(self.image.pointer, f.mul(image, i64(plane_bytes))), channel)
            f.call("void", self._interleave_name, [plane, top, channel, count, columns, self._order])
            with f.loop(i64(0), count, self._together) as block, f.loop(0, width, band.pixels) as tile:
                ow = f.min(tile.index, i64(width - band.pixels))
                place = f.mul(ow, i64(band.window.strides[1] * band.column_bytes))
                for other in range(self._together):
                    self._tile(f.add(block.index, i64(other)), other, count, columns, place, taps, sums)
                skip = f.sub(row, oh), f.sub(tile.index, ow)
                self._finish([image, oh, ow], f.add(channel, f.mul(block.index, i64(self._lanes))), skip, sums)
            unit.yield_(part)
        return chunk * (band.taps_bytes + band.columns_bytes) + band.rows * band.pixels * self._sums_bytes

    def _tile(
        self, block: Value, other: int, count: Value, columns: Value, place: Value, taps: Value, sums: Value
    ) -> None:
        f, band = self.f, self.band

        def call() -> None:
            at = f.gep(f.gep(columns, f.mul(block, i64(band.columns_bytes))), place)
            of_block = f.gep(taps, f.mul(block, i64(band.taps_bytes)))
            f.call("void", self._tile_name, [at, of_block, f.gep(sums, other * ROWS * self._lanes)])

        if not other or self._blocks % self._together == 0:
            call()
            return
        with f.if_(f.icmp("slt", block, count)):
            call()

    def _finish(self, place: Sequence[Value], channel: Value, skip: tuple[Value, Value], sums: Value) -> None:
        f, band, lanes = self.f, self.band, self._together * self._lanes
        image, oh, ow = place
        mask = channel_mask(f, channel, lanes, self._channels)
        with f.loop(skip[0], band.rows) as row, f.loop(skip[1], band.pixels) as pixel:
            slot = f.add(f.mul(row.index, i64(band.pixels)), pixel.index)
            value = f.load(vector_type(I32, lanes), f.gep(sums, f.mul(slot, i64(self._sums_bytes))))
            indices = [image, f.add(oh, row.index), f.add(ow, pixel.index), channel]
            if len(self.epilogue.shape) == 5:  # channel and multiplier apart
                indices.append(i64(0))
            self.epilogue.emit(f, indices, value, mask)

    @property
    def _tile_name(self) -> str:
        return f"{self.f.name}.tile"

    @property
    def _prepare_name(self) -> str:
        return f"{self.f.name}.prepare"

    @property
    def _interleave_name(self) -> str:
        return f"{self.f.name}.interleave"

    def _prepare(self) -> Function:
        """name(filter, initial, channel, blocks, taps): interleaves the filter of a chunk from `channel` on, behind
        what the sums of each block start from."""
        f = Function(
            self._prepare_name,
            [
                ("ptr noalias readonly", "filter"),
                (I32, "initial"),
                ("i64", "channel"),
                ("i64", "blocks"),
                ("ptr noalias", "taps"),
                ("ptr noalias readonly", "order"),
            ],
            attributes=OUTLINED,
        )
        filter, initial, channel, blocks, taps, order = f.arguments
        band, lanes = self.band, self._lanes
        width = band.window.kernel[1]
        ones = f.const(self._bytes, -128)  # 128 as an unsigned byte
        with f.loop(i64(0), blocks) as block:
            offset = f.mul(block.index, i64(lanes))
            mask = channel_mask(f, f.add(channel, offset), lanes, self._channels)
            to = f.gep(taps, f.mul(block.index, i64(band.taps_bytes)))
            with f.loop(0, width, carried=[f.zero(vector_type(I32, lanes))]) as kw:
                total = kw.values[0]
                for slot, (group, row) in enumerate(band.meetings):
                    rows: list[Value | None] = []
                    for tap in band.tap_rows(group, row):
                        if tap is None:
                            rows.append(None)
                            continue
                        position = f.mul(f.add(kw.index, i64(tap * width)), i64(self._channels))
                        rows.append(load_lanes(f, I8, f.gep(filter, f.add(position, offset)), lanes, mask))
                    stacked = self._stacked(f, rows, 0, order)
                    f.store(stacked, band.tap_at(f, to, slot, kw.index))
                    if row == 0:
                        total = f.instruction("vpdpbusd", total, ones, stacked)
                kw.yield_(total)
            f.store(f.sub(f.splat(initial, lanes), kw.results[0]), to)
        return f

    def _pad_columns(self, columns: Value) -> None:
        """Columns on the left and right of the image are always the same."""
        f, band = self.f, self.band
        begin, end = self._inside
        padding = f.const(self._bytes, self._padding)
        for first, last in ((0, begin), (end, band.columns)):
            if first == last:
                continue
            with f.loop(0, self._chunk * band.groups) as group, f.loop(first, last) as column:
                slot = f.add(f.mul(group.index, i64(band.columns)), column.index)
                f.store(padding, f.gep(columns, f.mul(slot, i64(band.column_bytes))))

    @property
    def _inside(self) -> tuple[int, int]:
        """The columns that are in the image."""
        begin = min(self.band.window.before[1], self.band.columns)
        return begin, max(begin, min(self.band.columns, begin + self.image.shape[2]))

    @property
    def _padding(self) -> int:
        """The padding as an unsigned byte, written as a signed one."""
        return int(self.image.pad_value) % 256 - 128

    def _interleave(self) -> Function:
        """name(plane, top, channel, blocks, columns): the rows of an image from `top` on that a band meets, for a chunk
        of channels from `channel` on, which `plane` is the address of."""
        f = Function(
            self._interleave_name,
            [
                ("ptr noalias readonly", "plane"),
                ("i64", "top"),
                ("i64", "channel"),
                ("i64", "blocks"),
                ("ptr noalias", "columns"),
                ("ptr noalias readonly", "order"),
            ],
            attributes=OUTLINED,
        )
        plane, top, channel, blocks, columns, order = f.arguments
        band, lanes = self.band, self._lanes
        begin, end = self._inside
        for group in range(band.groups):
            starts = [self._row(f, plane, top, row) for row in band.image_rows(group)]
            to = f.gep(columns, (group * band.columns + begin) * band.column_bytes)
            with f.loop(0, end - begin) as column, f.loop(i64(0), blocks) as block:
                offset = f.mul(block.index, i64(lanes))
                mask = channel_mask(f, f.add(channel, offset), lanes, self._channels)
                moved = [start and f.gep(f.gep(start[0], f.mul(column.index, start[1])), offset) for start in starts]
                rows = [address and load_lanes(f, I8, address, lanes, mask) for address in moved]
                place = f.add(f.mul(block.index, i64(band.columns_bytes)), f.mul(column.index, i64(band.column_bytes)))
                f.store(self._stacked(f, rows, -128, order), f.gep(to, place))
        return f

    def _row(self, f: Function, plane: Value, top: Value, row: int | None) -> tuple[Value, Value] | None:
        """(its first pixel's address, bytes from pixel to pixel) of a row `row` below `top`, of padding if there is
        none; None for a row that no tap meets."""
        if row is None:
            return None
        window, step = self.band.window, i64(self._channels)
        y = f.add(top, i64(row))
        start = f.gep(plane, f.mul(y, i64(window.image[1] * self._channels)))
        if not window.reaches_out(0):
            return start, step
        # As an unsigned number, a row above the image is beyond it.
        inside = f.icmp("ult", y, i64(window.image[0]))
        padding = f.table(I8, [int(self.image.pad_value)] * (self._chunk * self._lanes))
        return f.select(inside, start, padding), f.select(inside, step, i64(0))

    def _stacked(self, f: Function, rows: Sequence[Value | None], flip: int, order: Value) -> Value:
        """Four rows of L bytes as L lanes of four, each byte ^ `flip`. Rows that are None may be anything, or, where
        nothing is flipped, zeros."""
        lanes = self._lanes
        given = [f.zero(vector_type(I8, lanes)) if row is None else row for row in rows]
        low, high = (f.shuffle(given[row], given[row + 1], list(range(2 * lanes))) for row in (0, 2))
        both = list(range(4 * lanes))
        if self._permutes:
            # Only the lower halves of both operands are looked at.
            wide = [f.shuffle(half, None, [lane % (2 * lanes) for lane in both]) for half in (low, high)]
            stacked = f.instruction("vpermi2b", wide[0], f.load(self._bytes, order), wide[1])
        else:
            # Groups of four bytes go where they belong first, then bytes within 16 of them.
            quarters = lanes // 4
            groups = f.bitcast(f.shuffle(low, high, both), vector_type(I32, lanes))
            dealt = f.shuffle(groups, None, [place % 4 * quarters + place // 4 for place in range(lanes)])
            within = [byte // 16 * 16 + byte % 4 * 4 + byte % 16 // 4 for byte in both]
            stacked = f.shuffle(f.bitcast(dealt, self._bytes), None, within)
        return f.xor(stacked, f.const(stacked.type, flip)) if flip else stacked

    @property
    def _permutes(self) -> bool:
        """Whether one instruction interleaves four rows."""
        return self._lanes == 16 and self.context.target.has("avx512vbmi")

    @cached_property
    def _order(self) -> Value:
        """A table of where each interleaved byte comes from. As an argument of functions it stays what it is: of a
        constant LLVM makes seven other instructions."""
        lanes = self._lanes
        sources = [(byte % ROWS, byte // ROWS) for byte in range(ROWS * lanes)]
        return self.f.table(I8, [row // 2 * ROWS * lanes + row % 2 * lanes + lane for row, lane in sources])
