"""Runs `deploy` within the test's process, and files for it to work on."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tosaic.runtime.__main__ import main
from tosaic.runtime.collection import collecting_rarely
from tosaic.runtime.interruption import SIGNALS

from tests.runtime import native


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str


class _Stdin(io.TextIOWrapper):
    """Standard input that is a pipe with `data` in it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))


@pytest.fixture
def deploy(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """A function from arguments (and the bytes on standard input) to what `deploy` did, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments: str | Path, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["deploy", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", _Stdin(stdin))
        monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
        handlers = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
        try:
            with collecting_rarely(), pytest.raises(SystemExit) as ended:  # sets the collector back
                main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        captured = capfd.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """An artifact on disk."""
    path = tmp_path / "native.module"
    native.artifact().save(path)
    return path
