"""Which threads do what: grids, branches that part and meet, loops, barriers."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.runtime.cuda_emulator.program import Grid
from tosaic.runtime.errors import DeviceError, UnsupportedError

from .kernels import INDEX, kernel, launch

_STORE = "ld.param.u64 %rd0, [p0]; mad.lo.s64 %rd1, %rd15, 4, %rd0; st.global.u32 [%rd1], %r0;"


@pytest.mark.parametrize(("blocks", "threads"), [(1, 1), (3, 32), (7, 48), (300, 128)])
def test_every_thread_of_every_block_runs_once(blocks: int, threads: int) -> None:
    out = np.zeros(blocks * threads, np.uint32)
    launch(kernel(INDEX + "add.s32 %r0, %r13, 1;" + _STORE, 1), Grid(blocks, threads), [out])
    assert out.tolist() == list(range(1, blocks * threads + 1))


def test_threads_that_loop_longer_do_so_alone_and_meet_the_others_again() -> None:
    body = f"""{INDEX}
      mov.u32 %r0, 0; mov.u32 %r1, 0;
    $loop:
      setp.ge.u32 %p1, %r1, %r13;
      @%p1 bra $done;
      and.b32 %r2, %r1, 1;
      setp.eq.u32 %p2, %r2, 0;
      @!%p2 bra $odd;
      add.s32 %r0, %r0, %r1;
      bra.uni $next;
    $odd:
      sub.s32 %r0, %r0, 1;
    $next:
      add.s32 %r1, %r1, 1;
      bra.uni $loop;
    $done:
      {_STORE}"""
    out = np.zeros(128, np.uint32)
    launch(kernel(body, 1), Grid(2, 64), [out])
    expected = [sum(i if i % 2 == 0 else -1 for i in range(n)) & 0xFFFFFFFF for n in range(128)]
    assert out.tolist() == expected


def test_a_list_of_branches() -> None:
    body = f"""{INDEX}
      rem.u32 %r1, %r13, 3;
    $list: .branchtargets $a, $b, $c;
      brx.idx %r1, $list;
    $a: mov.u32 %r0, 10; bra $end;
    $b: mov.u32 %r0, 20; bra $end;
    $c: mov.u32 %r0, 30;
    $end: {_STORE}"""
    out = np.zeros(32, np.uint32)
    launch(kernel(body, 1), Grid(1, 32), [out])
    assert out.tolist() == [10 * (1 + n % 3) for n in range(32)]


def test_guards_hold_back_single_instructions() -> None:
    body = f"""{INDEX}
      mov.u32 %r0, 5; setp.lt.u32 %p1, %r13, 3;
      @%p1 mov.u32 %r0, 6; @!%p1 add.s32 %r0, %r0, %r13; @%p1 exit;
      {_STORE}"""
    out = np.zeros(8, np.uint32)
    launch(kernel(body, 1), Grid(1, 8), [out])
    assert out.tolist() == [0, 0, 0, 8, 9, 10, 11, 12]


_REVERSE = """
  .shared .align 4 .b8 tile[256];
  mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; cvt.u64.u32 %rd2, %r2;
  mov.u64 %rd3, tile; add.s64 %rd4, %rd3, %rd2;
  st.shared.u32 [%rd4], %r13;
  BARRIER
  sub.s64 %rd5, %rd3, %rd2;
  ld.shared.u32 %r0, [%rd5+252];
"""


def test_after_a_barrier_a_block_sees_what_its_threads_wrote() -> None:
    out = np.zeros(192, np.uint32)
    launch(kernel(INDEX + _REVERSE.replace("BARRIER", "bar.sync 0;") + _STORE, 1), Grid(3, 64), [out])
    assert out.tolist() == [64 * block + 63 - n for block in range(3) for n in range(64)]


def test_without_the_barrier_there_is_a_race() -> None:
    with pytest.raises(DeviceError, match=r"block 0, thread 0: ld\.shared\.u32 \(PTX line \d+\).*a race"):
        launch(kernel(INDEX + _REVERSE.replace("BARRIER", "") + _STORE, 1), Grid(1, 64), [np.zeros(64, np.uint32)])


def test_threads_that_ended_are_not_waited_for() -> None:
    body = INDEX + "setp.ge.u32 %p1, %r13, 5; @%p1 exit; bar.sync 0; mov.u32 %r0, 1;" + _STORE
    out = np.zeros(64, np.uint32)
    launch(kernel(body, 1), Grid(1, 64), [out])
    assert out.tolist() == [1] * 5 + [0] * 59


def test_a_trap_names_the_thread() -> None:
    with pytest.raises(DeviceError, match=r"kernel k, block 1, thread 2: trap"):
        launch(kernel(INDEX + "setp.eq.u32 %p1, %r13, 34; @%p1 trap;", 0), Grid(2, 32), [])


def test_unknown_instructions_are_refused_by_name_and_line() -> None:
    with pytest.raises(UnsupportedError, match=r"tanh\.approx\.f32 \(PTX line \d+\)"):
        launch(kernel("tanh.approx.f32 %f0, %f1;", 0), Grid(1, 1), [])


def test_wrong_arguments() -> None:
    with pytest.raises(DeviceError, match="kernel k takes 1 arguments, not 2"):
        launch(kernel("", 1), Grid(1, 1), [], [1, 2])
