"""What orders accesses to shared memory: warps that meet, and mbarriers for those who arrive and wait."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.runtime.cuda_emulator.memory import AccessError
from tosaic.runtime.cuda_emulator.program import Grid
from tosaic.runtime.errors import DeviceError

from .kernels import HEADER, Array, kernel, launch

_SHARED = HEADER + ".extern .shared .align 16 .b8 memory[];\n"

_WRITE = """
  mov.u64 %rd3, memory; cvt.u32.u64 %r9, %rd3; mov.u32 %r1, %tid.x; mul.wide.u32 %rd4, %r1, 4;
  add.s64 %rd5, %rd3, %rd4; st.shared.b32 [%rd5+16], %r1;
"""
"""Every thread writes its number behind 16 bytes for an mbarrier, whose address is %r9."""

_READ = """
  xor.b32 %r2, %r1, {distance}; mul.wide.u32 %rd6, %r2, 4; add.s64 %rd6, %rd3, %rd6; ld.shared.b32 %r3, [%rd6+16];
  ld.param.u64 %rd1, [p0]; add.s64 %rd7, %rd1, %rd4; st.global.b32 [%rd7], %r3;
"""

_MAKE = """
  mov.u64 %rd8, memory; cvt.u32.u64 %r9, %rd8; mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 0;
  @%p1 mbarrier.init.shared::cta.b64 [%r9], 64; bar.sync 0;
"""
_ARRIVE = "mbarrier.arrive.shared::cta.b64 _, [%r9];"
_WAIT = "again: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r9], {parity}; @!%p2 bra again;"


def run(body: str, distance: int) -> Array:
    """The number that each of 64 threads reads: that of the one `distance` (a mask) away."""
    result = np.zeros(64, np.uint32)
    text = kernel(body + _READ.replace("{distance}", str(distance)), 1).replace(HEADER, _SHARED)
    launch(text, Grid(1, 64, 16 + 64 * 4), [result])
    return result


def test_lanes_of_a_warp_meet() -> None:
    np.testing.assert_array_equal(run(f"{_WRITE} bar.warp.sync -1;", 1), np.arange(64) ^ 1)


def test_warps_do_not_meet_by_that() -> None:
    with pytest.raises(AccessError, match="a race: written"):
        run(f"{_WRITE} bar.warp.sync -1;", 32)


def test_who_waits_sees_what_those_who_arrived_did() -> None:
    body = f"{_MAKE} {_WRITE} {_ARRIVE} {_WAIT.replace('{parity}', '0')}"
    np.testing.assert_array_equal(run(body, 32), np.arange(64) ^ 32)


def test_who_only_arrives_does_not() -> None:
    with pytest.raises(AccessError, match="a race: written"):
        run(f"{_MAKE} {_WRITE} {_ARRIVE}", 32)


def test_the_phase_in_front_of_the_first_orders_nothing() -> None:
    with pytest.raises(AccessError, match="a race: written"):
        run(f"{_MAKE} {_WRITE} {_WAIT.replace('{parity}', '1')} {_ARRIVE}", 32)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"{_MAKE} {_WAIT.replace('{parity}', '0')} {_WRITE}", "waits for a phase that never ends"),
        (f"{_WRITE} {_ARRIVE}", "no mbarrier was initialised there"),
        (f"{_MAKE} {_WRITE} add.u32 %r9, %r9, 4; {_ARRIVE}", "not aligned to 8 bytes"),
        (f"{_MAKE.replace('bar.sync 0;', '')} {_WRITE} bar.warp.sync -1; {_ARRIVE}", "another thread initialised"),
    ],
    ids=["never ends", "not made", "misaligned", "not yet seen"],
)
def test_wrong_uses(body: str, reason: str) -> None:
    with pytest.raises(DeviceError, match=reason):
        run(body, 32)
