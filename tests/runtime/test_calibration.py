"""What is measured of a device is plausible, kept, and not measured again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tosaic.lowering.target import resolve_target
from tosaic.runtime import calibration
from tosaic.runtime.device_spec import DeviceSpec
from tosaic.runtime.rates import Rates


def test_a_dispatch_takes_what_it_computes_or_moves_and_no_less_than_the_least() -> None:
    rates = Rates({"float32": 100.0, "int8": 400.0}, 20.0, {"float32": 10.0}, bandwidth=50.0, dispatch=1.0, call=0.0)
    assert rates.seconds(200, 0, 0, 50, "float32") == 1 + 2
    assert rates.seconds(200, 0, 0, 50, "int8") == 1 + 1
    assert rates.seconds(200, 0, 10, 50, "int8") == 1 + 1.5
    assert rates.seconds(0, 100, 0, 50, "int8") == 1 + 5
    assert rates.seconds(200, 0, 0, 50, "bfloat16") == 1 + 2, "a type that was not measured counts as float32"


def test_rates_are_read_from_where_they_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, target = DeviceSpec("cpu", 1), resolve_target("host")
    expected = Rates({"float32": 1e11}, 1e10, {"float32": 1e10}, 1e10, 1e-6, 2e-5)
    monkeypatch.setattr(calibration, "_measure", lambda *_: expected)
    assert calibration.known_rates(spec, target.name, tmp_path) is None
    assert calibration.measured_rates(spec, target, tmp_path) == expected
    monkeypatch.setattr(calibration, "_measure", None)
    assert calibration.measured_rates(spec, target, tmp_path) == expected
    assert calibration.known_rates(spec, target.name, tmp_path) == expected
    assert calibration.known_rates(DeviceSpec("cpu", 2), target.name, tmp_path) is None
    (kept,) = tmp_path.iterdir()
    kept.write_text("{")
    assert calibration.known_rates(spec, target.name, tmp_path) is None


@pytest.mark.slow
def test_measured_rates_are_plausible(tmp_path: Path) -> None:
    rates = calibration.measured_rates(DeviceSpec("cpu", 1), resolve_target("host"), tmp_path)
    assert {"float32", "int8"} <= rates.contraction.keys()
    assert all(1e9 < rate < 1e14 for rate in rates.contraction.values())
    assert 1e8 < rates.window < 1e13
    assert 1e8 < rates.loops["float32"] < 1e13
    assert 1e8 < rates.bandwidth < 1e13
    assert 0 < rates.dispatch < 1e-2
    assert 0 < rates.call < 1e-1
