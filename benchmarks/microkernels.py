"""How near the matrix kernels come to what the processor can multiply: `python -m benchmarks.microkernels`.

The peak of each instruction is measured, not looked up: `tosaic.runtime.peak` loops over registers only, on one core;
n threads could reach n times that. The kernels are those that the compiler makes for M = N = K = 512, 1024 and 2048
with a constant right side; each thread repeats its share, so that what is timed is the kernel and not the waking of
threads. Every figure is the best of `--rounds` rounds. The exit code of `--check` tells whether all reach their share.
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
from tosaic.lowering.codegen.image import link
from tosaic.lowering.contraction import Contraction
from tosaic.lowering.dialects.dispatch import RegionOp, YieldOp
from tosaic.lowering.dialects.tiled import MatmulOp
from tosaic.lowering.ir import byte_size
from tosaic.lowering.target import Target, resolve_target
from tosaic.runtime.devices.memory import Memory, map_code
from tosaic.runtime.peak import measure_peaks
from xdsl.dialects.builtin import TensorType, bf16, f32, i8, i32
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Attribute

SIZES = (512, 1024, 2048)
ROUND_OPERATIONS = {"f32": 2e9, "i8": 8e9, "bf16": 4e9}
"""Multiply-adds per round: some 40 ms on one core, beside which starting and joining threads is nothing."""

SLACK = 64
"""Readable bytes after every buffer, as in the arena."""


@dataclass(frozen=True)
class Arithmetic:
    """Element types of a matrix product, what its peak is called, and the share of that to reach."""

    name: str
    peak: str
    operand: Attribute
    result: Attribute
    target_share: float


def arithmetics(target: Target) -> list[Arithmetic]:
    """What `target` has instructions for."""
    found = [Arithmetic("f32", "float32", f32, f32, 0.92)]
    if target.vnni:
        found.append(Arithmetic("i8", "int8", i8, i32, 0.88))
    if target.bf16:
        found.append(Arithmetic("bf16", "bfloat16", bf16, f32, 0.88))
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


def cube(arithmetic: Arithmetic, target: Target, size: int, threads: int) -> Work:
    """The kernel of a size x size x size product with the tile that the target chooses."""
    operand, result = arithmetic.operand, arithmetic.result
    tile = target.tile(Contraction("matmul", operand, operand, result, 1, size, size, size, size))
    assert tile is not None  # not that small
    right = TensorType(operand, [-(-size // tile.n0), -(-size // tile.k0), tile.n0, tile.k0])
    types = [TensorType(operand, [size, size]), right]
    product_type = TensorType(result, [size, size])
    region = RegionOp([EmptyOp([], type).tensor for type in types], [product_type])
    lhs, rhs = region.body.block.args
    product = MatmulOp(lhs, rhs, product_type, tile.m0, tile.lhs_offset)
    region.body.block.add_ops([product, YieldOp(product.result)])
    kernel = compile_region(region, target, "work")
    buffers = [byte_size(type) for type in (*types, product_type)]
    repeats = max(1, round(ROUND_OPERATIONS[arithmetic.name] / size**3))
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
    peaks = measure_peaks()
    for arithmetic in arithmetics(target):
        for threads in options.threads:
            limit = peaks[arithmetic.peak] / 1e9 * threads
            cubes = {size: cube(arithmetic, target, size, threads) for size in options.sizes}
            for _ in range(options.rounds):
                for work in cubes.values():
                    work.round()
            for size, work in cubes.items():
                share = work.best / limit
                short = share < arithmetic.target_share
                missed |= short
                note = f"  below {arithmetic.target_share:.0%}" if short else ""
                print(f"{arithmetic.name:6}{threads:8}{size:6}{work.best:9.1f}{limit:9.1f}{share:8.1%}{note}")
    return int(options.check and missed)


if __name__ == "__main__":
    sys.exit(main())
