"""mbarrier (PTX ISA 8.5, chapter 9.7.13.15): barriers in shared memory that count arrivals and bytes.

A phase ends when all arrivals and all expected bytes have come; it hands what those who arrived had seen and done, and
what the copy engine brought, to whoever waits for it. Copies are carried out as they are issued, so what is early or
late is told by who waited for what and not by when. A lane whose wait fails is parked until others have moved on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import DeviceError
from .memory import SHARED_BASE, AccessError, Array
from .order import WARP
from .program import Mask, Program, Step, unknown
from .ptx import Address, Immediate, Instruction, Operand, Register

_FENCES = {
    ("mbarrier_init", "release", "cluster"),
    ("proxy", "async"),
    ("proxy", "async", "shared::cta"),
}


def decode_mbarrier(program: Program, instruction: Instruction) -> Step:
    """mbarrier.init, .arrive and .arrive.expect_tx of the own block."""
    match instruction.modifiers:
        case ["init", "shared::cta" | "shared", "b64"]:
            address, count = instruction.operands
            arrivals = program.read(count, "u32")

            def initialise(block: int, warp: int, lane: int, at: int) -> None:
                program.barriers.initialise(block, warp, at, number_of(arrivals(), lane))

            return each_lane(program, instruction, address, initialise)
        case ["arrive", "shared::cta" | "shared", "b64"]:
            _, address = instruction.operands
            return each_lane(program, instruction, address, lambda b, w, _, at: program.barriers.arrive(b, w, at))
        case ["arrive", "expect_tx", "shared::cta" | "shared", "b64"]:
            _, address, size = instruction.operands
            expected = program.read(size, "u32")

            def expect(block: int, warp: int, lane: int, at: int) -> None:
                program.barriers.arrive(block, warp, at, number_of(expected(), lane))

            return each_lane(program, instruction, address, expect)
    raise unknown(instruction)


def decode_wait(program: Program, instruction: Instruction) -> Callable[[Array], Array]:
    """mbarrier.try_wait.parity: from the lanes that are active (bool[lanes]) to those that pass."""
    if list(instruction.modifiers) not in (["try_wait", "parity", space, "b64"] for space in ("shared::cta", "shared")):
        raise unknown(instruction)
    destination, address, parity = instruction.operands
    write, wanted = program.write(destination, "pred"), program.read(parity, "u32")
    places = shared_addresses(program, instruction, address)

    def run(active: Array) -> Array:
        passing = np.zeros(program.lanes, np.bool_)
        lanes = np.flatnonzero(active)
        parities = np.broadcast_to(np.asarray(wanted()), (program.lanes,))[lanes]
        keys = np.stack([program.block_of_lane[lanes], program.order.warp_of(lanes), places(lanes), parities], axis=1)
        groups, members = np.unique(keys.astype(np.int64), axis=0, return_inverse=True)
        for number, (block, warp, at, phase) in enumerate(groups.tolist()):
            chosen = lanes[members.reshape(-1) == number]
            try:
                passing[chosen] = program.barriers.passes(block, warp, at, phase & 1)
            except ValueError as error:
                raise wrong(program, instruction, int(chosen[0]), at, str(error)) from None
        write(passing, passing)
        return passing

    return run


def decode_fence(program: Program, instruction: Instruction) -> Step:
    """fence.mbarrier_init and fence.proxy.async."""
    if tuple(instruction.modifiers) not in _FENCES:
        raise unknown(instruction)

    def run(mask: Mask) -> None:
        if instruction.modifiers[0] == "mbarrier_init":
            for lane in active_lanes(program, mask).tolist():
                program.barriers.publish(int(program.block_of_lane[lane]), lane % program.grid.threads // WARP)

    return run


def decode_warp_barrier(program: Program, instruction: Instruction) -> Step:
    """bar.warp.sync of all lanes."""
    if instruction.operands != (Immediate(-1),):
        raise unknown(instruction)

    def run(mask: Mask) -> None:
        lanes = active_lanes(program, mask)
        places = np.unique(program.block_of_lane[lanes] * program.order.warps + program.order.warp_of(lanes))
        program.order.meet_warps(*np.divmod(places, program.order.warps))

    return run


def each_lane(
    program: Program, instruction: Instruction, address: Operand, use: Callable[[int, int, int, int], None]
) -> Step:
    """use(block, warp, lane, shared address) for each active lane; ValueErrors say what is wrong."""
    places = shared_addresses(program, instruction, address)

    def run(mask: Mask) -> None:
        lanes = active_lanes(program, mask)
        for lane, at in zip(lanes.tolist(), places(lanes).tolist(), strict=True):
            if at % 8:
                raise wrong(program, instruction, lane, at, "not aligned to 8 bytes")
            try:
                use(int(program.block_of_lane[lane]), lane % program.grid.threads // WARP, lane, at)
            except ValueError as error:
                raise wrong(program, instruction, lane, at, str(error)) from None

    return run


def active_lanes(program: Program, mask: Mask) -> Array:
    return program.lane if mask is None else np.flatnonzero(mask)


def number_of(value: Array, lane: int) -> int:
    """What a reader gave, for one lane."""
    value = np.asarray(value)
    return int(value if value.ndim == 0 else value[lane])


def shared_addresses(program: Program, instruction: Instruction, operand: Operand) -> Callable[[Array], Array]:
    """What gives the generic addresses (int64) of lanes of an operand in shared memory, of 32 bits or 64."""
    if not isinstance(operand, Address) or operand.coordinates:
        raise unknown(instruction)
    is_narrow = isinstance(operand.base, Register) and program.width(operand.base.name) == 4
    read = program.read(operand.base, "u32" if is_narrow else "u64")

    def run(lanes: Array) -> Array:
        values = np.broadcast_to(np.asarray(read()).astype(np.int64), (program.lanes,))[lanes] + operand.offset
        return np.where(values < SHARED_BASE, values + SHARED_BASE, values)

    return run


def wrong(program: Program, instruction: Instruction, lane: int, address: int, reason: str) -> DeviceError:
    return AccessError(
        f"kernel {program.kernel.name}, {program.describe(lane)}: {instruction.name} (PTX line {instruction.line}) "
        f"at {address:#x}: {reason}"
    )
