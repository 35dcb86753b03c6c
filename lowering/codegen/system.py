"""What code asks of its processor and of Linux outside of arithmetic: system calls, time stamps, pauses.

LLVM assembles inline assembly only for the machine it runs on. What it has no intrinsic for on other architectures is
therefore a function given as its machine code, a constant of the image, which is mapped executable as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...runtime.errors import UnsupportedError
from ..target import Target
from .arithmetic import i64
from .emit import Function
from .types import I64, Value

SystemCall = Literal["sched_yield", "futex"]

_CALL, _PAUSE = "system_call", "pause"
"""Functions given as machine code: a system call (four arguments, then the number), and a pause."""


@dataclass(frozen=True)
class _System:
    """Linux on one architecture.

    numbers: of system calls. code: functions as instructions; a system call without one is inline assembly.
    pause: the intrinsic or function that tells the processor of waiting.
    ticks: reads a counter of constant frequency that user space may read, which ticks `frequency` times a second, by
        order of magnitude, or as often as the instruction `frequency` says.
    """

    numbers: dict[SystemCall, int]
    code: dict[str, tuple[int, ...]]
    pause: str
    ticks: str
    frequency: int | str


_GENERIC: dict[SystemCall, int] = {"sched_yield": 124, "futex": 98}
"""include/uapi/asm-generic/unistd.h"""

_SYSTEMS = {
    # arch/x86/entry/syscalls/syscall_64.tbl
    "x86_64": _System(
        {"sched_yield": 24, "futex": 202}, {}, "llvm.x86.sse2.pause()", "llvm.readcyclecounter()", 2_500_000_000
    ),
    # mov x8, x4; svc #0; ret. An instruction barrier takes about as long as x86's pause, `yield` no time at all.
    "aarch64": _System(
        _GENERIC,
        {_CALL: (0xAA0403E8, 0xD4000001, 0xD65F03C0)},
        "llvm.aarch64.isb(i32 15)",
        'llvm.read_volatile_register.i64(metadata !{!"cntvct_el0"})',
        'llvm.read_register.i64(metadata !{!"cntfrq_el0"})',
    ),
    # mv a7, a4; ecall; ret. The pause is a hint that processors without Zihintpause ignore: LLVM refuses it there.
    "riscv64": _System(
        _GENERIC,
        {_CALL: (0x00070893, 0x00000073, 0x00008067), _PAUSE: (0x0100000F, 0x00008067)},
        f"{_PAUSE}()",
        "llvm.readsteadycounter()",
        10_000_000,
    ),
}


def system_module(target: Target) -> str:
    """The definitions that `system_call` needs, once per module. Raises UnsupportedError for an unknown system."""
    lines = []
    for name, instructions in _system(target).code.items():
        words = ", ".join(f"i32 {word}" for word in instructions)
        lines.append(f"@{name} = internal constant [{len(instructions)} x i32] [{words}], align 4\n")
    return "".join(lines)


def system_call(f: Function, target: Target, name: SystemCall, arguments: Sequence[Value] = ()) -> None:
    """A system call of at most four arguments whose result does not matter."""
    system = _system(target)
    number = system.numbers[name]
    if _CALL in system.code:
        padded = [*arguments, *[i64(0)] * (4 - len(arguments)), i64(number)]
        f.call(I64, _CALL, padded)
        return
    registers = ("{rdi}", "{rsi}", "{rdx}", "{r10}")[: len(arguments)]
    constraints = ",".join(["={rax}", "{rax}", *registers, "~{rcx}", "~{r11}", "~{memory}"])
    operands = ", ".join(["i64 " + str(number), *(f"{a.type} {a.text}" for a in arguments)])
    f.emit(I64, f'call i64 asm sideeffect "syscall", "{constraints}"({operands})')


def pause(f: Function, target: Target) -> None:
    """Tells the processor that this thread is waiting in a loop."""
    f.line(f"call void @{_system(target).pause}")


def ticks(f: Function, target: Target) -> Value:
    """The time stamp counter: i64, of constant frequency."""
    return f.emit(I64, f"call i64 @{_system(target).ticks}")


def ticks_per(f: Function, target: Target, part: int) -> Value:
    """About how often the time stamp counter ticks in a second divided by `part`."""
    frequency = _system(target).frequency
    if isinstance(frequency, int):
        return i64(frequency // part)
    return f.udiv(f.emit(I64, f"call i64 @{frequency}"), i64(part))


def _system(target: Target) -> _System:
    if target.architecture not in _SYSTEMS:
        raise UnsupportedError("no code can be generated", [f"system calls of {target.triple}"])
    return _SYSTEMS[target.architecture]
