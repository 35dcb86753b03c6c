"""What one core reads in a second from each level of the memory, measured."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path

from tosaic.lowering.codegen.assemble import assemble
from tosaic.lowering.codegen.image import link
from tosaic.lowering.target import resolve_target
from tosaic.runtime.devices.memory import Memory, map_code

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_READ_BYTES = 64 << 20
"""Per measurement, in as many repetitions as it takes."""
_ROUNDS = 7
_UNROLL = 8
_MEMORY_FACTOR = 4
"""So many times the last cache is read to read from memory."""


@dataclass(frozen=True)
class Level:
    """A cache of so many bytes, or memory where `capacity` is infinite; `rate` is in bytes per second of one core."""

    name: str
    capacity: float
    rate: float


def measure_levels() -> list[Level]:
    """The caches and memory, nearest first. A cache is measured by half of what it holds."""
    caches = _cache_sizes()
    read = _Reader(_MEMORY_FACTOR * max(caches.values()))
    levels = [Level(name, size, read.rate(size // 2)) for name, size in caches.items()]
    return [*levels, Level("memory", float("inf"), read.rate(_MEMORY_FACTOR * max(caches.values())))]


def _cache_sizes() -> dict[str, int]:
    """Bytes by name, such as "L2", of caches that hold data."""
    sizes = {}
    for folder in sorted(_CACHES.glob("index*")):
        if (folder / "type").read_text().strip() != "Instruction":
            size = (folder / "size").read_text().strip()
            sizes[f"L{(folder / 'level').read_text().strip()}"] = int(size.removesuffix("K")) * 1024
    return sizes


class _Reader:
    """A loop of vector loads over the begin of a buffer."""

    def __init__(self, size: int) -> None:
        target = resolve_target("host")
        linked = link([assemble(_loop(target.vector_bits // 32), target)])
        self._code, self._buffer, self._sums = map_code(linked.code), Memory(size), Memory(4096)
        types = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
        self._read = ctypes.CFUNCTYPE(None, *types)(self._code.address + linked.symbols["work"])
        ctypes.memset(self._buffer.address, 1, size)

    def rate(self, size: int) -> float:
        """Bytes per second of the best of some rounds over the first `size` bytes."""
        repetitions = max(1, _READ_BYTES // size)
        best = float("inf")
        for _ in range(_ROUNDS):
            begin = time.perf_counter()
            self._read(self._buffer.address, size, repetitions, self._sums.address)
            best = min(best, time.perf_counter() - begin)
        return size * repetitions / best


def _loop(lanes: int) -> str:
    """LLVM IR: `work(buffer, bytes, repetitions, sums)` adds up all vectors, in several sums."""
    vector, step = f"<{lanes} x i32>", 4 * lanes
    sums = range(_UNROLL)
    lines = ["define void @work(ptr %buffer, i64 %bytes, i64 %repetitions, ptr %sums) {", "entry:", "  br label %outer"]
    lines += ["outer:", "  %n = phi i64 [0, %entry], [%m, %inner.end]"]
    lines += [f"  %o{i} = phi {vector} [zeroinitializer, %entry], [%t{i}, %inner.end]" for i in sums]
    lines += ["  br label %inner", "inner:", "  %at = phi i64 [0, %outer], [%next, %inner]"]
    for i in sums:
        lines.append(f"  %s{i} = phi {vector} [%o{i}, %outer], [%t{i}, %inner]")
    for i in sums:
        lines += [
            f"  %a{i} = add i64 %at, {i * step}",
            f"  %p{i} = getelementptr i8, ptr %buffer, i64 %a{i}",
            f"  %v{i} = load {vector}, ptr %p{i}, align {step}",
            f"  %t{i} = add {vector} %s{i}, %v{i}",
        ]
    lines += [f"  %next = add i64 %at, {_UNROLL * step}", "  %more = icmp ult i64 %next, %bytes"]
    lines += ["  br i1 %more, label %inner, label %inner.end", "inner.end:", "  %m = add i64 %n, 1"]
    lines += ["  %again = icmp ult i64 %m, %repetitions", "  br i1 %again, label %outer, label %end", "end:"]
    for i in sums:
        lines += [f"  %q{i} = getelementptr i8, ptr %sums, i64 {i * step}"]
        lines += [f"  store {vector} %t{i}, ptr %q{i}, align {step}"]
    return "\n".join([*lines, "  ret void", "}"])
