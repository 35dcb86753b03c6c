"""The one family of exceptions that a user of Tosaic meets.

Every error that a model, a program, an artifact or an argument can cause derives from `TosaicError`; its text is one
line that names the file or tensor, what was expected and what to do. Commands print it and exit with `exit_code`,
without a traceback. Anything else that escapes is a bug of ours.

It lives in `runtime` because that is the bottom layer: everything may import it, and it imports nothing.
"""

from __future__ import annotations


class TosaicError(Exception):
    """Something the user can act upon. `exit_code` is what a command returns to the shell."""

    exit_code = 1


class MalformedFileError(TosaicError):
    """A model, TOSA file or artifact is damaged: the text names the field that is wrong and its position."""


class UnsupportedError(TosaicError):
    """The input is valid but uses something Tosaic does not support; `reasons` lists every such place at once."""

    def __init__(self, summary: str, reasons: list[str]) -> None:
        super().__init__("\n".join([summary, *(f"  - {reason}" for reason in reasons)]))
        self.reasons = reasons


class ArgumentError(TosaicError):
    """A wrong argument: an unknown device, CPU or input name, a wrong shape or dtype."""

    exit_code = 2


class DeviceError(TosaicError):
    """A device cannot do what was asked: the artifact needs an ISA it lacks, memory ran out, it was lost."""


class DeviceLostError(DeviceError):
    """A device cannot go on, as it is lost or out of memory; others could do its work.

    device: its name, where the error passed what knows that.
    """

    def __init__(self, problem: str, device: str | None = None) -> None:
        super().__init__(problem if device is None else f"device {device}: {problem}")
        self.problem = problem
        self.device = device
