"""Which tensors of a host program share memory: what may not be returned as it is, and what is computed in its place.

Only the first block is looked at. Registers of other blocks are written again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from .instructions import Block, Concat, Execute, FromElements, HostProgram, Reshape, Slice, Transfer
from .queues import Event, Pending

if TYPE_CHECKING:
    from ..device import Array

    Allocate = Callable[[int, tuple[int, ...]], Array]


def may_alias(main: Block) -> list[bool]:
    """For each output whether it may share memory with an input, a constant or an output before it."""
    parents = _parents(main)
    seen: set[int] = set()
    aliases = []
    for register in main.yields:
        source = _root(parents, register) if register in parents else None
        aliases.append(source is None or source in seen)
        seen.update(() if source is None else (source,))
    return aliases


def stays_inside(program: HostProgram) -> set[int]:
    """The results of devices that no caller gets: their memory can serve the next run too."""
    main = program.blocks[0]
    if len(program.blocks) > 1:
        return set()  # what loops carry and branches yield is anybody's
    parents = _parents(main)
    given = {
        _root(parents, register)
        for register, is_copied in zip(main.yields, may_alias(main), strict=True)
        if register in parents and not is_copied
    }
    return {register for register in parents if _root(parents, register) not in given}


def _parents(main: Block) -> dict[int, int]:
    """For each register with memory that is made here the register whose memory that is, at last its own."""
    parents: dict[int, int] = {}
    for instruction in main.instructions:
        match instruction:
            case Execute():
                parents.update({register: register for register in instruction.results})
            case FromElements():
                parents[instruction.result] = instruction.result
            case Reshape() | Slice() | Transfer() if instruction.tensor in parents:
                parents[instruction.result] = instruction.tensor
            case Concat():
                parents[instruction.result] = instruction.result
                parents.update({_root(parents, r): instruction.result for r in instruction.tensors if r in parents})
    return parents


def _root(parents: Mapping[int, int], register: int) -> int:
    while parents[register] != register:
        register = parents[register]
    return register


class Joint:
    """A concatenation whose parts devices compute, so that they can be written to their places in the whole."""

    def __init__(self, instruction: Concat, parts: list[int]) -> None:
        """parts: for each operand the register that a device's result is put into."""
        self._instruction = instruction
        self._parts = parts
        self._shape: tuple[int, ...] | None = None
        self._places: dict[int, tuple[slice, ...]] = {}

    def settle(self, shapes: Mapping[int, tuple[int, ...]]) -> bool:
        """Lay the whole out, which is possible if all shapes are known and nothing but 1 is in front of the axis."""
        axis, result = self._instruction.axis, self._instruction.result
        if result not in shapes or any(part not in shapes for part in self._parts):
            return False
        whole, begin = shapes[result], 0
        for part in self._parts:
            shape = shapes[part]
            if shape[:axis] != (1,) * axis or shape[axis + 1 :] != whole[axis + 1 :]:
                return False
            self._places[part] = (*(slice(None),) * axis, slice(begin, begin + shape[axis]))
            begin += shape[axis]
        if whole[: axis + 1] != (*(1,) * axis, begin) or prod(whole) == 0:
            return False
        self._shape = whole
        return True

    def place(self, part: int, registers: list[Any], allocate: Allocate) -> Array | None:
        """Where the result for register `part` is to lie; None if the parts are put together afterwards.

        allocate: gives the memory of a register of some shape.
        """
        if self._shape is None:
            return None
        result = self._instruction.result
        if registers[result] is None:
            registers[result] = allocate(result, self._shape)
        return registers[result][self._places[part]]

    def finish(self, registers: list[Any]) -> None:
        """All parts were given to their devices: the whole is there once they are."""
        events: list[Event] = []
        for part in self._parts:
            value = registers[part]
            events += value.events if type(value) is Pending else ()
        if events:
            registers[self._instruction.result] = Pending(registers[self._instruction.result], events)


def find_joints(main: Block) -> dict[int, Joint]:
    """The concatenations of what devices compute, by the registers of their parts and of the whole."""
    results: set[int] = set()
    sources: dict[int, int] = {}
    joints: dict[int, Joint] = {}
    for instruction in main.instructions:
        match instruction:
            case Execute():
                results.update(instruction.results)
            case Transfer():
                sources[instruction.result] = sources.get(instruction.tensor, instruction.tensor)
            case Concat():
                parts = [sources.get(register, register) for register in instruction.tensors]
                if results.issuperset(parts) and len(set(parts)) == len(parts) and joints.keys().isdisjoint(parts):
                    joint = Joint(instruction, parts)
                    joints.update(dict.fromkeys([*parts, instruction.result], joint))
    return joints
