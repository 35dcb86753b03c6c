"""cp.async and its groups (PTX ISA 8.5, chapter 9.7.9.25): bytes arrive when they are waited for, and not before.

The source is read when the copy is issued; until the thread that issued it waits for its group nobody may read the
destination, and then other threads only after a barrier.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .memory import SHARED_BASE, AccessError, Array, OutOfBounds
from .program import Mask, Program, Step, unknown
from .ptx import Address, Immediate, Instruction, Operand
from .tensor_memory import decode_bulk

_CACHES = {"ca": (4, 8, 16), "cg": (16,)}
"""Bytes that a copy may have, by where it is cached."""


def decode_asynchronous(program: Program, instruction: Instruction) -> Step:
    """cp.async, cp.async.commit_group, cp.async.wait_group and cp.async.wait_all."""
    match [each for each in instruction.modifiers if not each.startswith("L2::")]:
        case ["async", "ca" | "cg" as cache, "shared", "global"]:
            return _copy(program, instruction, cache)
        case ["async", "commit_group"]:
            return lambda mask: program.copies.commit(_lanes(program, mask))
        case ["async", "wait_group"]:
            (kept,) = instruction.operands
            if isinstance(kept, Immediate) and isinstance(kept.value, int):
                return _wait(program, kept.value)
        case ["async", "wait_all"]:
            return _wait(program, -1)
        case ["async", "bulk", *_]:
            return decode_bulk(program, instruction)
    raise unknown(instruction)


def _lanes(program: Program, mask: Mask) -> Array:
    return program.lane if mask is None else np.flatnonzero(mask)


def _copy(program: Program, instruction: Instruction, cache: str) -> Step:
    to, origin, count, *source_size = instruction.operands
    size = int(count.value) if isinstance(count, Immediate) else 0
    if size not in _CACHES[cache] or len(source_size) > 1:
        raise unknown(instruction)
    destination, source = _address(program, instruction, to), _address(program, instruction, origin)
    read_size = program.read(source_size[0], "u32") if source_size else None

    def run(mask: Mask) -> None:
        lanes = _lanes(program, mask)
        places, sources = destination(lanes), source(lanes)
        places = np.where(places < SHARED_BASE, places + np.uint64(SHARED_BASE), places)  # from the window's 0 on
        for addresses in (places, sources):
            wrong = np.flatnonzero(addresses % np.uint64(size))
            if wrong.size:
                lane, address = int(lanes[wrong[0]]), int(addresses[wrong[0]])
                raise _error(program, instruction, lane, address, f"not aligned to {size} bytes")
        if program.memory.traffic is not None:
            program.memory.traffic.add(lanes, sources, size)
            program.memory.traffic.add(lanes, places, size)
        sizes = np.full(lanes.size, size)
        if read_size is not None:
            given = np.asarray(read_size())
            sizes = np.minimum(np.broadcast_to(given, (program.lanes,))[lanes].astype(np.int64), size)
        content = np.zeros((lanes.size, size), np.uint8)
        for type, chosen in ((np.uint32, sizes == size), (np.uint8, sizes < size)):
            width = np.dtype(type).itemsize
            parts = content.view(type)
            for number in range(size // width):
                there = np.flatnonzero(chosen & (sizes > number * width))
                if there.size:
                    at = sources[there] + np.uint64(number * width)
                    parts[there, number] = _loaded(program, instruction, lanes[there], at, np.dtype(type))
        owners = program.block_of_lane[lanes]
        try:
            program.shared.announce(owners, lanes, places, size)
        except OutOfBounds as error:
            raise _error(program, instruction, int(lanes[error.lane]), error.address, error.reason) from None
        program.copies.issue(instruction, lanes, places, content)

    return run


def _loaded(program: Program, instruction: Instruction, lanes: Array, addresses: Array, dtype: np.dtype[Any]) -> Array:
    try:
        return program.memory.load(addresses, dtype)
    except OutOfBounds as error:
        raise _error(program, instruction, int(lanes[error.lane]), error.address, error.reason) from None


def _wait(program: Program, kept: int) -> Step:
    """Writes what has arrived: all but the last `kept` groups, with -1 also what no group was made of."""

    def run(mask: Mask) -> None:
        lanes = _lanes(program, mask)
        for copy in program.copies.arrived(lanes, kept, program.lanes):
            owners = program.block_of_lane[copy.lanes]
            words = np.ascontiguousarray(copy.content).view(np.uint32)
            try:
                for number in range(words.shape[1]):
                    places = copy.addresses + np.uint64(4 * number)
                    program.shared.store(owners, copy.lanes, places, np.ascontiguousarray(words[:, number]))
            except OutOfBounds as error:
                raise _error(
                    program, copy.instruction, int(copy.lanes[error.lane]), error.address, error.reason
                ) from None

    return run


def _address(program: Program, instruction: Instruction, operand: Operand) -> Any:
    """What gives the generic addresses (uint64) of lanes."""
    if not isinstance(operand, Address):
        raise unknown(instruction)
    base, offset = program.read(operand.base, "u64"), np.uint64(operand.offset & 0xFFFFFFFFFFFFFFFF)

    def read(lanes: Array) -> Array:
        addresses = np.asarray(base()) + offset
        return np.full(lanes.size, addresses) if addresses.ndim == 0 else addresses[lanes]

    return read


def _error(program: Program, instruction: Instruction, lane: int, address: int, reason: str) -> AccessError:
    return AccessError(
        f"kernel {program.kernel.name}, {program.describe(lane)}: {instruction.name} (PTX line {instruction.line}) "
        f"at {address:#x}: {reason}"
    )
