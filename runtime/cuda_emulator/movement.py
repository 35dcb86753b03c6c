"""mov, ld, st and atomic additions (PTX ISA 8.5, chapters 9.7.9 and 9.7.13), with every access checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .memory import LOCAL_BASE, SHARED_BASE, AccessError, Array, OutOfBounds
from .program import Mask, Program, Reader, Step, dtype_of, unknown
from .ptx import WIDTHS, Address, Instruction, Operand, Symbol, Vector

_SPACES = ("global", "shared", "local", "const", "param")
_HINTS = {"nc", "volatile", "relaxed", "weak", "gpu", "cta", "sys", "L1::no_allocate", "L2::128B", "ca", "cg", "cs"}
"""What changes no result here: caches, and orders that lanes executed in turn keep anyway."""


def decode_move(program: Program, instruction: Instruction) -> Step:
    destination, source = instruction.operands
    type = instruction.type
    if isinstance(destination, Vector):
        return _unpack(program, instruction, destination, source)
    if isinstance(source, Vector):
        return _pack(program, instruction, destination, source)
    write, read = program.write(destination, type), program.read(source, type)
    return lambda mask: write(np.asarray(read()), mask)


def _part_types(instruction: Instruction, count: int) -> tuple[str, int]:
    bits = 8 * WIDTHS[instruction.type] // count
    return f"b{bits}", bits


def _unpack(program: Program, instruction: Instruction, destination: Vector, source: Operand) -> Step:
    """`mov.b32 {%rs1, %rs2}, %r1`; the first register gets the low bits."""
    part, bits = _part_types(instruction, len(destination.elements))
    read = program.read(source, instruction.type)
    writes = [program.write(element, part) for element in destination.elements]

    def run(mask: Mask) -> None:
        value = np.array(read())
        for number, write in enumerate(writes):
            write((value >> value.dtype.type(bits * number)).astype(f"u{bits // 8}"), mask)

    return run


def _pack(program: Program, instruction: Instruction, destination: Operand, source: Vector) -> Step:
    part, bits = _part_types(instruction, len(source.elements))
    reads = [program.read(element, part) for element in source.elements]
    write = program.write(destination, instruction.type)
    dtype = dtype_of(instruction.type)

    def run(mask: Mask) -> None:
        value = np.zeros(program.lanes, dtype)
        for number, read in enumerate(reads):
            value |= np.asarray(read()).astype(dtype) << dtype.type(bits * number)
        write(value, mask)

    return run


class _Access:
    """What loads and stores share: a space, a type, addresses and the lanes that use them."""

    def __init__(self, program: Program, instruction: Instruction, address: Operand) -> None:
        modifiers = [each for each in instruction.modifiers[:-1] if each not in _HINTS]
        self.space = next((each for each in modifiers if each in _SPACES), "generic")
        vectors = {"v2": 2, "v4": 4, "v8": 8}
        self.count = next((vectors[each] for each in modifiers if each in vectors), 1)
        if set(modifiers) - {*_SPACES, *vectors} or not isinstance(address, Address):
            raise unknown(instruction)
        self.program = program
        self.instruction = instruction
        self.dtype = dtype_of(instruction.type)
        self.address = address
        if self.space != "param":
            self._base: Reader = program.read(address.base, "u64")
            self._offset = np.uint64(address.offset & 0xFFFFFFFFFFFFFFFF)

    def operands(self, operand: Operand) -> tuple[Operand, ...]:
        """The register of each element."""
        elements: tuple[Operand, ...] = operand.elements if isinstance(operand, Vector) else (operand,)
        if len(elements) != self.count:
            raise unknown(self.instruction)
        return elements

    def addresses(self, lanes: Array) -> Array:
        """uint64 of `lanes`, checked to be aligned to the whole access."""
        addresses = self._base() + self._offset
        addresses = np.full(lanes.size, addresses) if np.ndim(addresses) == 0 else addresses[lanes]
        # A space's own window may be addressed from 0 on (PTX ISA 5.1: cvta makes those addresses generic).
        window = {"shared": SHARED_BASE, "local": LOCAL_BASE}.get(self.space)
        if window is not None:
            addresses = np.where(addresses < window, addresses + np.uint64(window), addresses)
        whole = self.dtype.itemsize * self.count
        wrong = np.flatnonzero(addresses % np.uint64(whole))
        if wrong.size:
            raise self._error(int(lanes[wrong[0]]), int(addresses[wrong[0]]), f"not aligned to {whole} bytes")
        return addresses

    def note(self, addresses: Array, lanes: Array) -> None:
        """Tell who counts what accesses move, if anybody does."""
        if self.program.memory.traffic is not None:
            self.program.memory.traffic.add(lanes, addresses, self.dtype.itemsize * self.count)

    def each(self, addresses: Array, lanes: Array, use: Callable[[Any, tuple[Any, ...], Array, Array], None]) -> None:
        """Call `use(memory, owners and lanes if it has such, indices, addresses)` for each memory that is touched."""
        program = self.program
        shared = (addresses >= SHARED_BASE) & (addresses < LOCAL_BASE)
        local = addresses >= LOCAL_BASE
        everywhere = np.arange(addresses.size)
        try:
            for memory, which in ((program.shared, shared), (program.local, local), (program.memory, None)):
                chosen = which if which is not None else ~(shared | local)
                if not chosen.any():
                    continue
                indices = everywhere if chosen.all() else np.flatnonzero(chosen)
                owners: tuple[Any, ...] = ()
                if memory is program.shared:
                    owners = (program.block_of_lane[lanes[indices]], lanes[indices])
                elif memory is program.local:
                    owners = (lanes[indices], lanes[indices])
                try:
                    use(memory, owners, indices, addresses[indices])
                except OutOfBounds as error:
                    lane = int(lanes[indices[error.lane]])
                    raise self._error(lane, error.address, error.reason) from None
        except IndexError:
            raise self._error(int(lanes[0]), int(addresses[0]), "no memory is there") from None

    def _error(self, lane: int, address: int, reason: str) -> AccessError:
        program, instruction = self.program, self.instruction
        return AccessError(
            f"kernel {program.kernel.name}, {program.describe(lane)}: {instruction.name} (PTX line {instruction.line}) "
            f"at {address:#x}: {reason}"
        )


def _active(program: Program, mask: Mask) -> Array:
    return program.lane if mask is None else np.flatnonzero(mask)


def decode_load(program: Program, instruction: Instruction) -> Step:
    target, source = instruction.operands
    access = _Access(program, instruction, source)
    writes = [program.write(operand, instruction.type) for operand in access.operands(target)]
    if access.space == "param":
        return _load_parameter(program, access, writes)
    dtype = access.dtype

    def run(mask: Mask) -> None:
        lanes = _active(program, mask)
        addresses = access.addresses(lanes)
        access.note(addresses, lanes)
        for number, write in enumerate(writes):
            value = np.empty(program.lanes, dtype)

            def use(memory: Any, owners: tuple[Any, ...], indices: Array, places: Array, value: Array = value) -> None:
                value[lanes[indices]] = memory.load(*owners, places, dtype)

            access.each(addresses + np.uint64(dtype.itemsize * number), lanes, use)
            write(value, mask)

    return run


def _load_parameter(program: Program, access: _Access, writes: list[Any]) -> Step:
    base, offset, dtype = access.address.base, access.address.offset, access.dtype
    if not isinstance(base, Symbol) or base.name not in program.kernel.parameters:
        raise unknown(access.instruction)
    name = base.name

    def run(mask: Mask) -> None:
        values = np.frombuffer(program.parameters[name], dtype, len(writes), offset)
        for write, value in zip(writes, values, strict=True):
            write(np.asarray(value), mask)

    return run


def decode_store(program: Program, instruction: Instruction) -> Step:
    destination, source = instruction.operands
    access = _Access(program, instruction, destination)
    if access.space in ("param", "const"):
        raise unknown(instruction)
    reads = [program.read(operand, instruction.type) for operand in access.operands(source)]

    def run(mask: Mask) -> None:
        lanes = _active(program, mask)
        addresses = access.addresses(lanes)
        access.note(addresses, lanes)
        for number, read in enumerate(reads):
            value = np.asarray(read())
            values = np.broadcast_to(value, lanes.shape) if value.ndim == 0 else value[lanes]

            def use(
                memory: Any, owners: tuple[Any, ...], indices: Array, places: Array, values: Array = values
            ) -> None:
                memory.store(*owners, places, values[indices])

            access.each(addresses + np.uint64(access.dtype.itemsize * number), lanes, use)

    return run
