"""The garbage collector, kept from looking at the IR again and again while it grows."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_RARELY = (1_000_000, 50, 100)
"""Objects made before the youngest are looked at, and how often that is done before the older ones are."""


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Makes many objects, nearly all of which stay: to look for unreachable ones costs a tenth of a compilation.

    What was set before is set again after; a collector that is switched off stays so.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def collect_rarely_until_exit() -> None:
    """For a command, whose objects stay until its process ends.

    Setting the thresholds back would have the collector look at all of them, and at its exit the interpreter does so
    once more: a tenth of a compilation together. Frozen ones it leaves to the system.
    """
    gc.set_threshold(*_RARELY)
    atexit.register(gc.freeze)
