"""How near the matrix kernels come to what the processor can multiply: `python -m benchmarks.microkernels`.

The peak of each instruction is measured, not looked up: loops over registers only, no memory touched. The kernels are
those that the compiler makes for M = N = K = 512, 1024 and 2048 with a constant right side; each thread repeats
its share, so that what is timed is the kernel and not the waking of threads. Every figure is the best of
`--rounds` rounds of peaks and kernels in turn. The exit code of `--check` tells whether all reach their share.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tosaic.lowering.codegen import compile_region
from tosaic.lowering.codegen.assemble import assemble
from tosaic.lowering.codegen.emit import Function
from tosaic.lowering.codegen.image import link
from tosaic.lowering.codegen.types import Value
from tosaic.lowering.contraction import Contraction
from tosaic.lowering.dialects.dispatch import RegionOp, YieldOp
from tosaic.lowering.dialects.tiled import MatmulOp
from tosaic.lowering.ir import byte_size
from tosaic.lowering.target import Target, resolve_target
from tosaic.runtime.devices.memory import Memory, map_code
from xdsl.dialects.builtin import TensorType, bf16, f32, i8, i32
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Attribute

SIZES = (512, 1024, 2048)
PEAK_STEPS, CHAINS = 50_000, 16
SLACK = 64
"""Readable bytes after every buffer, as in the arena."""


@dataclass(frozen=True)
class Arithmetic:
    """Element types of a matrix product, the instruction that computes it, and the share of its peak to reach."""

    name: str
    operand: Attribute
    result: Attribute
    target_share: float
    products_per_lane: int
    step: Callable[[Function, Value, Value], Value]


def _fma(f: Function, sums: Value, factor: Value) -> Value:
    return f.fma(factor, factor, sums)


def _dot(name: str, operand: str) -> Callable[[Function, Value, Value], Value]:
    def step(f: Function, sums: Value, factor: Value) -> Value:
        bits = f.bitcast(factor, operand)
        return f.instruction(name, sums, bits, bits)

    return step


def arithmetics(target: Target) -> list[Arithmetic]:
    """What `target` has instructions for."""
    found = [Arithmetic("f32", f32, f32, 0.92, 1, _fma)]
    if target.vnni:
        found.append(Arithmetic("i8", i8, i32, 0.88, 4, _dot("vpdpbusd", f"<{target.vector_bits // 8} x i8>")))
    if target.bf16:
        found.append(
            Arithmetic("bf16", bf16, f32, 0.88, 2, _dot("vdpbf16ps", f"<{target.vector_bits // 16} x bfloat>"))
        )
    return found


@dataclass
class Work:
    """Native code, run by `threads` threads at once; `best` is the highest rate seen, in 1e9 operations a second."""

    text: str
    target: Target
    buffers: Sequence[int]
    scratch_bytes: int
    operations: int
    threads: int
    repeats: int = 1
    best: float = 0.0
    memory: list[Memory] = field(default_factory=list)

    def __post_init__(self) -> None:
        linked = link([assemble(self.text, self.target)])
        code = map_code(linked.code)
        scratches = [Memory(self.scratch_bytes + SLACK) for _ in range(self.threads)]
        shared = [Memory(size + SLACK) for size in self.buffers]
        self.memory = [code, *shared, *scratches]
        count = len(shared) + 1
        types = [ctypes.c_void_p] * count + [ctypes.c_int64] * 2
        function = ctypes.CFUNCTYPE(None, *types)(code.address + linked.symbols["work"])
        self._calls = [
            (function, [*(buffer.address for buffer in shared), scratch.address, thread, self.threads])
            for thread, scratch in enumerate(scratches)
        ]

    def round(self) -> None:
        """Runs all threads' shares and keeps the rate if it is the best."""
        barrier = threading.Barrier(self.threads + 1)
        workers = [threading.Thread(target=self._run, args=(*call, barrier)) for call in self._calls]
        for worker in workers:
            worker.start()
        barrier.wait()
        begin = time.perf_counter()
        for worker in workers:
            worker.join()
        elapsed = time.perf_counter() - begin
        self.best = max(self.best, self.operations * self.repeats / elapsed / 1e9)

    def _run(self, function: Callable[..., None], arguments: Sequence[int], barrier: threading.Barrier) -> None:
        barrier.wait()
        for _ in range(self.repeats):
            function(*arguments)


def peak(arithmetic: Arithmetic, target: Target, threads: int) -> Work:
    """Independent chains of the instruction, every thread all of them."""
    lanes = target.vector_bits // 32
    f = Function("work", [("ptr", "out"), ("ptr", "scratch"), ("i64", "thread"), ("i64", "threads")], linkage="hidden")
    type = f"<{lanes} x {'i32' if arithmetic.result == i32 else 'float'}>"
    factor = f.load(type, f.arguments[1])
    with f.loop(0, PEAK_STEPS, carried=[factor] * CHAINS) as loop:
        loop.yield_(*(arithmetic.step(f, value, factor) for value in loop.values))
    for i, value in enumerate(loop.results):
        f.store(value, f.gep(f.arguments[1], i * target.vector_bits // 8))
    operations = 2 * PEAK_STEPS * CHAINS * lanes * arithmetic.products_per_lane * threads
    return Work(f.text(), target, [8], CHAINS * target.vector_bits // 8, operations, threads)


def cube(arithmetic: Arithmetic, target: Target, size: int, threads: int) -> Work:
    """The kernel of a size x size x size product with the tile that the target chooses."""
    operand, result = arithmetic.operand, arithmetic.result
    tile = target.tile(Contraction("matmul", operand, operand, result, 1, size, size, size, size))
    right = TensorType(operand, [-(-size // tile.n0), -(-size // tile.k0), tile.n0, tile.k0])
    types = [TensorType(operand, [size, size]), right]
    product_type = TensorType(result, [size, size])
    region = RegionOp([EmptyOp([], type).tensor for type in types], [product_type])
    lhs, rhs = region.body.block.args
    product = MatmulOp(lhs, rhs, product_type, tile.m0, tile.lhs_offset)
    region.body.block.add_ops([product, YieldOp(product.result)])
    kernel = compile_region(region, target, "work")
    buffers = [byte_size(type) for type in (*types, product_type)]
    repeats = max(1, (1024 // size) ** 3)
    return Work(kernel.text, target, buffers, kernel.scratch_bytes, 2 * size**3, threads, repeats)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--target", default="host")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a share is missed")
    options = parser.parse_args()
    target = resolve_target(options.target)
    missed = False
    print(f"{'type':6}{'threads':>8}{'size':>6}{'G/s':>9}{'peak':>9}{'share':>8}")
    for arithmetic in arithmetics(target):
        for threads in options.threads:
            limit = peak(arithmetic, target, threads)
            cubes = {size: cube(arithmetic, target, size, threads) for size in options.sizes}
            for _ in range(options.rounds):
                for work in (limit, *cubes.values()):
                    work.round()
            for size, work in cubes.items():
                share = work.best / limit.best
                short = share < arithmetic.target_share
                missed |= short
                note = f"  below {arithmetic.target_share:.0%}" if short else ""
                print(f"{arithmetic.name:6}{threads:8}{size:6}{work.best:9.1f}{limit.best:9.1f}{share:8.1%}{note}")
    return int(options.check and missed)


if __name__ == "__main__":
    sys.exit(main())
