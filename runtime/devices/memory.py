"""Memory for native code: zeroed, page-aligned and released on request."""

from __future__ import annotations

import ctypes
import mmap

from ..errors import DeviceError, DeviceLostError

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Memory:
    """`size` zero bytes at `address`, a page boundary. Raises DeviceLostError when there is not that much."""

    def __init__(self, size: int) -> None:
        try:
            self.mapping = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError, ValueError) as error:
            raise DeviceLostError(f"cannot allocate {size} bytes of memory: {error}") from None
        self.size = size
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.mapping))

    def close(self) -> None:
        """Unmap. Raises BufferError while a view of the memory is alive."""
        self.mapping.close()


def map_code(code: bytes | bytearray | memoryview) -> Memory:
    """`code` mapped readable and executable, never writable at the same time. Raises DeviceError when forbidden."""
    memory = Memory(len(code))
    memory.mapping[: len(code)] = bytes(code)
    if _LIBC.mprotect(memory.address, memory.size, mmap.PROT_READ | mmap.PROT_EXEC):
        reason = ctypes.get_errno()
        memory.close()
        raise DeviceError(f"this system does not allow generated code to run: mprotect fails with error {reason}")
    return memory
