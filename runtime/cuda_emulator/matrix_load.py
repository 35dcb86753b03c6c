"""ldmatrix (PTX ISA 8.5, chapter 9.7.14.5.15): a warp loads 8 x 8 matrices of 16-bit elements from shared memory.

Lane 8 i + r has the address of row r of matrix i, 16 bytes. Register i of lane (g, t) = (lane / 4, lane mod 4) becomes
the elements 2t and 2t + 1 of row g of matrix i; with .trans those of its column g in the rows 2t and 2t + 1. Each lane
reads what it gets, so that races are told as they are of other loads.
"""

from __future__ import annotations

import numpy as np

from .memory import LOCAL_BASE, SHARED_BASE, AccessError, Array, OutOfBounds
from .program import WARP, Mask, Program, Step, unknown
from .ptx import Address, Instruction, Vector
from .tensor_core import check_whole_warps

_COUNTS = {"x1": 1, "x2": 2, "x4": 4}

_ROWS = 8
_ROW_BYTES = 16


def decode_matrix_load(program: Program, instruction: Instruction) -> Step:
    """ldmatrix.sync.aligned.m8n8.COUNT{.trans}.shared.b16 registers, [address]."""
    match instruction.modifiers:
        case ["sync", "aligned", "m8n8", "x1" | "x2" | "x4" as number, *trans, "shared", "b16"] if trans in (
            [],
            ["trans"],
        ):
            count, transposed = _COUNTS[number], bool(trans)
        case _:
            raise unknown(instruction)
    destination, source = instruction.operands
    registers = destination.elements if isinstance(destination, Vector) else (destination,)
    if len(registers) != count or not isinstance(source, Address):
        raise unknown(instruction)
    writes = [program.write(register, "b32") for register in registers]
    base, offset = program.read(source.base, "u64"), np.uint64(source.offset & 0xFFFFFFFFFFFFFFFF)
    group, place = (program.lane % WARP) // 4, (program.lane % WARP) % 4
    warp = program.lane - program.lane % WARP
    # (row of the matrix, byte in it) of what a lane reads, one after the other
    parts = [(2 * place + half, 2 * group) for half in (0, 1)] if transposed else [(group, 4 * place)]
    dtype = np.dtype(np.uint16 if transposed else np.uint32)

    def error(lane: int, address: int, reason: str) -> AccessError:
        return AccessError(
            f"kernel {program.kernel.name}, {program.describe(lane)}: {instruction.name} (PTX line {instruction.line}) "
            f"at {address:#x}: {reason}"
        )

    def rows(lanes: Array) -> Array:
        """uint64[program's lanes]: the generic addresses, of which those of the first 8 `count` lanes are used."""
        addresses = np.broadcast_to(np.asarray(base()) + offset, (program.lanes,))
        addresses = np.where(addresses < SHARED_BASE, addresses + np.uint64(SHARED_BASE), addresses)
        used = lanes[lanes % WARP < _ROWS * count]
        for wrong, reason in (
            (addresses[used] % np.uint64(_ROW_BYTES) != 0, f"not aligned to {_ROW_BYTES} bytes"),
            (addresses[used] >= LOCAL_BASE, "not in shared memory"),
        ):
            if wrong.any():
                lane = int(used[np.argmax(wrong)])
                raise error(lane, int(addresses[lane]), reason)
        return addresses

    def run(mask: Mask) -> None:
        check_whole_warps(program, instruction, mask)
        lanes = program.lane if mask is None else np.flatnonzero(mask)
        addresses, owners = rows(lanes), program.block_of_lane[lanes]
        if program.memory.traffic is not None:
            used = lanes[lanes % WARP < _ROWS * count]
            program.memory.traffic.add(used, addresses[used], _ROW_BYTES)
        for number, write in enumerate(writes):
            value = np.zeros(program.lanes, np.uint32)
            for shift, (row, byte) in enumerate(parts):
                places = addresses[(warp + _ROWS * number + row)[lanes]] + byte[lanes].astype(np.uint64)
                try:
                    loaded = program.shared.load(owners, lanes, places, dtype)
                except OutOfBounds as failure:
                    raise error(int(lanes[failure.lane]), failure.address, failure.reason) from None
                value[lanes] |= loaded.astype(np.uint32) << np.uint32(16 * shift)
            write(value, mask)

    return run
