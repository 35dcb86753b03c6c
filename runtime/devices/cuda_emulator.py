"""No GPU: the PTX made for one, executed on the CPU with every access checked. It never stands in for "cuda".

Kernels run one after the other on the thread that calls. Memory is the host's, so that nothing is copied.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..abi import ptx_entry
from ..arrays import aligned_empty
from ..artifact import SLACK, BufferReference, Image, Segment
from ..cuda_emulator.launch import LoadedModule
from ..cuda_emulator.memory import GlobalMemory
from ..cuda_emulator.parser import parse
from ..cuda_emulator.program import Grid
from ..device import Array, Constants
from ..device_spec import DeviceSpec
from ..errors import DeviceError, DeviceLostError

ARCHITECTURE = "nvptx64"
"""The first feature of images that this device runs."""

_BLOCKS = 8
"""Of launches that leave their number to the device."""


def open_device(spec: DeviceSpec) -> CudaEmulatorDevice:
    """The device, which every machine has."""
    return CudaEmulatorDevice()


class CudaEmulatorDevice:
    """Executes PTX with numpy on the host."""

    memory = "host"

    def lacks(self, image: Image) -> str | None:
        if image.features[:1] == (ARCHITECTURE,):
            return None
        return f"{image.target} is no code for the device cuda-emulator"

    def load(self, image: Image, constants: Constants) -> CudaEmulatorExecutable:
        """Raises MalformedFileError where the image's PTX cannot be read, DeviceLostError where memory is short."""
        try:
            return CudaEmulatorExecutable(image, constants)
        except MemoryError:
            raise DeviceLostError("out of memory") from None


class CudaEmulatorExecutable:
    """One image whose PTX was read, with the memory of its calls."""

    threads = 1

    def __init__(self, image: Image, constants: Constants) -> None:
        self.target = image.target
        self.lock = threading.Lock()
        self.memory = GlobalMemory()
        try:
            text = bytes(image.code).decode()
        except UnicodeDecodeError as error:
            raise DeviceError(f"the code for {image.target} is no text: {error}") from error
        self.module = LoadedModule(parse(text), self.memory)
        self.constants = self.memory.add(np.frombuffer(constants, np.uint8) if len(constants) else _empty(0))
        self.grids = {
            launch.kernel: Grid(launch.blocks or _BLOCKS, launch.threads, launch.shared_bytes)
            for launch in image.launches
        }
        scratch = max((segment.scratch_bytes for segment in image.segments), default=0)
        threads = max((grid.blocks * grid.threads for grid in self.grids.values()), default=0)
        self.scratch = self.memory.add(_empty(scratch * threads))

    def bind(self, segment: Segment) -> CudaEmulatorSegment:
        return CudaEmulatorSegment(self, segment)

    def close(self) -> None:
        """There is nothing to give back."""


class CudaEmulatorSegment:
    """One segment; see `device.BoundSegment`."""

    def __init__(self, executable: CudaEmulatorExecutable, segment: Segment) -> None:
        self.segment = segment
        self._executable = executable

    def invoke(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> None:
        self.trace(inputs, outputs, table, arena_bytes)

    def trace(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> npt.NDArray[np.float64]:
        executable, memory = self._executable, self._executable.memory
        kept = memory.count
        try:
            bases = {
                "arena": [memory.add(_empty(max(self.segment.arena_bytes, arena_bytes)))],
                "constants": [executable.constants],
                "input": [memory.add(array) for array in inputs],
                "output": [memory.add(array) for array in outputs],
            }
            return self._launch(bases, [] if table is None else table.tolist())
        except MemoryError:
            raise DeviceLostError("out of memory") from None
        finally:
            memory.truncate(kept)

    def _launch(self, bases: dict[str, list[int]], table: list[int]) -> npt.NDArray[np.float64]:
        def address(buffer: BufferReference) -> int:
            moved = table[buffer.slot] if buffer.slot >= 0 else 0
            return bases[buffer.space][buffer.index] + buffer.offset + moved

        seconds = np.zeros((len(self.segment.steps), 1, 2))
        for number, step in enumerate(self.segment.steps):
            scalars = [table[entry] for entry in (*step.scalars, *step.dims)]
            arguments = [*map(address, step.buffers), *scalars, self._executable.scratch, self.segment.scratch_bytes]
            seconds[number, 0, 0] = time.perf_counter()
            self._executable.module.launch(ptx_entry(step.kernel), self._executable.grids[step.kernel], arguments)
            seconds[number, 0, 1] = time.perf_counter()
        return seconds


def _empty(size: int) -> Array:
    """Memory of `size` bytes, and what may be read beyond its end."""
    return aligned_empty((size + SLACK,), np.dtype(np.uint8))[0]
