"""ldmatrix against the manual's fragments, and what it is told off for."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.runtime.cuda_emulator.program import Grid
from tosaic.runtime.errors import DeviceError

from .kernels import Array, kernel, launch

PITCH = 48
"""Bytes between rows in shared memory: 16 of them are the matrix's."""

WRITE = f"""
  mov.u32 %r0, %tid.x; cvt.u64.u32 %rd0, %r0;
  ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1];
  mad.lo.s64 %rd3, %rd0, 16, %rd1; ld.global.v4.b32 {{%r1, %r2, %r3, %r4}}, [%rd3];
  mov.u64 %rd4, memory; mad.lo.s64 %rd5, %rd0, {PITCH}, %rd4;
  st.shared.v4.b32 [%rd5], {{%r1, %r2, %r3, %r4}};
"""
"""Lane i brings row i to shared memory; its address is in %rd5, the memory's in %rd4."""

STORE = """
  mad.lo.s64 %rd6, %rd0, 16, %rd2; st.global.v4.b32 [%rd6], {%r5, %r6, %r7, %r8};
"""


def run(body: str, rows: Array) -> Array:
    """uint16[lanes, registers, 2]: what the lanes of a warp have in four registers after `body`."""
    text = kernel(WRITE + body + STORE, 2).replace(".visible", ".extern .shared .align 16 .b8 memory[];\n.visible")
    result = np.zeros((32, 4, 2), np.uint16)
    launch(text, Grid(1, 32, 32 * PITCH), [np.ascontiguousarray(rows), result])
    return result


def numbered() -> Array:
    """uint16[32, 8]: four matrices below each other, all elements different."""
    return np.arange(256, dtype=np.uint16).reshape(32, 8)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_lanes_get_the_elements_that_the_manual_names(count: int, transposed: bool) -> None:
    registers = ", ".join(f"%r{5 + number}" for number in range(count))
    trans = ".trans" if transposed else ""
    clear = " ".join(f"mov.b32 %r{number}, 0;" for number in range(5, 9))
    load = f"ldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {{{registers}}}, [%rd5];"
    got = run(f"{clear} bar.warp.sync -1; {load}", numbered())
    matrices = numbered().reshape(4, 8, 8)
    for lane in range(32):
        group, place = divmod(lane, 4)
        for number in range(count):
            matrix = matrices[number].T if transposed else matrices[number]
            assert got[lane, number].tolist() == matrix[group, 2 * place : 2 * place + 2].tolist()
        assert not got[lane, count:].any()


def test_rows_come_from_wherever_their_lanes_say() -> None:
    """Lane i of eight says where row i of its matrix is: here in the reverse order."""
    body = f"""
  bar.warp.sync -1;
  xor.b32 %r9, %r0, 31; cvt.u64.u32 %rd7, %r9; mad.lo.s64 %rd8, %rd7, {PITCH}, %rd4;
  ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r5, %r6, %r7, %r8}}, [%rd8];
"""
    got = run(body, numbered())
    expected = numbered()[::-1].reshape(4, 8, 4, 2).transpose(1, 2, 0, 3)
    np.testing.assert_array_equal(got.reshape(8, 4, 4, 2), expected)


def test_fragments_are_those_that_products_take() -> None:
    """16 x 16 times 16 x 8 of f16: the left side by rows, the right side [k][n] and so transposed."""
    rng = np.random.default_rng(0)
    left, right = (rng.integers(-8, 8, shape).astype(np.float16) for shape in ((16, 16), (16, 8)))
    tiles = left.reshape(2, 8, 2, 8).transpose(2, 0, 1, 3)  # by halves of k, then of rows
    body = f"""
  bar.warp.sync -1;
  mov.b32 %f0, 0;
  ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r5, %r6, %r7, %r8}}, [%rd5];
  ld.param.u64 %rd9, [p1];
  bar.warp.sync -1;
  and.b32 %r9, %r0, 15; cvt.u64.u32 %rd7, %r9;
  mad.lo.s64 %rd3, %rd7, 16, %rd1; ld.global.v4.b32 {{%r1, %r2, %r3, %r4}}, [%rd3+512];
  mad.lo.s64 %rd8, %rd7, {PITCH}, %rd4; st.shared.v4.b32 [%rd5], {{%r1, %r2, %r3, %r4}};
  bar.warp.sync -1;
  ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {{%r10, %r11}}, [%rd8];
  mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
    {{%r12, %r13, %r14, %r15}}, {{%r5, %r6, %r7, %r8}}, {{%r10, %r11}}, {{%f0, %f0, %f0, %f0}};
  mov.b32 %r5, %r12; mov.b32 %r6, %r13; mov.b32 %r7, %r14; mov.b32 %r8, %r15;
"""
    rows = np.concatenate([tiles.reshape(32, 8), right, np.zeros((16, 8), np.float16)]).view(np.uint16)
    sums = run(body, rows).view(np.float32).reshape(8, 4, 2, 2)
    product = (left.astype(np.float32) @ right.astype(np.float32)).reshape(2, 8, 4, 2)
    np.testing.assert_array_equal(sums, product.transpose(1, 2, 0, 3))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("bar.warp.sync -1; add.u64 %rd5, %rd5, 8;", "not aligned to 16 bytes"),
        ("bar.warp.sync -1; add.u64 %rd5, %rd5, 16;", "shared memory nobody wrote"),
        ("bar.warp.sync -1; mov.u64 %rd5, %rd1;", "the window has 1536 bytes"),
        ("", "a race: written by another thread"),
        ("bar.warp.sync -1; setp.ge.u32 %p1, %r0, 8; @%p1", "is executed by a part of its warp"),
    ],
)
def test_what_is_wrong_is_told(body: str, reason: str) -> None:
    load = "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r5, %r6, %r7, %r8}, [%rd5];"
    with pytest.raises(DeviceError, match=rf"kernel k, block 0, thread \d+: ldmatrix.*{reason}"):
        run(f"{body} {load}", numbered())


def test_what_lanes_before_have_read_may_not_be_overwritten_at_once() -> None:
    body = """
  bar.warp.sync -1;
  ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r5, %r6, %r7, %r8}, [%rd5];
  st.shared.v4.b32 [%rd5], {%r1, %r2, %r3, %r4};
"""
    with pytest.raises(DeviceError, match=r"st.shared.* a race: read by another thread"):
        run(body, numbered())
