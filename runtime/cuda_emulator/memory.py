"""The memory of an emulated GPU: every access lies inside an allocation, is aligned, and reads what was written.

Addresses are 64-bit. Global allocations are told apart by guard gaps; windows of the generic address space stand for
the shared memory of a lane's block and for its own local memory, as on the hardware (PTX ISA 8.5, chapter 5.1).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DeviceError

Array = npt.NDArray[Any]

GLOBAL_BASE = 1 << 32
SHARED_BASE = 1 << 56
LOCAL_BASE = 1 << 57
"""Windows of the generic address space. A constant bank is part of the global one."""

_ALIGNMENT = 256
_GUARD = 1 << 20


class AccessError(DeviceError):
    """A lane did what a GPU would punish or, worse, not notice; the text says which lane and where."""


class GlobalMemory:
    """Allocations in one address space."""

    def __init__(self) -> None:
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

    With `checked`, bytes that nobody wrote may not be read, and what one lane writes others may touch only after a
    barrier of their block (`epoch`).
    """

    def __init__(self, base: int, size: int, owners: int, *, checked: bool = False) -> None:
        self.base = base
        self.size = size
        self._flat = np.zeros(max(size * owners, 1), np.uint8)
        self._checked = checked
        self.epochs = np.ones(owners, np.int64)
        if checked:
            self._written = np.zeros(self._flat.size, np.bool_)
            self._write_epoch, self._read_epoch = (np.zeros(self._flat.size, np.int64) for _ in range(2))
            self._writer, self._reader = (np.full(self._flat.size, -1, np.int64) for _ in range(2))

    def forget(self) -> None:
        """Make it what it is at the start of a block: nothing was written."""
        self._flat[:] = 0
        self.epochs[:] = 1
        if self._checked:
            self._written[:] = False
            self._write_epoch[:] = self._read_epoch[:] = 0

    def load(self, owners: Array, lanes: Array, addresses: Array, dtype: np.dtype[Any]) -> Array:
        """The elements at `addresses` in the memories of `owners` (int64[n]), read by `lanes` (int64[n])."""
        offsets = self._offsets(owners, addresses, dtype.itemsize)
        if self._checked:
            for byte in range(dtype.itemsize):
                self._check_read(offsets + byte, owners, lanes)
        return _gather(self._flat, offsets, dtype)

    def store(self, owners: Array, lanes: Array, addresses: Array, values: Array) -> None:
        offsets = self._offsets(owners, addresses, values.itemsize)
        if self._checked:
            for byte in range(values.itemsize):
                self._check_write(offsets + byte, owners, lanes)
        _scatter(self._flat, offsets, values)

    def announce(self, owners: Array, lanes: Array, addresses: Array, size: int) -> None:
        """`size` bytes at each of `addresses` are on their way from elsewhere: what was there must not be read."""
        offsets = self._offsets(owners, addresses, size)
        for byte in range(size):
            self._check_write(offsets + byte, owners, lanes)
            self._written[offsets + byte] = False

    def _offsets(self, owners: Array, addresses: Array, size: int) -> Array:
        offsets = addresses.astype(np.int64) - self.base
        wrong = np.flatnonzero((offsets < 0) | (offsets + size > self.size))
        if wrong.size:
            raise OutOfBounds(wrong[:1], int(offsets[wrong[0]]), f"the window has {self.size} bytes")
        return offsets + owners * self.size

    def _check_read(self, places: Array, owners: Array, lanes: Array) -> None:
        unwritten = np.flatnonzero(~self._written[places])
        if unwritten.size:
            raise OutOfBounds(unwritten[:1], int(places[unwritten[0]]) % self.size, "shared memory nobody wrote")
        now = self.epochs[owners]
        self._refuse_race((self._write_epoch[places] == now) & (self._writer[places] != lanes), places, "written")
        # Of several readers in an epoch only "more than one" (-2) is remembered.
        seen = (self._read_epoch[places] == now) & (self._reader[places] != lanes)
        self._reader[places] = np.where(seen, -2, lanes)
        self._read_epoch[places] = now

    def _check_write(self, places: Array, owners: Array, lanes: Array) -> None:
        now = self.epochs[owners]
        self._refuse_race((self._write_epoch[places] == now) & (self._writer[places] != lanes), places, "written")
        self._refuse_race((self._read_epoch[places] == now) & (self._reader[places] != lanes), places, "read")
        self._writer[places] = lanes
        twice = np.flatnonzero(self._writer[places] != lanes)
        self._refuse_race(np.isin(np.arange(places.size), twice), places, "written")
        self._write_epoch[places] = now
        self._written[places] = True

    def _refuse_race(self, races: Array, places: Array, done: str) -> None:
        first = np.flatnonzero(races)
        if first.size:
            place = int(places[first[0]]) % self.size
            raise OutOfBounds(first[:1], place, f"a race: {done} by another thread since the last barrier")


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
