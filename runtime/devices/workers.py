"""The worker threads of a CPU program: Python threads parked inside native code.

They enter an image's `worker` once, through ctypes, which gives up the interpreter lock; from then on `invoke` wakes
them without the interpreter taking part.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
import signal
import threading
from collections.abc import Iterator

from .. import abi
from ..errors import DeviceError

_FUTEX_SYSCALL = {"x86_64": 202, "aarch64": 98, "riscv64": 98}
_FUTEX_WAKE_PRIVATE = 1 | 128
_EVERYONE = 0x7FFFFFFF
_LIBC = ctypes.CDLL(None)


class Workers:
    """`count` threads that serve the `abi.Pool` at `pool`, which must be zero and outlive them. Raises DeviceError."""

    def __init__(self, entry: int, pool: int, count: int) -> None:
        self._pool = abi.Pool.from_address(pool)
        self._threads: list[threading.Thread] = []
        if count <= 0:
            return
        worker = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(entry)
        try:
            with no_signals():
                for number in range(1, count + 1):
                    # Daemons, so that a program nobody closed does not keep the interpreter from ending.
                    name = f"tosaic-worker-{number}"
                    thread = threading.Thread(target=worker, args=(pool, number), name=name, daemon=True)
                    thread.start()
                    self._threads.append(thread)
        except BaseException as error:
            self.stop()
            if isinstance(error, RuntimeError):
                raise DeviceError(f"cannot start {count} threads beside this one: {error}") from None
            raise

    def stop(self) -> None:
        """Have the workers return and wait until they did. No call may be under way."""
        if not self._threads:
            return
        self._pool.stop = 1
        self._wake()  # A system call between the two stores keeps their order on every architecture.
        self._pool.generation += 1
        self._wake()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def forget(self) -> None:
        """Drop the threads without stopping them: a forked child has none."""
        self._threads = []

    def _wake(self) -> None:
        word = ctypes.c_void_p(ctypes.addressof(self._pool))
        _LIBC.syscall(ctypes.c_long(_FUTEX_SYSCALL[platform.machine()]), word, _FUTEX_WAKE_PRIVATE, _EVERYONE)


@contextlib.contextmanager
def no_signals() -> Iterator[None]:
    """Signals wait, and threads that start meanwhile never take one: the thread that would act upon it must wake up."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
