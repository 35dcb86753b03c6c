"""A segment as one native function, which every thread of a call runs from the first step to the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...runtime.abi import INVOKE, WORKER, Call, run_entry
from ...runtime.artifact import BufferReference, Segment, Step
from ..target import Target
from .arithmetic import i64
from .emit import Function
from .kernel import Kernel
from .threads import BARRIER, TIME_STAMP, emit_threads, field
from .types import I32, I64, PTR, Value

_TRACE_BYTES = 16
"""Per step and thread: two time stamps."""


def emit_entries(
    segments: Sequence[Segment], kernels: Mapping[str, Kernel], target: Target
) -> tuple[str, dict[str, str]]:
    """One module with everything that an image is entered by, and the symbol of each of its entries (see `abi`).

    `kernels`, by name, are declared here and defined in other modules.
    """
    names = {step.kernel for segment in segments for step in segment.steps}
    texts = [_declaration(name, kernels[name]) for name in sorted(names)]
    entries = {INVOKE: INVOKE, WORKER: WORKER}
    for number, segment in enumerate(segments):
        symbol = f"run{number}"  # segments may be called anything
        entries[run_entry(segment.name)] = symbol
        texts.append(_emit_run(symbol, segment, kernels))
    return "\n".join([*texts, emit_threads(target)]), entries


def _declaration(name: str, kernel: Kernel) -> str:
    types = ["ptr"] * (kernel.operands + kernel.results) + ["i64"] * kernel.scalars
    return f"declare hidden void @{name}({', '.join([*types, 'ptr, i64, i64'])}) nounwind\n"


def _emit_run(symbol: str, segment: Segment, kernels: Mapping[str, Kernel]) -> str:
    f = Function(symbol, [(PTR, "call"), (I64, "thread")], linkage="hidden")
    call, thread = f.arguments
    run = _Run(f, call, thread, segment.table_size > 0)
    barriers = barriers_before(segment.steps, {name: kernel.results for name, kernel in kernels.items()})
    for number, step in enumerate(segment.steps):
        if number in barriers:
            run.barrier()
        run.mark(number, 0)
        run.step(step)
        run.mark(number, 1)
    # The caller may read the outputs, and the next call reuse the arena, only when all are done.
    run.barrier()
    return f.text()


class _Run:
    """Emits the steps of one run; everything that is the same for all of them is loaded once."""

    def __init__(self, f: Function, call: Value, thread: Value, has_table: bool) -> None:
        self.f = f
        self.thread = thread
        self.spaces = {
            "arena": self._load(call, PTR, "arena"),
            "constants": self._load(call, PTR, "constants"),
        }
        self.slots = {"input": self._load(call, PTR, "inputs"), "output": self._load(call, PTR, "outputs")}
        self.table = self._load(call, PTR, "table") if has_table else f.zero(PTR)
        self.threads = self._load(call, I64, "threads")
        stride = self._load(call, I64, "scratch_stride")
        self.scratch = f.gep(self._load(call, PTR, "scratch"), f.mul(thread, stride))
        self.waiting = self._load(call, PTR, "barrier")
        self.together = f.icmp("ne", self.threads, i64(1))
        self.trace = self._load(call, PTR, "trace")
        self.traced = f.icmp("ne", self.trace, f.zero(PTR))

    def _load(self, call: Value, type: str, name: str) -> Value:
        return self.f.load(type, field(self.f, call, Call, name))

    def _address(self, reference: BufferReference) -> Value:
        base = self.spaces.get(reference.space)
        if base is None:
            base = self.f.load(PTR, self.f.gep(self.slots[reference.space], 8 * reference.index))
        offset = reference.offset
        if reference.slot < 0:
            return self.f.gep(base, offset)
        return self.f.gep(self.f.gep(base, self._entry(reference.slot)), offset)

    def _entry(self, number: int) -> Value:
        """An entry of the call's table."""
        return self.f.load(I64, self.f.gep(self.table, 8 * number))

    def step(self, step: Step) -> None:
        buffers = [self._address(reference) for reference in step.buffers]
        scalars = [self._entry(number) for number in (*step.scalars, *step.dims)]
        self.f.call("void", step.kernel, [*buffers, *scalars, self.scratch, self.thread, self.threads])

    def barrier(self) -> None:
        f = self.f
        with f.if_(self.together):
            f.call("void", BARRIER, [self.waiting, f.cast("trunc", self.threads, I32)])

    def mark(self, step: int, end: int) -> None:
        """Writes the time stamp counter to trace[step][thread][end]."""
        f = self.f
        with f.if_(self.traced):
            row = f.add(f.mul(i64(step), self.threads), self.thread)
            place = f.gep(self.trace, f.add(f.mul(row, i64(_TRACE_BYTES)), i64(8 * end)))
            f.store(f.call(I64, TIME_STAMP, []), place)


def barriers_before(steps: Sequence[Step], results: Mapping[str, int]) -> set[int]:
    """The steps that must wait until all threads have finished the steps before.

    A step needs no barrier if, since the last one, nothing was written that it reads or writes, and nothing read that
    it writes. `results` maps kernels to how many of a step's buffers, its last, are written.
    """
    waits: set[int] = set()
    read: list[BufferReference] = []
    written: list[BufferReference] = []
    for number, step in enumerate(steps):
        first = len(step.buffers) - results[step.kernel]
        operands, outputs = step.buffers[:first], step.buffers[first:]
        if _overlap(written, step.buffers) or _overlap(read, outputs):
            waits.add(number)
            read, written = [], []
        read.extend(reference for reference in operands if reference.space == "arena")
        written.extend(outputs)
    return waits


def _overlap(earlier: Sequence[BufferReference], later: Sequence[BufferReference]) -> bool:
    return any(_meet(a, b) for a in earlier for b in later)


def _meet(a: BufferReference, b: BufferReference) -> bool:
    """Whether two buffers may share bytes. Those at different slots do not: plan-memory gives each part of the arena
    whose place a call decides a slot of its own, behind what has none."""
    if (a.space, a.index, a.slot) != (b.space, b.index, b.slot):
        return False
    return (b.size < 0 or a.offset < b.offset + b.size) and (a.size < 0 or b.offset < a.offset + a.size)
