"""How Tosaic's commands end: one line for what a user can act upon, no traceback without --debug, a clean pipe."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from .collection import collect_rarely_until_exit
from .errors import TosaicError
from .interruption import heed_signals, ignore_signals

_CLOSED_PIPE = 1

_USAGE_ERROR = 2

_INTERNAL_ERROR = 70
"""EX_SOFTWARE of sysexits.h."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class App(Protocol):
    """A typer application; it parses sys.argv and returns the exit code, or None for 0."""

    def __call__(self, *, prog_name: str, standalone_mode: bool) -> int | None: ...


def run(load: Callable[[], App], program: str) -> None:
    """Run the command line application that `load` imports, and end the process with the right exit code."""
    heed_signals()
    collect_rarely_until_exit()
    try:
        _open_closed_streams()
        try:
            code = load()(prog_name=program, standalone_mode=False)
        finally:
            sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:
        # Whoever reads us has seen enough. The interpreter flushes stdout once more at its end: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_CLOSED_PIPE)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        message, code = _describe(error, program)
        print(f"{program}: {message}", file=sys.stderr)
        sys.exit(code)
    finally:
        ignore_signals()


def _open_closed_streams() -> None:
    """Python has None for a standard stream that was closed before it began. Input is empty then, output an error."""
    null = Path(os.devnull)
    sys.stdin = sys.stdin or null.open()
    sys.stdout = sys.stdout or null.open()
    sys.stderr = sys.stderr or null.open("w")


def _describe(error: Exception, program: str) -> tuple[str, int]:
    """What to tell, and the exit code."""
    if isinstance(error, TosaicError):
        return str(error), error.exit_code
    if isinstance(error, io.UnsupportedOperation) and str(error) in ("not writable", "write"):
        return "standard output is closed", 1
    if isinstance(error, OSError):
        name = error.filename or ("standard output" if error.errno in _FULL else None)
        reason = error.strerror or str(error)
        return f"{name}: {reason}" if name else reason, 1
    if isinstance(error, MemoryError):
        return f"out of memory: {error}" if str(error) else "out of memory", 1
    if format_message := getattr(error, "format_message", None):  # typer's, whose class moved between its versions
        return f"{' '.join(format_message().split())} ({program} --help lists the options)", _USAGE_ERROR
    message = f"internal error: {type(error).__name__}: {error} (--debug shows where; please report it)"
    return message, _INTERNAL_ERROR
