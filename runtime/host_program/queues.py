"""Devices that work at the same time: each has a thread that runs what it is given in order."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ..devices.workers import no_signals
from ..errors import DeviceError
from ..remote import Tensor

if TYPE_CHECKING:
    import queue

Work: TypeAlias = Callable[[], None]


class Event:
    """The end of a piece of work. `wait` raises what the work raised."""

    __slots__ = ("_done", "_error")

    def __init__(self) -> None:
        self._done = threading.Event()
        self._error: BaseException | None = None

    def finish(self, error: BaseException | None = None) -> None:
        self._error = error
        self._done.set()

    def wait(self) -> None:
        self._done.wait()
        if self._error is not None:
            raise self._error

    def finished(self) -> None:
        """Wait for the end, well or not."""
        self._done.wait()


class Pending:
    """A tensor that some devices are still writing."""

    __slots__ = ("array", "events")

    def __init__(self, array: Tensor, events: Sequence[Event]) -> None:
        self.array = array
        self.events = events

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def reshape(self, shape: Sequence[int]) -> Pending:
        return Pending(self.array.reshape(shape), self.events)

    def __getitem__(self, index: tuple[slice, ...]) -> Pending:
        return Pending(self.array[index], self.events)

    def wait(self) -> Tensor:
        for event in self.events:
            event.wait()
        return self.array


class Queue:
    """The thread of one device. It starts with the first work, and again in a forked child."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._closed = False
        self._forget()

    def _forget(self) -> None:
        import queue  # Most programs have one device and no queues, and start faster without.

        self._process = os.getpid()
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[tuple[Work, tuple[Event, ...], Event] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, work: Work, after: Sequence[Event] = ()) -> Event:
        """Have `work` done once `after` and all that was submitted before have ended; if one of `after` failed, its
        error is that of this too. Raises DeviceError after `close`, or where no thread can be started."""
        if self._process != os.getpid():
            self._forget()
        event = Event()
        with self._lock:
            if self._closed:
                raise DeviceError("the program is closed")
            if self._thread is None:
                self._thread = self._start()
            self._work.put((work, tuple(after), event))
        return event

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=_serve, args=(self._work,), name=f"tosaic-queue-{self._name}", daemon=True)
        try:
            with no_signals():
                thread.start()
        except RuntimeError as error:
            raise DeviceError(f"cannot start a thread for device {self._name}: {error}") from None
        return thread

    def close(self) -> None:
        """Wait for what was submitted and end the thread."""
        if self._process != os.getpid():
            self._forget()
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._work.put(None)
            thread.join()


def _serve(waiting: queue.SimpleQueue[tuple[Work, tuple[Event, ...], Event] | None]) -> None:
    while (item := waiting.get()) is not None:
        work, after, event = item
        try:
            for earlier in after:
                earlier.wait()
            work()
        except BaseException as error:
            event.finish(error)
        else:
            event.finish()
        del item, work, after, event  # they hold the arrays of the call, which may be big
