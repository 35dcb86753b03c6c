"""Random programs agree with plain numpy: what they mean here, and what every device makes of them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .agreement import DEVICES, check_devices, check_meaning
from .programs import Program, programs

_ANY_SIZE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@given(programs())
@settings(max_examples=100, deadline=None, suppress_health_check=_ANY_SIZE)
def test_what_programs_mean_is_what_numpy_computes(program: Program) -> None:
    check_meaning(program)


@given(programs(), st.sampled_from(DEVICES))
@settings(max_examples=40, deadline=None, suppress_health_check=_ANY_SIZE)
def test_devices_agree_with_numpy(program: Program, devices: str) -> None:
    check_devices(program, devices)


@pytest.mark.slow
@pytest.mark.parametrize("devices", DEVICES)
def test_devices_agree_with_numpy_on_many_programs(devices: str) -> None:
    @given(programs())
    @settings(max_examples=2000 // len(DEVICES) + 1, deadline=None, suppress_health_check=_ANY_SIZE)
    def agree(program: Program) -> None:
        check_devices(program, devices)

    agree()
