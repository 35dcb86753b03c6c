"""The memory of an emulated GPU: every access lies inside an allocation, is aligned, and reads what was written.

Addresses are 64-bit. Global allocations are told apart by guard gaps; windows of the generic address space stand for
the shared memory of a lane's block and for its own local memory, as on the hardware (PTX ISA 8.5, chapter 5.1).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import DeviceError
from .order import Order

if TYPE_CHECKING:
    from .traffic import Traffic

Array = npt.NDArray[Any]

GLOBAL_BASE = 1 << 32
SHARED_BASE = 1 << 56
LOCAL_BASE = 1 << 57
PARAMETER_BASE = 1 << 58
"""Windows of the generic address space. A constant bank is part of the global one."""

_ALIGNMENT = 256
_GUARD = 1 << 20


class AccessError(DeviceError):
    """A lane did what a GPU would punish or, worse, not notice; the text says which lane and where."""


class GlobalMemory:
    """Allocations in one address space; `traffic` is told how kernels use it and shared memory, if it is given."""

    def __init__(self, traffic: Traffic | None = None) -> None:
        self.traffic = traffic
        self._bases: list[int] = []
        self._bytes: list[Array] = []
        self._next = GLOBAL_BASE

    def add(self, array: Array, base: int | None = None) -> int:
        """Make the bytes of `array` (contiguous) readable and writable in place; their address.

        base: an address that was removed, of an allocation of the same size.
        """
        flat = array.reshape(-1).view(np.uint8)
        if base is None:
            base = self._next
            size = flat.size + _GUARD
            self._next = base + -(-size // _ALIGNMENT) * _ALIGNMENT
        place = bisect_right(self._bases, base)
        self._bases.insert(place, base)
        self._bytes.insert(place, flat)
        return base

    def remove(self, base: int) -> None:
        """Forget an allocation."""
        place = self._bases.index(base)
        del self._bases[place], self._bytes[place]

    def view(self, address: int, size: int) -> Array:
        """`size` bytes, all in one allocation. Raises AccessError."""
        place = bisect_right(self._bases, address) - 1
        offset = address - self._bases[place] if place >= 0 else 0
        if place < 0 or offset + size > self._bytes[place].size:
            raise AccessError(f"a copy of {size} bytes at {address:#x} reaches outside of memory")
        return self._bytes[place][offset : offset + size]

    def load(self, addresses: Array, dtype: np.dtype[Any]) -> Array:
        """The elements at `addresses` (uint64[lanes])."""
        flat, base = self._allocation(addresses, dtype.itemsize)
        if flat is not None:
            return _gather(flat, (addresses - np.uint64(base)).astype(np.int64), dtype)
        result = np.empty(addresses.shape, dtype)
        for lanes, flat, offsets in self._parts(addresses, dtype.itemsize):
            result[lanes] = _gather(flat, offsets, dtype)
        return result

    def store(self, addresses: Array, values: Array) -> None:
        """Write `values` at `addresses`; where lanes write to the same place, one of them wins."""
        flat, base = self._allocation(addresses, values.itemsize)
        if flat is not None:
            _scatter(flat, (addresses - np.uint64(base)).astype(np.int64), values)
            return
        for lanes, flat, offsets in self._parts(addresses, values.itemsize):
            _scatter(flat, offsets, values[lanes])

    def _allocation(self, addresses: Array, size: int) -> tuple[Array | None, int]:
        """The one allocation that all accesses lie in, or None."""
        low, high = int(addresses.min()), int(addresses.max())
        index = bisect_right(self._bases, low) - 1
        if index < 0 or high + size > self._bases[index] + self._bytes[index].size:
            return None, 0
        return self._bytes[index], self._bases[index]

    def _parts(self, addresses: Array, size: int) -> list[tuple[Array, Array, Array]]:
        """(lanes, bytes of the allocation, offsets in it), one per allocation that is touched."""
        bases = np.asarray(self._bases, np.uint64)
        owners = np.searchsorted(bases, addresses, "right") - 1
        parts = []
        for owner in np.unique(owners).tolist():
            lanes = np.flatnonzero(owners == owner)
            if owner < 0:
                raise OutOfBounds(lanes[:1], int(addresses[lanes[0]]), "no allocation is there")
            offsets = (addresses[lanes] - bases[owner]).astype(np.int64)
            limit = self._bytes[owner].size
            beyond = np.flatnonzero(offsets + size > limit)
            if beyond.size:
                lane = lanes[beyond[:1]]
                distance = int(offsets[beyond[0]]) + size - limit
                raise OutOfBounds(lane, int(addresses[lane[0]]), f"{distance} bytes beyond an allocation of {limit}")
            parts.append((lanes, self._bytes[owner], offsets))
        return parts


class OutOfBounds(Exception):
    """An access outside of what is allocated: the lanes (indices into those that access), an address, and why."""

    def __init__(self, lanes: Array, address: int, reason: str) -> None:
        super().__init__(reason)
        self.lane = int(lanes[0])
        self.address = address
        self.reason = reason


class WindowMemory:
    """Memory of `size` bytes for each of `owners`: local memory of lanes, shared memory of blocks.

    With an `order`, bytes that nobody wrote may not be read, and what one lane writes others may touch only after a
    barrier that orders them.
    """

    def __init__(self, base: int, size: int, owners: int, order: Order | None = None) -> None:
        self.base = base
        self.size = size
        self._flat = np.zeros(max(size * owners, 1), np.uint8)
        self._order = order
        if order:
            self._written = np.zeros(self._flat.size, np.bool_)
            self._write_time, self._read_time = (np.zeros(self._flat.size, np.int64) for _ in range(2))
            self._writer, self._reader = (np.full(self._flat.size, -1, np.int64) for _ in range(2))

    def forget(self) -> None:
        """Make it what it is at the start of a block: nothing was written."""
        self._flat[:] = 0
        if self._order:
            self._written[:] = False
            self._write_time[:] = self._read_time[:] = 0
            self._writer[:] = self._reader[:] = 0

    def load(self, owners: Array, lanes: Array, addresses: Array, dtype: np.dtype[Any]) -> Array:
        """The elements at `addresses` in the memories of `owners` (int64[n]), read by `lanes` (int64[n])."""
        offsets = self._offsets(owners, addresses, dtype.itemsize)
        if self._order:
            for byte in range(dtype.itemsize):
                self._check_read(self._order, offsets + byte, owners, lanes)
        return _gather(self._flat, offsets, dtype)

    def store(self, owners: Array, lanes: Array, addresses: Array, values: Array) -> None:
        offsets = self._offsets(owners, addresses, values.itemsize)
        if self._order:
            for byte in range(values.itemsize):
                self._check_write(self._order, offsets + byte, owners, lanes)
        _scatter(self._flat, offsets, values)

    def announce(self, owners: Array, lanes: Array, addresses: Array, size: int) -> None:
        """`size` bytes at each of `addresses` are on their way from elsewhere: what was there must not be read."""
        assert self._order
        offsets = self._offsets(owners, addresses, size)
        for byte in range(size):
            self._check_write(self._order, offsets + byte, owners, lanes)
            self._written[offsets + byte] = False

    def deposit(self, owner: int, lane: int, address: int, content: Array, engine: int) -> None:
        """Bytes that `lane` had the copy engine bring, known to whoever waits for the barrier of the agent `engine`."""
        order = self._order
        assert order
        places = self._offsets(np.array([owner]), np.array([address]), content.size)[0] + np.arange(content.size)
        owners, lanes = np.full(content.size, owner), np.full(content.size, lane)
        self._check_write(order, places, owners, lanes)
        self._writer[places] = -1 - engine
        self._flat[places] = content

    def fetch(self, owner: int, warp: int, addresses: Array, size: int) -> Array:
        """uint8[addresses, size]: pieces that the tensor cores read for `warp`, brought by the copy engine."""
        order = self._order
        assert order
        places = self._offsets(np.full(addresses.shape, owner), addresses, size)[..., None] + np.arange(size)
        flat = places.reshape(-1)
        self._refuse(~self._written[flat], flat, "shared memory nobody wrote")
        writers = self._writer[flat]
        self._refuse(writers >= 0, flat, "ordinary stores wrote it, and no fence of proxies is known here")
        seen = order.sees(owner, np.full(flat.size, warp), -1 - writers, self._write_time[flat])
        self._refuse(~seen, flat, "a race: the copy engine wrote it, and its barrier was not waited for")
        return self._flat[places]

    def _offsets(self, owners: Array, addresses: Array, size: int) -> Array:
        offsets = addresses.astype(np.int64) - self.base
        wrong = np.flatnonzero((offsets < 0) | (offsets + size > self.size))
        if wrong.size:
            raise OutOfBounds(wrong[:1], int(offsets.flat[wrong[0]]), f"the window has {self.size} bytes")
        return offsets + owners * self.size

    def _check_read(self, order: Order, places: Array, owners: Array, lanes: Array) -> None:
        unwritten = np.flatnonzero(~self._written[places])
        if unwritten.size:
            raise OutOfBounds(unwritten[:1], int(places[unwritten[0]]) % self.size, "shared memory nobody wrote")
        self._check_writers(order, places, owners, lanes)
        # Of several readers only their warp is remembered, or that they were of several (-1).
        readers, unseen = lanes.copy(), self._unseen_readers(order, places, owners, lanes)
        if unseen.size:
            warps, before = order.warp_of(lanes[unseen]), self._reader[places[unseen]]
            before = np.where(before >= 0, order.warp_of(before), -2 - before)
            readers[unseen] = np.where(before == warps, -2 - warps, -1)
        self._reader[places] = readers
        self._read_time[places] = order.now

    def _unseen_readers(self, order: Order, places: Array, owners: Array, lanes: Array) -> Array:
        """Indices of the places that others read, which the lanes do not know of."""
        readers, stamps = self._reader[places], self._read_time[places]
        doubtful = np.flatnonzero((stamps > 0) & (readers != lanes))
        if not doubtful.size:
            return doubtful
        readers, stamps, blocks = readers[doubtful], stamps[doubtful], owners[doubtful]
        warps = order.warp_of(lanes[doubtful])
        agents = np.where(readers >= 0, order.warp_of(readers), -2 - readers)
        seen = order.sees(blocks, warps, np.maximum(agents, 0), stamps)
        everyone = readers == -1
        if everyone.any():
            seen[everyone] = order.sees_all(blocks[everyone], warps[everyone], stamps[everyone])
        return doubtful[~seen]

    def _check_write(self, order: Order, places: Array, owners: Array, lanes: Array) -> None:
        self._check_writers(order, places, owners, lanes)
        races = np.zeros(places.size, np.bool_)
        races[self._unseen_readers(order, places, owners, lanes)] = True
        self._refuse_race(races, places, "read")
        self._writer[places] = lanes
        twice = np.flatnonzero(self._writer[places] != lanes)
        self._refuse_race(np.isin(np.arange(places.size), twice), places, "written")
        self._write_time[places] = order.now
        self._written[places] = True

    def _check_writers(self, order: Order, places: Array, owners: Array, lanes: Array) -> None:
        """What was written there has to be visible to the lanes."""
        writers, stamps = self._writer[places], self._write_time[places]
        doubtful = np.flatnonzero((stamps > 0) & (writers != lanes))
        if not doubtful.size:
            return
        writers = writers[doubtful]
        agents = np.where(writers >= 0, order.warp_of(writers), -1 - writers)
        seen = order.sees(owners[doubtful], order.warp_of(lanes[doubtful]), agents, stamps[doubtful])
        races = np.zeros(places.size, np.bool_)
        races[doubtful] = ~seen
        self._refuse_race(races, places, "written")

    def _refuse_race(self, races: Array, places: Array, done: str) -> None:
        self._refuse(races, places, f"a race: {done} by another thread since the last barrier")

    def _refuse(self, wrong: Array, places: Array, reason: str) -> None:
        first = np.flatnonzero(wrong)
        if first.size:
            raise OutOfBounds(first[:1], int(places[first[0]]) % self.size, reason)


def _gather(flat: Array, offsets: Array, dtype: np.dtype[Any]) -> Array:
    """Elements of `dtype` at aligned byte `offsets`."""
    size = dtype.itemsize
    if size == 1:
        return flat[offsets].view(dtype)
    whole = flat[: flat.size - flat.size % size]
    return whole.view(dtype)[offsets // size]


def _scatter(flat: Array, offsets: Array, values: Array) -> None:
    size = values.itemsize
    if size == 1:
        flat[offsets] = values.view(np.uint8)
        return
    flat[: flat.size - flat.size % size].view(values.dtype)[offsets // size] = values
