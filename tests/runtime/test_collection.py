"""The thresholds are the caller's again, whatever happened in between; a command leaves the collector nothing to do."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest
from tosaic.runtime.collection import collecting_rarely


def test_thresholds_come_back() -> None:
    before = gc.get_threshold()
    with collecting_rarely():
        assert gc.get_threshold()[0] > before[0]
        with collecting_rarely():
            pass
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before


def test_also_after_an_error() -> None:
    before = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), collecting_rarely():
        _ = 1 // 0
    assert gc.get_threshold() == before


_COMMAND = """
import atexit, gc
from tosaic.runtime.collection import collect_rarely_until_exit
atexit.register(lambda: print(gc.get_freeze_count() > 1000))
before = gc.get_threshold()
collect_rarely_until_exit()
print(gc.get_threshold() > before, gc.get_freeze_count())
"""


def test_a_command_ends_without_a_collection() -> None:
    """All that it made is frozen when the interpreter looks for what is unreachable, and not before."""
    done = subprocess.run([sys.executable, "-c", _COMMAND], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "0", "True"]
