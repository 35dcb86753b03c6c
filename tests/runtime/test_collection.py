"""The collector's thresholds are the caller's again, whatever happened in between."""

from __future__ import annotations

import gc

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
