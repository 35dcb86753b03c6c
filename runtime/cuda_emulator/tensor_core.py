"""mma.sync (PTX ISA 8.5, chapter 9.7.14.5): a warp's fragments become matrices, are multiplied, and go back to lanes.

Sums of floats are made in f64 with the accumulator and rounded to f32 once an instruction. Hardware adds products in an
order, and cuts off bits below the largest, that NVIDIA does not document: it is less exact, and differs between
generations. Results of one instruction differ by no more than the sum of the products' magnitudes times 2**-22 (Fasi,
Higham, Mikaitis and Pranesh, "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science 7, 2021).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from ..errors import DeviceError
from .memory import Array
from .program import WARP, Mask, Program, Step, unknown
from .ptx import Instruction, Vector

_ELEMENTS: dict[str, tuple[type[Any], str]] = {
    "f16": (np.float16, "f32"),
    "bf16": (ml_dtypes.bfloat16, "f32"),
    "tf32": (np.float32, "f32"),
    "s8": (np.int8, "s32"),
    "u8": (np.uint8, "s32"),
}
"""The numpy type of the elements, and of their sums."""

_SHAPES = {
    "f16": ("m16n8k8", "m16n8k16"),
    "bf16": ("m16n8k8", "m16n8k16"),
    "tf32": ("m16n8k4", "m16n8k8"),
    "s8": ("m8n8k16", "m16n8k16", "m16n8k32"),
    "u8": ("m8n8k16", "m16n8k16", "m16n8k32"),
}


def decode_mma(program: Program, instruction: Instruction) -> Step:
    """mma.sync.aligned.SHAPE.row.col.SUMS.LEFT.RIGHT.SUMS of the types above."""
    match instruction.modifiers:
        case ["sync", "aligned", shape, "row", "col", result, left, right, sums]:
            pass
        case _:
            raise unknown(instruction)
    element, kind = _ELEMENTS.get(left, (None, ""))
    if element is None or left != right or (result, sums) != (kind, kind) or shape not in _SHAPES[left]:
        raise unknown(instruction)
    m, _, k = (int(size) for size in re.findall(r"\d+", shape))
    words = k * np.dtype(element).itemsize // 4
    halves, groups = m // 8, words // 4
    destination, *sources = instruction.operands
    counts = [halves * groups, groups, 2 * halves]
    operands = [each.elements if isinstance(each, Vector) else (each,) for each in sources]
    results = destination.elements if isinstance(destination, Vector) else (destination,)
    if [len(each) for each in operands] != counts or len(results) != counts[2]:
        raise unknown(instruction)
    reads = [[program.read(register, "b32") for register in each] for each in operands]
    writes = [program.write(register, kind) for register in results]
    multiply = multiply_floats if kind == "f32" else multiply_integers
    rounds = left == "tf32"

    def matrix(values: list[Callable[[], Any]], rows: int) -> Array:
        """[warps, rows, k] of the elements; register i of lane (g, t) is word t + 4 (i / halves) of row g + 8 (i mod
        halves)."""
        found = np.empty((program.lanes // WARP, rows, words), np.uint32)
        lines = rows // 8
        for number, read in enumerate(values):
            group, half = divmod(number, lines)
            part = np.broadcast_to(np.asarray(read()), (program.lanes,)).reshape(-1, 8, 4)
            found[:, 8 * half : 8 * half + 8, 4 * group : 4 * group + 4] = part
        if rounds:  # the hardware reads the upper 19 bits
            found &= np.uint32(0xFFFFE000)
        return found.view(element)

    def run(mask: Mask) -> None:
        check_whole_warps(program, instruction, mask)
        left, right = matrix(reads[0], m), matrix(reads[1], 8)
        products = multiply(left, right)
        for number, (read, write) in enumerate(zip(reads[2], writes, strict=True)):
            half, column = divmod(number, 2)
            part = products[:, 8 * half : 8 * half + 8, column::2].reshape(-1)
            before = np.broadcast_to(np.asarray(read()), (program.lanes,))
            write(add_sums(before, part, kind), mask)

    return run


def multiply_floats(left: Array, right: Array) -> Array:
    """[warps, m, n] in f64, which holds every product and loses next to nothing of sums of a few."""
    return left.astype(np.float64) @ right.astype(np.float64).swapaxes(1, 2)


def multiply_integers(left: Array, right: Array) -> Array:
    """[warps, m, n]: sums of 32 products of bytes are exact in f32."""
    return left.astype(np.float32) @ right.astype(np.float32).swapaxes(1, 2)


def add_sums(before: Array, part: Array, kind: str) -> Array:
    if kind == "f32":
        return (before.view(np.float32).astype(np.float64) + part).astype(np.float32)
    return before.view(np.int32) + part.astype(np.int32)  # wraps, as without .satfinite


def check_whole_warps(program: Program, instruction: Instruction, mask: Mask) -> None:
    """An instruction of the whole warp has to be executed by all of it."""
    if program.grid.threads % WARP == 0:
        if mask is None:
            return
        active = mask.reshape(-1, WARP)
        wrong = np.flatnonzero(active.any(axis=1) & ~active.all(axis=1))
        if not wrong.size:
            return
        lane = int(wrong[0]) * WARP
    else:
        lane = 0
    raise DeviceError(
        f"kernel {program.kernel.name}, {program.describe(lane)}: {instruction.name} (PTX line {instruction.line}) "
        "is executed by a part of its warp"
    )
