"""Asynchronous copies arrive when they are waited for; who looks earlier is told."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.runtime.cuda_emulator.memory import AccessError
from tosaic.runtime.cuda_emulator.program import Grid

from .kernels import HEADER, Array, kernel, launch

_SHARED = HEADER + ".extern .shared .align 16 .b8 memory[];\n"

_START = """
  ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1]; mov.u64 %rd3, memory;
  mov.u32 %r1, %tid.x; mul.wide.u32 %rd4, %r1, {size};
  add.s64 %rd5, %rd1, %rd4; add.s64 %rd6, %rd3, %rd4; add.s64 %rd7, %rd2, %rd4;
"""
"""Addresses of this thread's `size` bytes in the input (%rd5), shared memory (%rd6) and the output (%rd7)."""

_OTHER = "xor.b32 %r2, %r1, 1; mul.wide.u32 %rd8, %r2, {size}; add.s64 %rd8, %rd3, %rd8;"
"""%rd8 is where its neighbour's lie in shared memory."""


def run(body: str, size: int = 16, threads: int = 64) -> tuple[Array, Array]:
    """(input, output) of bytes."""
    source = np.random.default_rng(0).integers(0, 256, threads * size, np.uint8)
    result = np.zeros_like(source)
    text = kernel((_START + body).replace("{size}", str(size)), 2).replace(HEADER, _SHARED)
    launch(text, Grid(1, threads, threads * size), [source, result])
    return source, result


@pytest.mark.parametrize(("size", "cache"), [(4, "ca"), (8, "ca"), (16, "ca"), (16, "cg")])
def test_what_was_waited_for_is_there(size: int, cache: str) -> None:
    load = {4: "ld.shared.b32 %r3, [%rd8]; st.global.b32 [%rd7], %r3;"}.get(
        size, "ld.shared.b64 %rd9, [%rd8]; st.global.b64 [%rd7], %rd9;"
    )
    if size == 16:
        load += "ld.shared.b64 %rd9, [%rd8+8]; st.global.b64 [%rd7+8], %rd9;"
    copy = f"cp.async.{cache}.shared.global [%rd6], [%rd5], {size};"
    source, result = run(f"{copy} cp.async.wait_all; bar.sync 0; {_OTHER} {load}", size)
    pairs = source.reshape(-1, 2, size)[:, ::-1]
    np.testing.assert_array_equal(result, pairs.reshape(-1))


@pytest.mark.parametrize("there", [0, 4, 5, 16])
def test_bytes_that_are_not_asked_for_are_zeros(there: int) -> None:
    body = f"""
      mov.u32 %r4, {there}; cp.async.cg.shared.global [%rd6], [%rd5], 16, %r4;
      cp.async.commit_group; cp.async.wait_group 0;
      ld.shared.v2.b64 {{%rd9, %rd10}}, [%rd6]; st.global.v2.b64 [%rd7], {{%rd9, %rd10}};"""
    source, result = run(body)
    expected = source.reshape(-1, 16).copy()
    expected[:, there:] = 0
    np.testing.assert_array_equal(result.reshape(-1, 16), expected)


def test_nothing_is_read_where_no_byte_is_asked_for() -> None:
    run("mov.u32 %r4, 0; mov.u64 %rd5, 0; cp.async.cg.shared.global [%rd6], [%rd5], 16, %r4;")
    with pytest.raises(AccessError, match="no allocation is there"):
        run("mov.u64 %rd5, 0; cp.async.cg.shared.global [%rd6], [%rd5], 16;")


def test_the_last_groups_may_be_on_their_way() -> None:
    first = "cp.async.ca.shared.global [%rd6], [%rd5], 4; cp.async.commit_group;"
    second = "cp.async.ca.shared.global [%rd6+4], [%rd5+4], 4; cp.async.commit_group;"
    look = "ld.shared.b32 %r3, [%rd6]; st.global.b32 [%rd7], %r3;"
    source, result = run(f"{first} {second} cp.async.wait_group 1; {look}")
    np.testing.assert_array_equal(result.reshape(-1, 16)[:, :4], source.reshape(-1, 16)[:, :4])
    with pytest.raises(AccessError, match="shared memory nobody wrote"):
        run(f"{first} {second} cp.async.wait_group 1; ld.shared.b32 %r3, [%rd6+4];")


_COPY = "cp.async.cg.shared.global [%rd6], [%rd5], 16; cp.async.commit_group;"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (f"{_COPY} ld.shared.b32 %r3, [%rd6];", r"block 0, thread 0: ld.shared.b32 .*shared memory nobody wrote"),
        (f"{_COPY} bar.sync 0; {_OTHER} ld.shared.b32 %r3, [%rd8];", "shared memory nobody wrote"),
        (f"{_COPY} cp.async.wait_group 0; {_OTHER} ld.shared.b32 %r3, [%rd8];", "a race: written by another thread"),
        (f"st.shared.b32 [%rd6], %r1; bar.sync 0; {_OTHER} ld.shared.b32 %r3, [%rd8]; {_COPY}", "a race: read by"),
        ("cp.async.cg.shared.global [%rd6], [%rd5+4], 16;", "cp.async.cg.shared.global .*not aligned to 16 bytes"),
        ("cp.async.cg.shared.global [%rd6+16], [%rd5], 16;", "the window has 1024 bytes"),
    ],
)
def test_what_is_wrong_is_named(body: str, error: str) -> None:
    with pytest.raises(AccessError, match=error):
        run(body)
