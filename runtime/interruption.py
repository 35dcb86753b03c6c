"""How a command ends on Ctrl-C, SIGTERM and SIGHUP: silently, with what it began undone."""

from __future__ import annotations

import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_S = 0.001


def heed_signals() -> None:
    """From now on a signal raises SystemExit, with 128 + its number, wherever the main thread is."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _end)
    sys.unraisablehook = _raise_again


def ignore_signals() -> None:
    """From now on they are ignored: what is left is to end, which no signal should make noisy."""
    for number in (*SIGNALS, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    """A signal that comes within a finaliser or a weak reference's callback would be reported there and forgotten."""
    ending = unraisable.exc_value
    if not isinstance(ending, SystemExit):
        sys.__unraisablehook__(unraisable)
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(ending.code)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
