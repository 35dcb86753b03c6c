"""cp.async.bulk and cp.async.bulk.tensor (PTX ISA 8.5, chapters 9.7.9.25.4 and 9.7.9.27): the copy engine of an H100.

Bytes go from global memory to shared memory and are counted by an mbarrier; nobody may look at them before having
waited for it, and what they overwrite has to have been read by all whom the thread that starts the copy has waited for.
"""

from __future__ import annotations

import numpy as np

from .mbarrier import active_lanes, number_of, shared_addresses, wrong
from .memory import SHARED_BASE, Array, OutOfBounds
from .program import Mask, Program, Step, unknown
from .ptx import Address, Instruction
from .tensor_map import decode

_ROW_BYTES = 128
_PART = 16


def decode_bulk(program: Program, instruction: Instruction) -> Step:
    """A copy of bytes that lie together, or of a box of a matrix, to shared memory of the own block."""
    ends = ("shared::cluster", "global")
    match instruction.modifiers:
        case ["async", "bulk", *rest] if rest == [*ends, "mbarrier::complete_tx::bytes"]:
            return _copy_bytes(program, instruction)
        case ["async", "bulk", "tensor", "2d", *rest] if rest == [*ends, "tile", "mbarrier::complete_tx::bytes"]:
            return _copy_box(program, instruction)
    raise unknown(instruction)


def _copy_bytes(program: Program, instruction: Instruction) -> Step:
    to, origin, count, barrier = instruction.operands
    if not isinstance(origin, Address):
        raise unknown(instruction)
    places, barriers = shared_addresses(program, instruction, to), shared_addresses(program, instruction, barrier)
    source, size = program.read(origin.base, "u64"), program.read(count, "u32")

    def run(mask: Mask) -> None:
        lanes = active_lanes(program, mask)
        for lane, at, bar in zip(lanes.tolist(), places(lanes).tolist(), barriers(lanes).tolist(), strict=True):
            address, length = number_of(source(), lane) + origin.offset, number_of(size(), lane)
            if at % _PART or address % _PART or length % _PART:
                raise wrong(program, instruction, lane, address, f"not aligned to {_PART} bytes")
            _bring(program, instruction, lane, at, bar, program.memory.view(address, length).copy())

    return run


def _copy_box(program: Program, instruction: Instruction) -> Step:
    to, origin, barrier = instruction.operands
    if not isinstance(origin, Address) or len(origin.coordinates) != 2:
        raise unknown(instruction)
    places, barriers = shared_addresses(program, instruction, to), shared_addresses(program, instruction, barrier)
    map = program.read(origin.base, "u64")
    coordinates = [program.read(each, "s32") for each in origin.coordinates]

    def run(mask: Mask) -> None:
        lanes = active_lanes(program, mask)
        for lane, at, bar in zip(lanes.tolist(), places(lanes).tolist(), barriers(lanes).tolist(), strict=True):
            column, row = (number_of(read(), lane) for read in coordinates)
            address, itemsize, shape, box, swizzle = decode(program.parameter_at(number_of(map(), lane)))
            if swizzle != _ROW_BYTES or box[1] * itemsize != _ROW_BYTES or len(shape) != 2:
                raise unknown(instruction)
            if at % (8 * _ROW_BYTES):
                raise wrong(program, instruction, lane, at, f"not aligned to {8 * _ROW_BYTES} bytes")
            pitch = shape[1] * itemsize
            if pitch % _PART or address % _PART:
                raise wrong(program, instruction, lane, address, f"rows do not begin at multiples of {_PART} bytes")
            tensor = program.memory.view(address, shape[0] * pitch).reshape(shape[0], pitch)
            content = np.zeros((box[0], _ROW_BYTES), np.uint8)
            rows = slice(max(row, 0), min(row + box[0], shape[0]))
            bytes = slice(max(column * itemsize, 0), min(column * itemsize + _ROW_BYTES, pitch))
            found = tensor[rows, bytes]
            top, left = rows.start - row, bytes.start - column * itemsize
            content[top : top + found.shape[0], left : left + found.shape[1]] = found
            _bring(program, instruction, lane, at, bar, _permuted(content).reshape(-1))

    return run


def _permuted(rows: Array) -> Array:
    """Part p of row r at p xor (r mod 8)."""
    parts = rows.reshape(rows.shape[0], -1, _PART)
    order = np.arange(parts.shape[1]) ^ (np.arange(rows.shape[0]) % 8)[:, None]
    return np.take_along_axis(parts, order[..., None], axis=1)


def _bring(program: Program, instruction: Instruction, lane: int, at: int, barrier: int, content: Array) -> None:
    block, warp = int(program.block_of_lane[lane]), int(program.order.warp_of(np.array(lane)))
    try:
        engine = program.barriers.engine(block, warp, barrier)
        begin = at - SHARED_BASE
        program.warpgroups.check_overwrite(block, warp, begin, begin + content.size)
        program.shared.deposit(block, lane, at, content, engine)
        program.barriers.complete(block, barrier, content.size)
    except ValueError as error:
        raise wrong(program, instruction, lane, at, str(error)) from None
    except OutOfBounds as error:
        raise wrong(program, instruction, lane, at, error.reason) from None
