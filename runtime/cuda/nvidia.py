"""NVIDIA's driver, through the package cuda-bindings; see `driver` for what each method does.

Nothing is imported before a GPU is asked for, so that programs can be compiled where there is neither.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import Any

import numpy as np

from ..artifact import TensorMap, numpy_dtype
from ..errors import DeviceError, DeviceLostError
from .driver import Launch

_OLDEST_DRIVER = 12000
"""CUDA 12.0: the first whose driver encodes tensor maps."""

_LOG_BYTES = 1 << 14

_UNLIMITED = (1 << 64) - 1

_INCOMPATIBLE = {"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"}
_NO_GPU = {"CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_INVALID_DEVICE"}
_OLD_FOR_PTX = {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION"}
_LOST = {
    *("CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_LAUNCH_TIMEOUT", "CUDA_ERROR_LAUNCH_FAILED", "CUDA_ERROR_ASSERT"),
    *("CUDA_ERROR_HARDWARE_STACK_ERROR", "CUDA_ERROR_ILLEGAL_INSTRUCTION", "CUDA_ERROR_MISALIGNED_ADDRESS"),
    *("CUDA_ERROR_INVALID_ADDRESS_SPACE", "CUDA_ERROR_INVALID_PC", "CUDA_ERROR_ECC_UNCORRECTABLE"),
    *("CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA_ERROR_CONTEXT_IS_DESTROYED", "CUDA_ERROR_CONTAINED"),
    *("CUDA_ERROR_NVLINK_UNCORRECTABLE", "CUDA_ERROR_SYSTEM_NOT_READY", "CUDA_ERROR_EXTERNAL_DEVICE"),
    *("CUDA_ERROR_TENSOR_MEMORY_LEAK", "CUDA_ERROR_UNKNOWN"),
}
"""After these every call of the process on that GPU fails (CUDA driver API, CUresult)."""

_TYPES = {"float16": "FLOAT16", "bfloat16": "BFLOAT16", "float32": "FLOAT32", "float64": "FLOAT64"}
_TYPES |= {"bool": "UINT8", "int8": "UINT8", "int16": "UINT16", "int32": "INT32", "int64": "INT64"}
"""numpy dtype -> the suffix of CU_TENSOR_MAP_DATA_TYPE."""


class NvidiaGpu:
    """One GPU with its primary context."""

    def __init__(self, api: Api, number: int) -> None:
        self.number = number
        self._api = api
        cu = api.cu
        self._device = api.call("cuDeviceGet", number)
        self.name = api.call("cuDeviceGetName", 256, self._device).split(b"\0")[0].decode()
        attribute = cu.CUdevice_attribute
        self.capability: tuple[int, int] | None = (
            self._attribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
            self._attribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
        )
        self.multiprocessors = self._attribute(attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        self.driver: str | None = str(api.version)
        self._context: Any = None
        self._relaxed = cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED

    def _attribute(self, attribute: Any) -> int:
        return self._api.call("cuDeviceGetAttribute", attribute, self._device)

    def enter(self) -> None:
        if self._context is None:
            self._context = self._api.call("cuDevicePrimaryCtxRetain", self._device)
            pool = self._api.call("cuDeviceGetDefaultMemPool", self._device)
            cu = self._api.cu
            keep = cu.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
            self._api.call("cuMemPoolSetAttribute", pool, keep, cu.cuuint64_t(_UNLIMITED))
        self._api.call("cuCtxSetCurrent", self._context)

    # -- memory

    def allocate(self, size: int, stream: Any) -> int:
        return int(self._or_out_of_memory("cuMemAllocAsync", size, stream))

    def _or_out_of_memory(self, name: str, size: int, argument: Any) -> Any:
        try:
            return self._api.call(name, size, argument)
        except _OutOfMemory:
            free, total = self._api.call("cuMemGetInfo")
            raise DeviceLostError(
                f"out of memory: {size} bytes asked for, {free} of {total} bytes of GPU {self.number} are free"
            ) from None

    def free(self, address: int, stream: Any) -> None:
        self._api.call("cuMemFreeAsync", address, stream)

    def allocate_host(self, size: int) -> int:
        return int(self._or_out_of_memory("cuMemHostAlloc", size, 0))

    def free_host(self, address: int) -> None:
        self._api.call("cuMemFreeHost", address)

    def upload(self, target: int, source: int, size: int) -> None:
        self._api.call("cuMemcpyHtoD", target, source, size)

    def copy_in(self, target: int, source: int, size: int, stream: Any) -> None:
        self._api.call("cuMemcpyHtoDAsync", target, source, size, stream)

    def copy_out(self, target: int, source: int, size: int, stream: Any) -> None:
        self._api.call("cuMemcpyDtoHAsync", target, source, size, stream)

    def copy_within(self, target: int, source: int, size: int, stream: Any) -> None:
        self._api.call("cuMemcpyDtoDAsync", target, source, size, stream)

    def copy_from(self, other: Any, target: int, source: int, size: int, stream: Any) -> None:
        if other is self:
            self.copy_within(target, source, size, stream)
        else:
            self._api.call("cuMemcpyPeerAsync", target, self._context, source, other._context, size, stream)

    # -- order and time

    def stream(self) -> Any:
        return self._api.call("cuStreamCreate", self._api.cu.CUstream_flags.CU_STREAM_NON_BLOCKING)

    def destroy_stream(self, stream: Any) -> None:
        self._api.call("cuStreamDestroy", stream)

    def synchronize(self, stream: Any) -> None:
        self._api.call("cuStreamSynchronize", stream)

    def event(self) -> Any:
        return self._api.call("cuEventCreate", 0)

    def destroy_event(self, event: Any) -> None:
        self._api.call("cuEventDestroy", event)

    def record(self, event: Any, stream: Any) -> None:
        self._api.call("cuEventRecord", event, stream)

    def elapsed(self, begin: Any, end: Any) -> float:
        return 1e-3 * self._api.call("cuEventElapsedTime", begin, end)

    # -- code

    def link(self, ptx: bytes) -> bytes:
        option = self._api.cu.CUjit_option
        log = bytearray(_LOG_BYTES)
        options = [option.CU_JIT_ERROR_LOG_BUFFER, option.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES]
        state = self._api.call("cuLinkCreate", len(options), options, [log, _LOG_BYTES])
        try:
            kind = self._api.cu.CUjitInputType.CU_JIT_INPUT_PTX
            text = ptx + b"\0"
            self._api.call("cuLinkAddData", state, kind, text, len(text), b"program", 0, [], [])
            cubin, size = self._api.call("cuLinkComplete", state)
            return ctypes.string_at(int(cubin), size)
        except _UnsupportedPtx:
            raise DeviceError(
                f"the NVIDIA driver (for CUDA {self._api.spelled_version}) cannot read this program's PTX: install a "
                "newer one, or compile for an older capability, such as --devices cuda@sm_80"
            ) from None
        except DeviceError as error:
            said = " ".join(log.rstrip(b"\0").decode(errors="replace").split())
            raise type(error)(f"the NVIDIA driver refuses the code: {said or error}") from None
        finally:
            self._api.call("cuLinkDestroy", state)

    def load(self, cubin: bytes) -> Any:
        return self._api.call("cuModuleLoadData", cubin)

    def unload(self, module: Any) -> None:
        self._api.call("cuModuleUnload", module)

    def function(self, module: Any, name: str, shared_bytes: int) -> Any:
        function = self._api.call("cuModuleGetFunction", module, name.encode())
        limit = self._api.cu.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        self._api.call("cuFuncSetAttribute", function, limit, shared_bytes)
        return function

    def resident_blocks(self, function: Any, threads: int, shared_bytes: int) -> int:
        return self._api.call("cuOccupancyMaxActiveBlocksPerMultiprocessor", function, threads, shared_bytes)

    def tensor_map(self, map: TensorMap, address: int) -> bytes:
        cu = self._api.cu
        rank = len(map.shape)
        itemsize = numpy_dtype(map.dtype).itemsize
        sizes = list(reversed(map.shape))  # the innermost first
        strides = np.cumprod(sizes[:-1], dtype=np.int64) * itemsize
        swizzle = "NONE" if map.swizzle == 0 else f"{map.swizzle}B"
        encoded = self._api.call(
            "cuTensorMapEncodeTiled",
            getattr(cu.CUtensorMapDataType, f"CU_TENSOR_MAP_DATA_TYPE_{_TYPES[map.dtype]}"),
            rank,
            address,
            [cu.cuuint64_t(size) for size in sizes],
            [cu.cuuint64_t(int(stride)) for stride in strides],
            [cu.cuuint32_t(size) for size in reversed(map.box)],
            [cu.cuuint32_t(1)] * rank,
            cu.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
            getattr(cu.CUtensorMapSwizzle, f"CU_TENSOR_MAP_SWIZZLE_{swizzle}"),
            cu.CUtensorMapL2promotion.CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
            cu.CUtensorMapFloatOOBfill.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
        return b"".join(int(word).to_bytes(8, "little") for word in encoded.opaque)

    def launch(self, launch: Launch, stream: Any) -> None:
        shape = launch.blocks, 1, 1, launch.threads, 1, 1, launch.shared_bytes
        self._api.call("cuLaunchKernel", launch.function, *shape, stream, launch.arguments.pointer, 0)

    # -- graphs

    def begin_capture(self, stream: Any) -> None:
        self._api.call("cuStreamBeginCapture", stream, self._relaxed)

    def end_capture(self, stream: Any) -> Any:
        graph = self._api.call("cuStreamEndCapture", stream)
        try:
            return self._api.call("cuGraphInstantiate", graph, 0)
        finally:
            self._api.call("cuGraphDestroy", graph)

    def launch_graph(self, graph: Any, stream: Any) -> None:
        self._api.call("cuGraphLaunch", graph, stream)

    def destroy_graph(self, graph: Any) -> None:
        self._api.call("cuGraphExecDestroy", graph)


class _OutOfMemory(DeviceLostError): ...


class _UnsupportedPtx(DeviceError): ...


class Api:
    """The driver's functions with errors as exceptions. `cu` is the module `cuda.bindings.driver`, initialised."""

    def __init__(self, cu: Any) -> None:
        self.cu = cu
        self._success = cu.CUresult.CUDA_SUCCESS
        self._functions: dict[str, Any] = {}
        try:
            self.call("cuInit", 0)
        except DeviceError:
            raise
        except Exception as error:  # what cuda-bindings raises without the library has changed from version to version
            raise DeviceError(
                "this machine has no NVIDIA driver (libcuda.so.1 was not found): install one, or run the artifact on a "
                "machine with a GPU; cuda-emulator runs it without"
            ) from error
        self.version = self.call("cuDriverGetVersion")
        if self.version < _OLDEST_DRIVER:
            oldest = f"{_OLDEST_DRIVER // 1000}.{_OLDEST_DRIVER % 1000 // 10}"
            raise DeviceError(
                f"the NVIDIA driver is too old: it is for CUDA {self.spelled_version}, and {oldest} or later is needed"
            )

    @property
    def spelled_version(self) -> str:
        return f"{self.version // 1000}.{self.version % 1000 // 10}"

    def call(self, name: str, *arguments: Any) -> Any:
        """What a function returns besides its status. Raises DeviceError, DeviceLostError."""
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = getattr(self.cu, name)
        try:
            status, *results = function(*arguments)
        except RuntimeError as error:
            if name == "cuInit":
                raise
            raise DeviceError(
                f"the NVIDIA driver is too old for cuda-bindings: it lacks {name}; install a newer driver"
            ) from error
        if status != self._success:
            self._fail(status, name)
        return results[0] if len(results) == 1 else tuple(results)

    def _fail(self, status: Any, name: str) -> None:
        symbol = getattr(status, "name", str(status))
        if symbol == "CUDA_ERROR_OUT_OF_MEMORY":
            raise _OutOfMemory("out of memory")
        if symbol in _OLD_FOR_PTX:
            raise _UnsupportedPtx(symbol)
        if symbol in _NO_GPU:
            raise DeviceError(
                "this machine has no NVIDIA GPU: run the artifact where there is one, or on cuda-emulator"
            )
        if symbol in _INCOMPATIBLE:
            raise DeviceError(f"the NVIDIA driver does not fit ({symbol}): restart the machine or update the driver")
        if symbol in _LOST:
            raise DeviceLostError(
                f"the GPU was lost ({symbol} from {name}): no program of this process can use it any more; start the "
                "process anew, or have --fallback go on without it"
            )
        raise DeviceError(f"the NVIDIA driver failed: {symbol} from {name}")


@functools.cache
def open_api() -> Api:
    """The driver of this machine. Raises DeviceError that says what is missing."""
    try:
        cu = importlib.import_module("cuda.bindings.driver")
    except ImportError:
        raise DeviceError("a GPU needs the Python package cuda-bindings: pip install 'tosaic[cuda]'") from None
    return Api(cu)


@functools.cache
def open_gpu(number: int) -> NvidiaGpu:
    """The GPU of that number. Raises DeviceError that says what is missing."""
    api = open_api()
    count = api.call("cuDeviceGetCount")
    if count == 0:
        api._fail(api.cu.CUresult.CUDA_ERROR_NO_DEVICE, "cuDeviceGetCount")
    if number >= count:
        here = "the GPU 0 alone" if count == 1 else f"the GPUs 0 to {count - 1}"
        raise DeviceError(f"there is no GPU {number}: this machine has {here}")
    return NvidiaGpu(api, number)


def capability_here(number: int) -> tuple[int, int] | None:
    """The compute capability of a GPU of this machine; None where there is none."""
    try:
        return open_gpu(number).capability
    except DeviceError:
        return None
