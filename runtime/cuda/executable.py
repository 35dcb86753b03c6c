"""An image on a GPU: its code, its constants and the memory that its segments share."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from collections import deque
from contextlib import AbstractContextManager
from math import prod
from typing import Any

import numpy as np

from ..abi import ptx_entry
from ..arrays import aligned_empty
from ..artifact import SLACK, Image, Segment
from ..device import Array, Constants
from ..errors import DeviceError
from ..record import record
from ..remote import RemoteTensor, Tensor, on_host
from . import driver
from .constants import UploadedConstants
from .cubins import Cubins
from .driver import Gpu
from .memory import DeviceTensor, Pinned, Storage
from .segment import CudaSegment

_CLOSED = "the program is closed"
_FORKED = "a GPU cannot be used in a forked process: start it by `spawn`, or load the program there"

_executables: weakref.WeakSet[CudaExecutable] = weakref.WeakSet()


@record
class Kernel:
    """A kernel with the grid that it is launched over."""

    function: driver.Function
    blocks: int
    threads: int
    shared_bytes: int


class CudaExecutable:
    """One image on one GPU. Calls share its memory and its stream: hold `lock` around each.

    epoch: how often the stream was waited for. generation: how often memory moved that addresses were taken of.
    garbage: addresses that nobody refers to any more.
    """

    threads = 1

    def __init__(self, gpu: Gpu, image: Image, constants: Constants, cubins: Cubins) -> None:
        self.target = image.target
        self.lock = threading.Lock()
        self.gpu = gpu
        self.epoch = self.generation = 0
        self.garbage: deque[int] = deque()
        self._taken: set[int] = set()
        self._refusal: str | None = None
        self._segments: weakref.WeakSet[CudaSegment] = weakref.WeakSet()
        self._module: driver.Module = None
        self._upload: Pinned | None = None
        self._download: Pinned | None = None
        self._upload_epoch = -1
        self.kernels: dict[str, Kernel] = {}
        gpu.enter()
        self.stream = gpu.stream()
        try:
            self._load(image, constants, cubins)
        except BaseException:
            self._refusal = _CLOSED
            self._free()
            raise
        _executables.add(self)

    def _load(self, image: Image, constants: Constants, cubins: Cubins) -> None:
        gpu = self.gpu
        self._module = gpu.load(cubins.cubin(gpu, bytes(image.code)))
        for each in image.launches:
            function = gpu.function(self._module, ptx_entry(each.kernel), each.shared_bytes)
            resident = 0 if each.blocks else gpu.resident_blocks(function, each.threads, each.shared_bytes)
            blocks = each.blocks or max(resident, 1) * gpu.multiprocessors
            self.kernels[each.kernel] = Kernel(function, blocks, each.threads, each.shared_bytes)
        self.launches = {each.kernel: each for each in image.launches}
        for segment in image.segments:
            for step in segment.steps:
                if step.kernel not in self.kernels:
                    raise DeviceError(f"the code for {image.target} does not say how {step.kernel!r} is launched")
        self.constants = UploadedConstants(gpu, image, constants, self.take)
        threads = max((kernel.blocks * kernel.threads for kernel in self.kernels.values()), default=0)
        scratch = max((segment.scratch_bytes for segment in image.segments), default=0) * threads
        self.scratch = self.take(scratch + SLACK) if scratch else 0
        self._arena_bytes = max([0, *(segment.arena_bytes for segment in image.segments)])
        self.arena = self.take(self._arena_bytes + SLACK)

    # -- for segments, who hold the lock

    def enter(self) -> None:
        """Begin work on the calling thread. Raises DeviceError once the program is closed."""
        if self._refusal is not None:
            raise DeviceError(self._refusal)
        self.gpu.enter()

    def take(self, size: int) -> int:
        """The address of `size` bytes of device memory."""
        self._collect()
        address = self.gpu.allocate(max(size, 1), self.stream)
        self._taken.add(address)
        return address

    def _give_back(self, address: int) -> None:
        self._taken.discard(address)
        self.gpu.free(address, self.stream)

    def _collect(self) -> None:
        while self.garbage:
            self._give_back(self.garbage.popleft())

    def reserve_arena(self, size: int) -> None:
        if size > self._arena_bytes:
            self._give_back(self.arena)
            self.arena = self.take(size + SLACK)
            self._arena_bytes = size
            self.generation += 1

    def synchronize(self) -> None:
        self.gpu.synchronize(self.stream)
        self.epoch += 1

    # -- for everybody

    def bind(self, segment: Segment) -> CudaSegment:
        with self.lock:
            self.enter()
            bound = CudaSegment(self, segment)
        self._segments.add(bound)
        return bound

    def allocate(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], errors: AbstractContextManager[None]
    ) -> DeviceTensor:
        storage = Storage(prod(shape) * dtype.itemsize, self.garbage)
        return DeviceTensor(self, storage, shape, dtype, errors)

    def readable(self, value: Tensor) -> Tensor:
        if isinstance(value, DeviceTensor) and value.executable is not self:
            if type(value.executable.gpu) is not type(self.gpu):
                return value.to_host()
            value.wait()
        return value

    def receive(self, value: Tensor, target: RemoteTensor) -> None:
        assert isinstance(target, DeviceTensor)
        value = self.readable(value)
        with self.lock:
            self.enter()
            if isinstance(value, DeviceTensor):
                self.copy(target.address(), value)
                return
            if not target.nbytes:
                return
            if self._upload_epoch == self.epoch:
                self.synchronize()
            self._upload = self._pinned(self._upload, target.nbytes)
            np.copyto(self._upload.array(value.shape, value.dtype), on_host(value))
            self.gpu.copy_in(target.address(), self._upload.address, target.nbytes, self.stream)
            self._upload_epoch = self.epoch

    def copy(self, target: int, value: DeviceTensor) -> None:
        """Have the stream copy a tensor of this GPU, or of another that is done with it. `lock` is held."""
        if not value.nbytes:
            return
        if value.executable is self:
            self.gpu.copy_within(target, value.address(), value.nbytes, self.stream)
        else:
            self.gpu.copy_from(value.executable.gpu, target, value.address(), value.nbytes, self.stream)

    def wait(self) -> None:
        """Until all that was given to the GPU is done."""
        with self.lock:
            self.enter()
            self.synchronize()

    def download(self, tensor: DeviceTensor) -> Array:
        """The elements in host memory, once they are there."""
        array, _ = aligned_empty(tensor.shape, tensor.dtype)
        with self.lock:
            self.enter()
            if tensor.nbytes:
                self._download = self._pinned(self._download, tensor.nbytes)
                self.gpu.copy_out(self._download.address, tensor.address(), tensor.nbytes, self.stream)
                self.synchronize()
                array[...] = self._download.array(tensor.shape, tensor.dtype)
        return array

    def _pinned(self, memory: Pinned | None, size: int) -> Pinned:
        """`memory`, or more where that is not enough."""
        return Pinned(self.gpu, size) if memory is None or memory.size < size else memory

    def close(self) -> None:
        """Free everything, after the call that is under way. Later calls raise DeviceError."""
        with self.lock:
            if self._refusal is None:
                self._refusal = _CLOSED
                self._free()

    def _free(self) -> None:
        """Whatever there is. A GPU that is lost took everything with it."""
        with contextlib.suppress(DeviceError):
            self.gpu.enter()
            self.gpu.synchronize(self.stream)
        self.garbage.clear()
        steps = [graph_owner.drop for graph_owner in self._segments]
        steps += [lambda address=address: self._give_back(address) for address in list(self._taken)]
        if self._module is not None:
            steps.append(lambda: self.gpu.unload(self._module))
        steps.append(lambda: self.gpu.destroy_stream(self.stream))
        for step in steps:
            with contextlib.suppress(DeviceError):
                step()
        self._upload = self._download = None

    def prepare_forked_child(self) -> None:
        """Contexts of a GPU stay with the process that made them."""
        self.lock = threading.Lock()
        self._refusal = _FORKED

    def __del__(self) -> None:
        if hasattr(self, "stream"):
            self.close()


def _prepare_forked_child() -> None:
    for executable in list(_executables):
        executable.prepare_forked_child()


def _close_all() -> None:
    """At exit, while the driver still answers."""
    for executable in list(_executables):
        executable.close()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_prepare_forked_child)
