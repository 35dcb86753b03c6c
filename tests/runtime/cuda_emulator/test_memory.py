"""Accesses that a GPU would punish, or not notice, are errors that name the thread, the instruction and the address."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.runtime.cuda_emulator.memory import AccessError
from tosaic.runtime.cuda_emulator.program import Grid

from .kernels import INDEX, kernel, launch


def test_loads_and_stores_of_all_widths() -> None:
    source = np.arange(64, dtype=np.int32) - 7
    out = np.zeros(64, np.int32)
    body = f"""{INDEX}
      ld.param.u64 %rd0, [p0]; ld.param.u64 %rd1, [p1];
      mad.lo.s64 %rd2, %rd15, 16, %rd0; mad.lo.s64 %rd3, %rd15, 16, %rd1;
      ld.global.v4.b32 {{%r0, %r1, %r2, %r3}}, [%rd2];
      ld.s8 %r4, [%rd2+4]; ld.u16 %r5, [%rd2+8];
      st.global.v2.b32 [%rd3], {{%r3, %r4}}; st.b32 [%rd3+8], %r5; st.b8 [%rd3+12], %r0;"""
    launch(kernel(body, 2), Grid(1, 16), [source, out])
    rows = source.reshape(16, 4)
    expected = np.stack([rows[:, 3], rows[:, 1].astype(np.int8), rows[:, 2] & 0xFFFF, rows[:, 0] & 0xFF], axis=1)
    np.testing.assert_array_equal(out.reshape(16, 4), expected)


def test_values_go_to_memory_of_their_own() -> None:
    """Local memory, which each thread has for itself, by addresses of its space and generic ones."""
    body = f"""{INDEX}
      .local .align 8 .b8 depot[16];
      mov.b64 %rd0, depot; cvta.local.u64 %rd1, %rd0;
      st.local.u32 [%rd0+4], %r13; ld.u32 %r0, [%rd1+4]; st.u32 [%rd1+8], %r0; ld.local.u32 %r1, [%rd0+8];
      ld.param.u64 %rd2, [p0]; mad.lo.s64 %rd3, %rd15, 4, %rd2; st.global.u32 [%rd3], %r1;"""
    out = np.zeros(70, np.uint32)
    launch(kernel(body, 1), Grid(2, 35), [out])
    assert out.tolist() == list(range(70))


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("ld.global.u32 %r0, [%rd1+396];", r"thread 1: ld\.global\.u32 \(PTX line \d+\).*4 bytes beyond .* of 400"),
        ("st.global.u32 [%rd1+-4], %r0;", r"thread 0: st\.global\.u32.*no allocation is there"),
        ("ld.global.u32 %r0, [%rd1+2];", "not aligned to 4 bytes"),
        ("ld.global.v2.u32 {%r0, %r1}, [%rd1+4];", "not aligned to 8 bytes"),
        ("mov.u64 %rd2, 0; ld.u32 %r0, [%rd2];", "no allocation is there"),
    ],
)
def test_wrong_accesses(code: str, problem: str) -> None:
    body = f"{INDEX}\n ld.param.u64 %rd0, [p0]; mad.lo.s64 %rd1, %rd15, 4, %rd0;\n {code}"
    with pytest.raises(AccessError, match=problem):
        launch(kernel(body, 1), Grid(1, 2), [np.zeros(100, np.uint32)])


def test_shared_memory_that_nobody_wrote() -> None:
    body = ".shared .align 4 .b8 tile[64]; mov.u64 %rd0, tile; ld.shared.u32 %r0, [%rd0+8];"
    with pytest.raises(AccessError, match="shared memory nobody wrote"):
        launch(kernel(body, 0), Grid(1, 1), [])


def test_beyond_shared_memory() -> None:
    body = ".shared .align 4 .b8 tile[64]; mov.u64 %rd0, tile; st.shared.u32 [%rd0+64], 1;"
    with pytest.raises(AccessError, match="the window has 64 bytes"):
        launch(kernel(body, 0), Grid(1, 1), [])


def test_two_threads_that_write_the_same_place() -> None:
    body = ".shared .align 4 .b8 tile[64]; mov.u64 %rd0, tile; st.shared.u32 [%rd0], 1;"
    with pytest.raises(AccessError, match="a race: written by another thread"):
        launch(kernel(body, 0), Grid(1, 2), [])
