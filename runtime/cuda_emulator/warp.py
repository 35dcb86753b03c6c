"""What the lanes of a warp tell each other: shfl.sync (PTX ISA 8.5, chapter 9.7.9.6)."""

from __future__ import annotations

import numpy as np

from ..errors import DeviceError
from .memory import Array
from .program import WARP, Mask, Program, Step, unknown
from .ptx import Instruction


def decode_shuffle(program: Program, instruction: Instruction) -> Step:
    """shfl.sync.MODE.b32 value, from, lane or distance or mask, bounds, members.

    Lanes outside of `members`, or that do not take part although they are members, make it an error.
    """
    match instruction.modifiers:
        case ["sync", "bfly" | "down" | "up" | "idx" as mode, "b32"]:
            pass
        case _:
            raise unknown(instruction)
    if len(instruction.operands) != 5:
        raise unknown(instruction)
    destination, source, *rest = instruction.operands
    write, read = program.write(destination, "b32"), program.read(source, "b32")
    numbers = [program.read(operand, "u32") for operand in rest]
    lane = (program.lane % program.grid.threads) % WARP
    first = program.lane - lane

    def run(mask: Mask) -> None:
        distance, bounds, members = (_each(program, number()).astype(np.int64) for number in numbers)
        active = np.ones(program.lanes, np.bool_) if mask is None else mask
        _check_members(program, instruction, active, members, lane)
        clamp, segment = bounds & (WARP - 1), (bounds >> 8) & (WARP - 1)
        least = lane & segment
        most = least | (clamp & ~segment)
        wanted = {
            "bfly": lane ^ distance,
            "down": lane + distance,
            "up": lane - distance,
            "idx": least | (distance & ~segment),
        }[mode]
        inside = wanted >= most if mode == "up" else wanted <= most
        from_lane = np.where(inside, wanted, lane)
        origin = first + from_lane
        wrong = np.flatnonzero(active & ~active[np.minimum(origin, program.lanes - 1)])
        if wrong.size:
            raise _error(program, instruction, int(wrong[0]), f"reads lane {from_lane[wrong[0]]}, which is not there")
        write(_each(program, read())[np.minimum(origin, program.lanes - 1)], mask)

    return run


def _each(program: Program, value: Array) -> Array:
    return np.broadcast_to(np.asarray(value), (program.lanes,))


def _check_members(program: Program, instruction: Instruction, active: Array, members: Array, lane: Array) -> None:
    """Every lane that takes part is a member, and every member of its warp takes part."""
    stranger = np.flatnonzero(active & ((members >> lane) & 1 == 0))
    if stranger.size:
        raise _error(program, instruction, int(stranger[0]), "is executed by a lane that is no member")
    warps = (
        program.lane // program.grid.threads * (-(-program.grid.threads // WARP))
        + (program.lane % program.grid.threads) // WARP
    )
    present = np.zeros(int(warps.max()) + 1, np.int64)
    np.bitwise_or.at(present, warps[active], np.int64(1) << lane[active])
    missing = np.flatnonzero(active & ((members & 0xFFFFFFFF) & ~present[warps] != 0))
    if missing.size:
        raise _error(program, instruction, int(missing[0]), "waits for members of the warp that do not take part")


def _error(program: Program, instruction: Instruction, lane: int, reason: str) -> DeviceError:
    return DeviceError(
        f"kernel {program.kernel.name}, {program.describe(lane)}: {instruction.name} (PTX line {instruction.line}) "
        + reason
    )
