"""Memory on a GPU and the host memory beside it: tensors, and the two places of one that lies on the host."""

from __future__ import annotations

import contextlib
import ctypes
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..device import Array
from ..errors import DeviceError
from .driver import Gpu

if TYPE_CHECKING:
    from .executable import CudaExecutable


class Pinned:
    """`size` bytes of host memory that a GPU copies from and to on its own, freed when no array uses them any more."""

    def __init__(self, gpu: Gpu, size: int) -> None:
        self.size = size
        self._gpu = gpu
        self.address = gpu.allocate_host(max(size, 1))

    def array(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
        """The first bytes as an array, which keeps the memory."""
        buffer = (ctypes.c_char * self.size).from_address(self.address)
        buffer.owner = self  # pyright: ignore[reportAttributeAccessIssue]
        return np.ndarray(tuple(shape), dtype, cast(Any, buffer))

    def __del__(self) -> None:
        if hasattr(self, "address"):
            with contextlib.suppress(DeviceError):  # lost with its GPU
                self._gpu.enter()
                self._gpu.free_host(self.address)


class Storage:
    """Device memory that is taken when it is first needed, in the order of the executable's stream, and given back when
    nobody refers to it any more; that may be on any thread, so that it is only noted then (see `garbage`)."""

    __slots__ = ("_address", "_garbage", "size")

    def __init__(self, size: int, garbage: deque[int]) -> None:
        self.size = size
        self._garbage = garbage
        self._address: int | None = None

    def address(self, executable: CudaExecutable) -> int:
        """Where it is. The caller holds the executable's lock."""
        if self._address is None:
            self._address = executable.take(self.size)
        return self._address

    def __del__(self) -> None:
        if self._address is not None:
            self._garbage.append(self._address)


class DeviceTensor:
    """A dense tensor, `offset` bytes into a storage of `executable`; see `remote.RemoteTensor`."""

    __slots__ = ("_errors", "dtype", "executable", "nbytes", "offset", "shape", "storage")

    def __init__(
        self,
        executable: CudaExecutable,
        storage: Storage,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        errors: AbstractContextManager[None],
        offset: int = 0,
    ) -> None:
        self.executable = executable
        self.storage = storage
        self.shape = shape
        self.dtype = dtype
        self.offset = offset
        self.nbytes = prod(shape) * dtype.itemsize
        self._errors = errors

    def address(self) -> int:
        """Where its elements begin. The caller holds the executable's lock."""
        return self.storage.address(self.executable) + self.offset

    def reshape(self, shape: Sequence[int]) -> DeviceTensor:
        return self._view(tuple(shape), 0)

    def __getitem__(self, index: tuple[slice, ...]) -> DeviceTensor:
        axis = len(index) - 1
        begin, end, _ = index[axis].indices(self.shape[axis])
        row = prod(self.shape[axis + 1 :]) * self.dtype.itemsize
        shape = (*self.shape[:axis], end - begin, *self.shape[axis + 1 :])
        return self._view(shape, begin * row)

    def _view(self, shape: tuple[int, ...], further: int) -> DeviceTensor:
        return DeviceTensor(self.executable, self.storage, shape, self.dtype, self._errors, self.offset + further)

    def to_host(self) -> Array:
        with self._errors:
            return self.executable.download(self)

    def wait(self) -> None:
        """Until its elements are computed."""
        with self._errors:
            self.executable.wait()


class Slot:
    """Where an input or output of a segment lies that its caller has on the host: on the GPU and in pinned memory.

    address: on the GPU. epoch: of the executable's stream when work that uses `pinned` was given to it last.
    """

    def __init__(self, executable: CudaExecutable) -> None:
        self._executable = executable
        self._storage: Storage | None = None
        self._pinned: Pinned | None = None
        self.epoch = -1

    def fit(self, size: int) -> None:
        """Have exactly `size` bytes on the GPU, so that an access beyond them is one beyond memory, and enough here."""
        if self._storage is None or self._storage.size != size:
            self._storage = Storage(size, self._executable.garbage)

    @property
    def address(self) -> int:
        assert self._storage is not None
        return self._storage.address(self._executable)

    @property
    def pinned(self) -> Pinned:
        assert self._storage is not None
        if self._pinned is None or self._pinned.size < self._storage.size:
            self._executable.synchronize()
            self._pinned = Pinned(self._executable.gpu, self._storage.size)
        return self._pinned

    def settle(self) -> None:
        """Wait until the stream is done with the pinned memory."""
        if self.epoch == self._executable.epoch:
            self._executable.synchronize()

    def use(self) -> None:
        """Work that uses the pinned memory was given to the stream."""
        self.epoch = self._executable.epoch
