"""Barriers in shared memory that count arrivals and bytes (PTX ISA 8.5, chapter 9.7.13.15), and bulk copies to them.

A barrier is 8 bytes. Its phase ends when as many threads arrived as it was made for and all bytes that they expect have
come; phases are told apart by their parity, 0 for the first. One thread starts a copy, the copy engine does the rest.
"""

from __future__ import annotations

from ..emit import Function
from ..types import I32, Value
from .assembly import emit_ptx, shared_address

BYTES = 8
"""Of a barrier."""


def initialise(f: Function, barrier: Value, arrivals: int) -> None:
    """Makes a barrier whose phases take `arrivals` threads; one thread does, and `publish`es all barriers after."""
    emit_ptx(f, f"mbarrier.init.shared::cta.b64 [$0], {arrivals};", "r", [shared_address(f, barrier)])


def publish(f: Function) -> None:
    """Lets the copy engine see the barriers that this thread made; the block's barrier has to follow."""
    emit_ptx(f, "fence.mbarrier_init.release.cluster;", "", [])


def expect(f: Function, barrier: Value, size: int) -> None:
    """Arrives, and lets the phase wait for `size` more bytes."""
    text = f"mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], {size};"
    emit_ptx(f, text, "r", [shared_address(f, barrier)])


def arrive(f: Function, barrier: Value) -> None:
    emit_ptx(f, "mbarrier.arrive.shared::cta.b64 _, [$0];", "r", [shared_address(f, barrier)])


def wait(f: Function, barrier: Value, parity: Value) -> None:
    """Until the phase of `parity` (i32) has ended: whoever waits for 1 of a new barrier need not wait."""
    address, again, done = shared_address(f, barrier), f.label("wait"), f.label("arrived")
    f.branch(again)
    f.place(again)
    text = "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [$1], $2; selp.b32 $0, 1, 0, p; }"
    ended = emit_ptx(f, text, "=r,r,r", [address, parity], I32)
    f.branch_if(f.icmp("ne", ended, f.const(I32, 0)), done, again)
    f.place(done)


def copy_bytes(f: Function, destination: Value, source: Value, size: int, barrier: Value) -> None:
    """`size` bytes that lie together in global memory, all three multiples of 16."""
    text = f"cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1], {size}, [$2];"
    address = f.emit("ptr addrspace(1)", f"addrspacecast ptr {source.text} to ptr addrspace(1)")
    emit_ptx(f, text, "r,l,r", [shared_address(f, destination), address, shared_address(f, barrier)])


def copy_box(f: Function, destination: Value, tensor_map: Value, column: Value, row: Value, barrier: Value) -> None:
    """The box of a matrix whose first element is at `row` and `column` (i32); what is outside of it comes as zeros."""
    text = (
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [$0], [$1, {$2, $3}], [$4];"
    )
    operands = [shared_address(f, destination), tensor_map, column, row, shared_address(f, barrier)]
    emit_ptx(f, text, "r,l,r,r,r", operands)
