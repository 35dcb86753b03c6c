"""A processor's time stamp counter on the clock of Python."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

_CALIBRATION_SECONDS = 0.05


class Clock:
    """Turns ticks into seconds of `time.perf_counter`; `ticks` returns those of a moment ago, again and again."""

    def __init__(self, ticks: Callable[[], int]) -> None:
        self._origin, self._begin = ticks(), time.perf_counter()
        last, now = self._origin, self._begin
        while now - self._begin < _CALIBRATION_SECONDS:
            last, now = ticks(), time.perf_counter()
        passed = last - self._origin  # none where nothing was traced
        self._seconds_per_tick = (now - self._begin) / passed if passed else 0.0

    def seconds(self, ticks: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
        since = (ticks.astype(np.int64) - self._origin).astype(np.float64)
        return np.add(self._begin, since * self._seconds_per_tick)
