"""wgmma and setmaxnreg (PTX ISA 8.5, chapters 9.7.15 and 9.7.18.5): what the four warps of a warpgroup do together.

Products are computed as they are issued, from what is in shared memory by then, but sums get to their registers when
the warpgroup waits for them: until then reading those registers, or overwriting what is multiplied, is an error. Sums
are rounded as in `tensor_core`. Sides lie K-major, as their descriptors say, without a permutation or with that of
128 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import ml_dtypes
import numpy as np

from ..errors import DeviceError
from .flights import LANES, Flight
from .mbarrier import active_lanes
from .memory import SHARED_BASE, Array, OutOfBounds
from .order import WARP
from .program import Mask, Program, Reader, Step, unknown
from .ptx import Immediate, Instruction, Register, Vector
from .tensor_core import add_sums, multiply_floats, multiply_integers

_ELEMENTS = {
    "f16": (np.dtype(np.float16), "f32"),
    "bf16": (np.dtype(ml_dtypes.bfloat16), "f32"),
    "tf32": (np.dtype(np.float32), "f32"),
    "s8": (np.dtype(np.int8), "s32"),
}
_SCALES = {"f16": [1, 1, 0, 0], "bf16": [1, 1, 0, 0], "tf32": [1, 1], "s8": []}
"""Signs of both sides and how they lie, as far as an instruction is told: neither negated nor transposed."""

_ROWS = 64
_DEPTH_BYTES = 32
_PART = 16


def decode_wgmma(program: Program, instruction: Instruction) -> Step:
    """wgmma.fence, .commit_group, .wait_group and .mma_async of both sides from shared memory."""
    groups = program.warpgroups
    match instruction.modifiers:
        case ["fence", "sync", "aligned"]:
            return _each_group(program, instruction, groups.is_fenced.add)
        case ["commit_group", "sync", "aligned"]:

            def commit(first: int) -> None:
                groups.group[first] = groups.group.get(first, 0) + 1

            return _each_group(program, instruction, commit)
        case ["wait_group", "sync", "aligned"]:
            (kept,) = instruction.operands
            if isinstance(kept, Immediate) and isinstance(kept.value, int):
                count = kept.value
                return _each_group(program, instruction, lambda first: _land(program, first, count))
        case ["mma_async", "sync", "aligned", shape, kind, left, right]:
            if left == right and left in _ELEMENTS and kind == _ELEMENTS[left][1]:
                return _multiply(program, instruction, shape, left)
    raise unknown(instruction)


def _land(program: Program, first: int, kept: int) -> None:
    """Puts the sums of all but the last `kept` groups into their registers."""
    groups = program.warpgroups
    done, rest = [], []
    for flight in groups.flights.get(first, []):
        (done if flight.group < groups.group.get(first, 0) - kept else rest).append(flight)
    for flight in done:
        for number, name in enumerate(flight.registers):
            column = np.ascontiguousarray(flight.sums[:, number])
            program.registers[name][first : first + LANES] = column.view(np.uint32)
    groups.flights[first] = rest
    groups.is_fenced.discard(first)
    if not rest:
        block, warp = divmod(first, program.grid.threads)
        groups.has_read(block, warp // WARP)


def _multiply(program: Program, instruction: Instruction, shape: str, left: str) -> Step:
    """wgmma.mma_async.m64nNkK sums, left, right, whether to add to the sums, scales and transpositions (1, 1, 0, 0)."""
    sums, *descriptors, adds = instruction.operands[:4]
    element, kind = _ELEMENTS[left]
    m, columns, k = (int(size) for size in re.findall(r"\d+", shape))
    scales = [each.value if isinstance(each, Immediate) else None for each in instruction.operands[4:]]
    is_whole = m == _ROWS and columns % 8 == 0 and columns <= 256 and k * element.itemsize == _DEPTH_BYTES
    if not isinstance(sums, Vector) or not is_whole or scales != _SCALES[left]:
        raise unknown(instruction)
    registers = tuple(each.name for each in sums.elements if isinstance(each, Register))
    if len(registers) != columns // 2 or not isinstance(adds, Register):
        raise unknown(instruction)
    reads = [program.read(each, "u64") for each in descriptors]
    add = program.predicate(adds.name)
    multiply = multiply_floats if kind == "f32" else multiply_integers
    groups = program.warpgroups

    def matrix(first: int, read: Reader, lines: int) -> Array:
        block, in_block = divmod(first, program.grid.threads)
        values = np.broadcast_to(np.asarray(read()), (program.lanes,))[first : first + LANES]
        if (values != values[0]).any():
            raise ValueError("has descriptors that differ among its threads")
        addresses = _addresses(int(values[0]), lines)
        rows = program.shared.fetch(block, in_block // WARP, addresses + SHARED_BASE, _PART)
        groups.reads(block, int(addresses.min()), int(addresses.max()) + _PART, in_block // WARP)
        words = np.ascontiguousarray(rows).reshape(lines, _DEPTH_BYTES).view(np.uint32)
        if left == "tf32":  # the hardware reads the upper 19 bits
            words = words & np.uint32(0xFFFFE000)
        return words.view(element)

    def run(first: int) -> None:
        if first not in groups.is_fenced:
            raise ValueError("comes without wgmma.fence after what its registers held was written")
        flights = groups.flights.setdefault(first, [])
        flight = next((each for each in flights if each.registers == registers), None)
        if flight is None:
            if any(not set(registers).isdisjoint(each.registers) for each in flights):
                raise ValueError("adds to registers of products of another shape that are under way")
            names = [program.registers[name][first : first + LANES] for name in registers]
            flight = Flight(registers, np.stack(names, axis=1), kind, 0)
            flights.append(flight)
        flight.group = groups.group.get(first, 0)
        product = multiply(matrix(first, reads[0], _ROWS)[None], matrix(first, reads[1], columns)[None])[0]
        # Row 16 w + 8 h + g and column 8 j + 2 t + c are sum (j, h, c) of thread (w, g, t).
        parts = product.reshape(4, 2, 8, columns // 8, 4, 2).transpose(0, 2, 4, 3, 1, 5).reshape(LANES, -1)
        adding = add[first : first + LANES, None]
        before = np.where(adding, flight.sums, np.uint32(0))
        flight.sums = add_sums(before, parts, kind).view(np.uint32)

    return _each_group(program, instruction, run)


def _addresses(descriptor: int, lines: int) -> Array:
    """int64[lines, 2] in shared memory: of the two core matrices that each line of a side is in, its 16 bytes."""
    start, leading, stride = ((descriptor >> bit & 0x3FFF) << 4 for bit in (0, 16, 32))
    line, part = np.arange(lines)[:, None], np.arange(_DEPTH_BYTES // _PART)[None]
    mode = descriptor >> 62
    if mode == 0:
        return start + line // 8 * stride + line % 8 * _PART + part * leading
    if mode != 1 or descriptor >> 49 & 7:
        raise ValueError("has a descriptor of a permutation that the emulator does not know")
    addresses = start + line // 8 * stride + line % 8 * 128 + part * _PART
    return addresses ^ ((addresses >> 7 & 7) << 4)


def decode_register_limit(program: Program, instruction: Instruction) -> Step:
    """setmaxnreg: registers are not scarce here."""
    (count,) = instruction.operands
    is_known = list(instruction.modifiers) in (["inc", *_LIMIT], ["dec", *_LIMIT])
    if not is_known or not isinstance(count, Immediate) or count.value not in range(24, 257, 8):
        raise unknown(instruction)
    return _each_group(program, instruction, lambda first: None)


_LIMIT = ["sync", "aligned", "u32"]


def _each_group(program: Program, instruction: Instruction, use: Callable[[int], None]) -> Step:
    """use(first lane) for each warpgroup; ValueErrors say what is wrong with it."""

    def run(mask: Mask) -> None:
        lanes = active_lanes(program, mask)
        firsts = np.unique(lanes - lanes % program.grid.threads % LANES).tolist()
        for first in firsts:
            try:
                if program.grid.threads % LANES or np.count_nonzero((lanes >= first) & (lanes < first + LANES)) < LANES:
                    raise ValueError("is executed by a part of its warpgroup")
                use(first)
            except ValueError as error:
                raise _error(program, instruction, first, str(error)) from None
            except OutOfBounds as error:
                raise _error(program, instruction, first, f"at {error.address:#x}: {error.reason}") from None

    return run


def _error(program: Program, instruction: Instruction, lane: int, reason: str) -> DeviceError:
    return DeviceError(
        f"kernel {program.kernel.name}, {program.describe(lane)}: {instruction.name} (PTX line {instruction.line}) "
        + reason
    )
