"""Runs machine code of AArch64 and RISC-V under qemu-user, without a compiler or library for them.

A call becomes a static ELF executable of our own making: the code, every buffer at the end of pages with nothing
behind it, and a start that makes the call, writes the buffers that may have changed to standard output and exits. An
access outside of the buffers ends the process with a signal, which fails the test.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tosaic.lowering.codegen.assemble import assemble
from tosaic.lowering.codegen.image import link
from tosaic.lowering.codegen.relocations import AARCH64, RISCV
from tosaic.lowering.codegen.system import system_module
from tosaic.lowering.target import Target

PAGE = 4096
_START, _CODE, _BUFFERS = 0x1000_0000, 0x2000_0000, 0x4000_0000
_WRITE, _EXIT_GROUP = 64, 94
"""System calls of include/uapi/asm-generic/unistd.h."""
_STACK_BYTES = 1 << 20
_SECONDS = 300

_EMULATORS = {"aarch64": "qemu-aarch64", "riscv64": "qemu-riscv64"}
_MACHINES = {"aarch64": AARCH64, "riscv64": RISCV}

_SPAWN = {
    # mov x9, x1; mov x10, x2; mov x11, x3; mov x1, x0; mov w0, #0x50f00; mov x2..x4, #0; mov x8, #220; svc #0;
    # cbnz x0, 1f; mov x0, x10; mov x1, x11; blr x9; mov x8, #93; svc #0; 1: ret
    "aarch64": (
        *(0xAA0103E9, 0xAA0203EA, 0xAA0303EB, 0xAA0003E1, 0xD281E000, 0xF2A000A0, 0xD2800002, 0xD2800003, 0xD2800004),
        *(0xD2801B88, 0xD4000001, 0xB50000C0, 0xAA0A03E0, 0xAA0B03E1, 0xD63F0120, 0xD2800BA8, 0xD4000001, 0xD65F03C0),
    ),
    # mv a5, a1; mv a6, a2; mv t1, a3; mv a1, a0; li a0, 0x50f00; li a2..a4, 0; li a7, 220; ecall;
    # bnez a0, 1f; mv a0, a6; mv a1, t1; jalr a5; li a7, 93; ecall; 1: ret
    "riscv64": (
        *(0x00058793, 0x00060813, 0x00068313, 0x00050593, 0x00051537, 0xF0050513, 0x00000613, 0x00000693, 0x00000713),
        *(0x0DC00893, 0x00000073, 0x00051C63, 0x00080513, 0x00030593, 0x000780E7, 0x05D00893, 0x00000073, 0x00008067),
    ),
}
"""spawn(stack, function, a, b): clone(2) of a thread that calls function(a, b) on `stack` and ends."""


class EmulatorError(Exception):
    """The emulator failed by itself: qemu 7.2 does at vector conversions of RISC-V that name a rounding mode."""


@dataclass
class Buffer:
    """`data` in the emulated memory, from `address` on: read-only, or writable and then as the call left it."""

    address: int
    data: bytes
    writable: bool


@dataclass
class Space:
    """The buffers of a call, each followed by `slack` readable bytes and then by unmapped memory."""

    buffers: list[Buffer] = field(default_factory=list)
    _next: int = _BUFFERS

    def add(self, data: bytes, *, writable: bool = False, alignment: int = 1, slack: int = 0) -> Buffer:
        size = -(-(len(data) + slack) // alignment) * alignment
        pages = -(-max(size, 1) // PAGE) * PAGE
        buffer = Buffer(self._next + pages - size, data + bytes(size - len(data)), writable)
        self._next += pages + 16 * PAGE
        self.buffers.append(buffer)
        return buffer


@dataclass(frozen=True)
class Worker:
    """A thread beside the one that makes the call: function(pool, 1)."""

    function: int
    pool: int


def processor(target: Target) -> str:
    """The least of qemu's processors that has the target's features, so that code that uses more is caught."""
    if target.architecture == "riscv64":
        vectors = ",v=true,vext_spec=v1.0,vlen=128" if target.has("v") else ",v=false"
        return "rv64" + vectors + (",Zfh=true" if target.has("zfh") else "")
    if target.has("bf16") or target.has("i8mm"):
        return "max"
    return "cortex-a76" if target.has("dotprod") or target.has("fullfp16") else "cortex-a53"


def emulator_of(target: Target) -> str:
    """The emulator's path; skips the test where it is not installed."""
    name = _EMULATORS[target.architecture]
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (package qemu-user)")
    return path


def call(
    target: Target, code: bytes, entry: int, arguments: Sequence[int], space: Space, worker: Worker | None = None
) -> None:
    """Calls the function at offset `entry` of `code` with integers and addresses; updates the writable buffers.

    Offsets in `worker` are those of the code, too.
    """
    emulator = emulator_of(target)
    text = _start(target, _CODE + entry, arguments, space, worker)
    linked = link([assemble(text, target)])
    executable = _elf(
        _MACHINES[target.architecture],
        _START + linked.symbols["_start"],
        [
            (_START, linked.code, 5),
            (_CODE, code, 5),
            *((b.address, b.data, 6 if b.writable else 4) for b in space.buffers),
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "call"
        path.write_bytes(executable)
        path.chmod(0o700)
        command = [emulator, "-cpu", processor(target), str(path)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)
    if b"Assertion `" in done.stderr:
        raise EmulatorError(done.stderr.decode(errors="replace"))
    assert done.returncode == 0, f"{target.name}: {done.returncode} {done.stderr.decode(errors='replace')}"
    written = 0
    for buffer in space.buffers:
        if buffer.writable:
            buffer.data = done.stdout[written : written + len(buffer.data)]
            written += len(buffer.data)
    assert written == len(done.stdout)


def address_of(offset: int) -> int:
    """Where a function of the code lies."""
    return _CODE + offset


def _start(target: Target, entry: int, arguments: Sequence[int], space: Space, worker: Worker | None) -> str:
    lines = [system_module(target), "define hidden void @_start() nounwind {"]
    if worker is not None:
        words = _SPAWN[target.architecture]
        literal = ", ".join(f"i32 {word}" for word in words)
        lines.insert(1, f"@spawn = internal constant [{len(words)} x i32] [{literal}], align 4")
        stack = space.add(bytes(16), slack=_STACK_BYTES, alignment=16)
        stack.writable = True
        top = stack.address + len(stack.data)
        lines.append(f"  call i64 @spawn(i64 {top}, i64 {worker.function + _CODE}, i64 {worker.pool}, i64 1)")
    passed = ", ".join(f"i64 {argument}" for argument in arguments)
    lines.append(f"  call void inttoptr (i64 {entry} to ptr)({passed})")
    for buffer in space.buffers:
        if buffer.writable:
            values = (1, buffer.address, len(buffer.data), 0, _WRITE)
            lines.append(f"  call i64 @system_call({', '.join(f'i64 {value}' for value in values)})")
    lines.append(f"  call i64 @system_call(i64 0, i64 0, i64 0, i64 0, i64 {_EXIT_GROUP})\n  unreachable\n}}")
    return "\n".join([*lines, ""])


def _elf(machine: int, entry: int, segments: Sequence[tuple[int, bytes, int]]) -> bytes:
    """A static executable of (address, contents, ELF segment flags)."""
    headers, contents = bytearray(), bytearray()
    first = -(-(64 + 56 * len(segments)) // PAGE) * PAGE
    for address, data, flags in segments:
        contents.extend(bytes((address - len(contents)) % PAGE))
        offset = first + len(contents)
        headers += struct.pack("<IIQQQQQQ", 1, flags, offset, address, address, len(data), len(data), PAGE)
        contents.extend(data)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = identity + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
    return (header + headers).ljust(first, b"\0") + contents
