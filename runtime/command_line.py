"""How Tosaic's commands end: one line for what a user can act upon, no traceback without --debug, a clean pipe."""

from __future__ import annotations

import os
import sys
from typing import Protocol

from .errors import TosaicError

_INTERRUPTED = 128 + 2
"""What the shell reports for a process killed by SIGINT."""

_CLOSED_PIPE = 1
"""What typer exits with when it is the one to notice."""

_INTERNAL_ERROR = 70
"""EX_SOFTWARE of sysexits.h."""


class App(Protocol):
    """A typer application; calling it parses sys.argv and ends in SystemExit."""

    def __call__(self, *, prog_name: str) -> object: ...


def run(app: App, program: str) -> None:
    """Run the command line application and end the process with the right exit code."""
    try:
        try:
            app(prog_name=program)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads us has seen enough. The interpreter flushes stdout once more at its end: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_CLOSED_PIPE)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        message, code = _describe(error)
        print(f"{program}: {message}", file=sys.stderr)
        sys.exit(code)


def _describe(error: Exception) -> tuple[str, int]:
    """What to tell, and the exit code."""
    if isinstance(error, TosaicError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error), 1
    if isinstance(error, MemoryError):
        return "out of memory", 1
    message = f"internal error: {type(error).__name__}: {error} (--debug shows where; please report it)"
    return message, _INTERNAL_ERROR
