"""Shuffles between lanes, and that a warp's instructions wait for all of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tosaic.runtime.cuda_emulator.launch import LoadedModule
from tosaic.runtime.cuda_emulator.memory import GlobalMemory
from tosaic.runtime.cuda_emulator.parser import parse
from tosaic.runtime.cuda_emulator.program import Grid
from tosaic.runtime.errors import DeviceError

KERNEL = """
.version 7.0
.target sm_80
.address_size 64
.visible .entry work(.param .u64 in, .param .u64 out)
{{
  .reg .pred %p<3>;
  .reg .b32 %r<6>;
  .reg .b64 %rd<6>;
  ld.param.u64 %rd1, [in];
  ld.param.u64 %rd2, [out];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd3, %r1, 4;
  add.u64 %rd4, %rd1, %rd3;
  add.u64 %rd5, %rd2, %rd3;
  ld.global.u32 %r2, [%rd4];
{body}
  st.global.u32 [%rd5], %r3;
  ret;
}}
"""


def run(body: str, threads: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """(what lanes had, what they have after `body` put it from %r2 into %r3)"""
    memory = GlobalMemory()
    before, after = np.arange(100, 100 + threads, dtype=np.uint32), np.zeros(threads, np.uint32)
    module = LoadedModule(parse(KERNEL.format(body=body)), memory)
    module.launch("work", Grid(1, threads), [memory.add(before), memory.add(after)])
    return before, after


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("bfly.b32 %r3, %r2, 5, 31, -1", lambda lane: lane ^ 5),
        ("down.b32 %r3, %r2, 3, 31, -1", lambda lane: np.where(lane + 3 < 32, lane + 3, lane)),
        ("up.b32 %r3, %r2, 3, 0, -1", lambda lane: np.where(lane >= 3, lane - 3, lane)),
        ("idx.b32 %r3, %r2, 7, 31, -1", lambda lane: np.full(32, 7)),
        # Segments of eight lanes: the upper bits of the fourth operand.
        ("idx.b32 %r3, %r2, 7, 6175, -1", lambda lane: lane // 8 * 8 + 7),
        ("down.b32 %r3, %r2, 3, 6151, -1", lambda lane: np.where(lane % 8 + 3 < 8, lane + 3, lane)),
    ],
)
def test_shuffles_read_the_lane_that_the_manual_says(text: str, source: Callable[[np.ndarray], np.ndarray]) -> None:
    before, after = run(f"shfl.sync.{text};")
    lane = np.arange(32)
    np.testing.assert_array_equal(after.reshape(2, 32), before.reshape(2, 32)[:, source(lane)])


def test_lanes_that_come_by_another_way_are_waited_for() -> None:
    """Lane 0 goes round by a block that stands behind the shuffle."""
    before, after = run(
        """
  setp.eq.u32 %p1, %r1, 0;
  @%p1 bra LATE;
MEET:
  shfl.sync.bfly.b32 %r3, %r2, 1, 31, -1;
  bra.uni END;
LATE:
  add.u32 %r2, %r2, 1000;
  bra.uni MEET;
END:
"""
    )
    np.testing.assert_array_equal(after[:2], [before[1], before[0] + 1000])


def test_a_lane_that_never_comes_is_an_error() -> None:
    body = """
  mov.u32 %r3, 0;
  setp.eq.u32 %p1, %r1, 3;
  @%p1 bra END;
  shfl.sync.bfly.b32 %r3, %r2, 1, 31, -1;
  bar.sync 0;
END:
"""
    with pytest.raises(DeviceError, match=r"kernel work, block 0, thread \d+: shfl.sync.bfly.b32 .*do not take part"):
        run(body)


def test_a_part_of_a_warp_multiplies_nothing() -> None:
    body = """
  setp.lt.u32 %p1, %r1, 16;
  @%p1 mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%r3, %r4}, {%r2}, {%r2}, {%r1, %r1};
"""
    with pytest.raises(DeviceError, match=r"thread 0: mma.sync.* is executed by a part of its warp"):
        run(body)
