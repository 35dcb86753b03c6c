"""A stand-in for the module `cuda.bindings.driver`: its functions with emulated GPUs behind them, and with errors.

Where there is no driver every call is first made to the real function, which refuses wrong numbers and types of
arguments before it misses the driver: so the stand-in is called as the real one wants to be called.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from tosaic.runtime.cuda.driver import Arguments, Launch
from tosaic.runtime.cuda_emulator.driver import EmulatedGpu


class FakeDriver:
    """real: `cuda.bindings.driver`. capability, version: what GPUs and driver say of themselves.

    failures: name of a function -> the name of the error that it returns.
    """

    def __init__(self, real: Any, gpus: int = 1, capability: tuple[int, int] = (9, 0), version: int = 13000) -> None:
        self._real = real
        self.gpus = [EmulatedGpu(number) for number in range(gpus)]
        self.capability = capability
        self.version = version
        self.failures: dict[str, str] = {}
        self.log = b""
        self._current = self.gpus[0] if gpus else EmulatedGpu()
        self._objects: dict[int, Any] = {}
        self._kept: list[Any] = []
        self._checking = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not name.startswith("cu") or name.startswith("cuuint"):
            return found

        def call(*arguments: Any) -> tuple[Any, ...]:
            self._check(found, arguments)
            if name in self.failures:
                return getattr(self._real.CUresult, self.failures[name]), *[None] * 2
            result = getattr(self, f"_{name}")(*arguments)
            success = self._real.CUresult.CUDA_SUCCESS
            return (success, *result) if isinstance(result, tuple) else (success, result)

        return call

    def _check(self, function: Any, arguments: tuple[Any, ...]) -> None:
        if not self._checking.acquire(blocking=False):  # collecting garbage in the midst of a call; it has a lock
            return
        try:
            function(*arguments)
        except RuntimeError:  # there is no driver; TypeError would be one of the caller's
            return
        finally:
            self._checking.release()
        raise AssertionError("a machine with a driver does not need this")

    def _handle(self, kind: str, value: Any) -> Any:
        number = 1 + len(self._objects)
        self._objects[number] = value
        return getattr(self._real, kind)(number)

    def _of(self, handle: Any) -> Any:
        return self._objects[int(handle)]

    # -- the driver and its GPUs

    def _cuInit(self, flags: int) -> tuple[()]:
        return ()

    def _cuDriverGetVersion(self) -> int:
        return self.version

    def _cuDeviceGetCount(self) -> int:
        return len(self.gpus)

    def _cuDeviceGet(self, number: int) -> Any:
        return self._real.CUdevice(number)

    def _cuDeviceGetName(self, size: int, device: Any) -> bytes:
        return b"NVIDIA Fake".ljust(size, b"\0")

    def _cuDeviceGetAttribute(self, attribute: Any, device: Any) -> int:
        major, minor = self.capability
        name = attribute.name.removeprefix("CU_DEVICE_ATTRIBUTE_")
        values = {"COMPUTE_CAPABILITY_MAJOR": major, "COMPUTE_CAPABILITY_MINOR": minor, "MULTIPROCESSOR_COUNT": 4}
        return values[name]

    def _cuDevicePrimaryCtxRetain(self, device: Any) -> Any:
        return self._handle("CUcontext", self.gpus[int(device)])

    def _cuDeviceGetDefaultMemPool(self, device: Any) -> Any:
        return self._handle("CUmemoryPool", device)

    def _cuMemPoolSetAttribute(self, pool: Any, attribute: Any, value: Any) -> tuple[()]:
        return ()

    def _cuCtxSetCurrent(self, context: Any) -> tuple[()]:
        self._current = self._of(context)
        return ()

    def _cuMemGetInfo(self) -> tuple[int, int]:
        return 1000, 80_000

    # -- memory

    def _cuMemAllocAsync(self, size: int, stream: Any) -> Any:
        return self._real.CUdeviceptr(self._current.allocate(size, self._of(stream)))

    def _cuMemFreeAsync(self, address: int, stream: Any) -> None:
        return self._current.free(int(address), self._of(stream))

    def _cuMemHostAlloc(self, size: int, flags: int) -> int:
        return self._current.allocate_host(size)

    def _cuMemFreeHost(self, address: int) -> None:
        return self._current.free_host(address)

    def _cuMemcpyHtoD(self, target: int, source: int, size: int) -> None:
        return self._current.upload(target, source, size)

    def _cuMemcpyHtoDAsync(self, target: int, source: int, size: int, stream: Any) -> None:
        return self._current.copy_in(target, source, size, self._of(stream))

    def _cuMemcpyDtoHAsync(self, target: int, source: int, size: int, stream: Any) -> None:
        return self._current.copy_out(target, source, size, self._of(stream))

    def _cuMemcpyDtoDAsync(self, target: int, source: int, size: int, stream: Any) -> None:
        return self._current.copy_within(target, source, size, self._of(stream))

    def _cuMemcpyPeerAsync(self, target: int, here: Any, source: int, there: Any, size: int, stream: Any) -> None:
        return self._of(here).copy_from(self._of(there), target, source, size, self._of(stream))

    # -- order and time

    def _cuStreamCreate(self, flags: Any) -> Any:
        return self._handle("CUstream", self._current.stream())

    def _cuStreamDestroy(self, stream: Any) -> None:
        return self._current.destroy_stream(self._of(stream))

    def _cuStreamSynchronize(self, stream: Any) -> None:
        return self._current.synchronize(self._of(stream))

    def _cuEventCreate(self, flags: int) -> Any:
        return self._handle("CUevent", self._current.event())

    def _cuEventDestroy(self, event: Any) -> None:
        return self._current.destroy_event(self._of(event))

    def _cuEventRecord(self, event: Any, stream: Any) -> None:
        return self._current.record(self._of(event), self._of(stream))

    def _cuEventElapsedTime(self, begin: Any, end: Any) -> float:
        return 1e3 * self._current.elapsed(self._of(begin), self._of(end))

    # -- code

    def _cuLinkCreate(self, count: int, options: list[Any], values: list[Any]) -> Any:
        values[0][: len(self.log)] = self.log
        return self._handle("CUlinkState", [])

    def _cuLinkAddData(self, state: Any, kind: Any, data: bytes, size: int, *rest: Any) -> tuple[()]:
        assert data[size - 1] == 0, "PTX ends with a zero"
        self._of(state).append(data[: size - 1])
        return ()

    def _cuLinkComplete(self, state: Any) -> tuple[int, int]:
        (data,) = self._of(state)
        cubin = ctypes.create_string_buffer(data, len(data))
        self._kept.append(cubin)
        return ctypes.addressof(cubin), len(data)

    def _cuLinkDestroy(self, state: Any) -> tuple[()]:
        return ()

    def _cuModuleLoadData(self, cubin: bytes) -> Any:
        return self._handle("CUmodule", self._current.load(cubin))

    def _cuModuleUnload(self, module: Any) -> None:
        return self._current.unload(self._of(module))

    def _cuModuleGetFunction(self, module: Any, name: bytes) -> Any:
        return self._handle("CUfunction", self._current.function(self._of(module), name.decode(), 0))

    def _cuFuncSetAttribute(self, function: Any, attribute: Any, value: int) -> tuple[()]:
        return ()

    def _cuOccupancyMaxActiveBlocksPerMultiprocessor(self, function: Any, threads: int, shared: int) -> int:
        return self._current.resident_blocks(self._of(function), threads, shared)

    def _cuTensorMapEncodeTiled(self, *arguments: Any) -> Any:
        return self._real.CUtensorMap()

    def _cuLaunchKernel(self, function: Any, *rest: Any) -> None:
        blocks, _, _, threads, _, _, shared, stream, pointer, _ = rest
        kernel = self._of(function)
        parameters = kernel.module.kernel(kernel.name).parameters.values()
        addresses = (ctypes.c_void_p * len(parameters)).from_address(pointer)
        values: list[int | bytes] = []
        for address, parameter in zip(addresses, parameters, strict=True):
            data = ctypes.string_at(address, parameter.size)
            values.append(int.from_bytes(data, "little", signed=True) if parameter.size == 8 else data)
        launch = Launch(kernel, blocks, threads, shared, Arguments(values))
        self._current.launch(launch, self._of(stream))

    # -- graphs

    def _cuStreamBeginCapture(self, stream: Any, mode: Any) -> None:
        return self._current.begin_capture(self._of(stream))

    def _cuStreamEndCapture(self, stream: Any) -> Any:
        return self._handle("CUgraph", self._current.end_capture(self._of(stream)))

    def _cuGraphInstantiate(self, graph: Any, flags: int) -> Any:
        return self._handle("CUgraphExec", self._of(graph))

    def _cuGraphDestroy(self, graph: Any) -> tuple[()]:
        return ()

    def _cuGraphLaunch(self, graph: Any, stream: Any) -> None:
        return self._current.launch_graph(self._of(graph), self._of(stream))

    def _cuGraphExecDestroy(self, graph: Any) -> None:
        return self._current.destroy_graph(self._of(graph))
