"""Devices that work at the same time: each has a thread that runs what it is given in order."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..device import Array

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
    """An array that some devices are still writing."""

    __slots__ = ("array", "events")

    def __init__(self, array: Array, events: Sequence[Event]) -> None:
        self.array = array
        self.events = events

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def reshape(self, shape: Sequence[int]) -> Pending:
        return Pending(self.array.reshape(shape), self.events)

    def __getitem__(self, index: tuple[slice, ...]) -> Pending:
        return Pending(self.array[index], self.events)

    def wait(self) -> Array:
        for event in self.events:
            event.wait()
        return self.array


class Queue:
    """The thread of one device. It starts with the first work, and again in a forked child."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._work: queue.SimpleQueue[tuple[Work, tuple[Event, ...], Event] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, work: Work, after: Sequence[Event] = ()) -> Event:
        """Have `work` done once `after` and all that was submitted before have ended; if one of `after` failed, its
        error is that of this too."""
        if self._process != os.getpid():
            self._forget()
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=f"tosaic-queue-{self._name}", daemon=True)
            self._thread.start()
        event = Event()
        self._work.put((work, tuple(after), event))
        return event

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
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

    def close(self) -> None:
        """Wait for what was submitted and end the thread."""
        if self._thread is None or self._process != os.getpid():
            return
        self._work.put(None)
        self._thread.join()
        self._thread = None
