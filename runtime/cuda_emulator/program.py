"""A kernel made ready for a number of lanes: its registers as arrays, its instructions as functions on all of them.

Every function computes on all lanes and keeps what it computed for those that are active; what the others hold does
not matter. Only memory is touched by active lanes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import UnsupportedError
from .barriers import Barriers
from .copies import PendingCopies
from .flights import Warpgroups
from .memory import LOCAL_BASE, PARAMETER_BASE, SHARED_BASE, AccessError, GlobalMemory, WindowMemory
from .order import Order
from .ptx import UNUSED, WIDTHS, Immediate, Instruction, Kernel, Operand, Register, Symbol

Array = npt.NDArray[Any]
Mask: TypeAlias = Array | None
"""bool[lanes], or None where all lanes are active."""

Step: TypeAlias = Callable[[Mask], None]
Reader: TypeAlias = Callable[[], Any]
Writer: TypeAlias = Callable[[Any, Mask], None]

WARP = 32
"""Lanes of a warp."""

_PARAMETER_BYTES = 4096
"""Most of all parameters together: the distance of their addresses."""


def dtype_of(type: str) -> np.dtype[Any]:
    """The numpy dtype that holds a PTX type; types without a numpy twin are held as their bits."""
    if type == "pred":
        return np.dtype(np.bool_)
    if type in ("f16", "f32", "f64"):
        return np.dtype(f"f{WIDTHS[type]}")
    return np.dtype(f"{'i' if type.startswith('s') else 'u'}{WIDTHS[type]}")


@dataclass(frozen=True)
class Grid:
    """How a kernel is launched, in x alone: blocks of `threads` each, with `shared_bytes` of dynamic shared memory."""

    blocks: int
    threads: int
    shared_bytes: int = 0


class Program:
    """The kernel with registers for `blocks` blocks at once, of a launch over `grid`.

    symbols: addresses of the module's variables, by name. block: the number of the first of the blocks, set by the
    launch. parameters: the bytes of the launch's parameters, by name.
    """

    def __init__(self, kernel: Kernel, memory: GlobalMemory, symbols: dict[str, int], grid: Grid, blocks: int) -> None:
        self.kernel = kernel
        self.memory = memory
        self.grid = grid
        self.lanes = blocks * grid.threads
        self.lane = np.arange(self.lanes)
        self.block_of_lane = self.lane // grid.threads
        self.parameters: dict[str, bytes] = {}
        self.registers: dict[str, Array] = {
            name: np.zeros(self.lanes, np.bool_ if type == "pred" else f"u{WIDTHS[type]}")
            for name, type in kernel.registers.items()
        }
        self._symbols = dict(symbols)
        sizes = {"shared": grid.shared_bytes, "local": 0}
        for name, variable in kernel.variables.items():
            start = -(-sizes[variable.space] // variable.alignment) * variable.alignment
            base = SHARED_BASE if variable.space == "shared" else LOCAL_BASE
            self._symbols[name] = base + start
            sizes[variable.space] = start + variable.size
        for number, name in enumerate(kernel.parameters):
            self._symbols[name] = PARAMETER_BASE + number * _PARAMETER_BYTES
        self.order = Order(blocks, grid.threads)
        self.shared = WindowMemory(SHARED_BASE, sizes["shared"], blocks, self.order)
        self.local = WindowMemory(LOCAL_BASE, sizes["local"], self.lanes)
        self.copies = PendingCopies(self.lanes)
        self.barriers = Barriers(self.order)
        self.warpgroups = Warpgroups(self.order)
        self._multiplies = any(each.opcode == "wgmma" for each in kernel.instructions)
        self._special = self._special_registers()

    def _special_registers(self) -> dict[str, Array]:
        thread = (self.lane % self.grid.threads).astype(np.uint32)
        zeros, ones = np.zeros(self.lanes, np.uint32), np.ones(self.lanes, np.uint32)
        values = {
            "tid.x": thread,
            "ntid.x": ones * np.uint32(self.grid.threads),
            "ctaid.x": self.block_of_lane.astype(np.uint32),
            "nctaid.x": ones * np.uint32(self.grid.blocks),
            "laneid": thread % np.uint32(WARP),
            "warpid": thread // np.uint32(WARP),
        }
        for axis in "yz":
            values |= {f"tid.{axis}": zeros, f"ctaid.{axis}": zeros, f"ntid.{axis}": ones, f"nctaid.{axis}": ones}
        return {f"%{name}": value for name, value in values.items()}

    def start(self, first_block: int, parameters: dict[str, bytes]) -> None:
        """Get ready to run the blocks from `first_block` on."""
        self._special["%ctaid.x"][:] = self.block_of_lane + first_block
        self.parameters = parameters
        self.order.forget()
        self.shared.forget()
        self.copies.forget()
        self.barriers.forget()
        self.warpgroups.forget()

    # -- operands

    def read(self, operand: Operand, type: str) -> Reader:
        """What gives the operand's value as `type`: an array of all lanes, or one value for all."""
        dtype = dtype_of(type)
        if isinstance(operand, Immediate):
            value = _immediate(operand.value, type)
            return lambda: value
        if isinstance(operand, Symbol):
            address = np.uint64(self.address(operand.name)).astype(dtype)
            return lambda: address
        if not isinstance(operand, Register):
            raise UnsupportedError("the emulator cannot read", [f"the operand {operand} as {type}"])
        array = self._array(operand.name)
        if array.itemsize == dtype.itemsize:
            view = array.view(dtype)
            return lambda: view
        if array.itemsize < dtype.itemsize:
            raise UnsupportedError("the emulator cannot read", [f"{operand.name} as {type}, which is wider"])
        bits = np.dtype(f"u{dtype.itemsize}")
        return lambda: array.astype(bits).view(dtype)

    def write(self, operand: Operand, type: str) -> Writer:
        """What puts a value of `type` into a register, extended by its sign or by zeros where that is wider."""
        if operand == Symbol(UNUSED):
            return lambda value, mask: None
        if not isinstance(operand, Register) or operand.name not in self.registers:
            raise UnsupportedError("the emulator cannot write", [f"to the operand {operand}"])
        array = self.registers[operand.name]
        dtype = dtype_of(type)
        if array.itemsize > dtype.itemsize:
            target = array.view(f"i{array.itemsize}") if dtype.kind == "i" else array
            kept = dtype if dtype.kind in "iu" else np.dtype(f"u{dtype.itemsize}")
        else:
            target, kept = array.view(dtype), dtype

        def run(value: Any, mask: Mask) -> None:
            if value.dtype != kept:
                value = value.view(kept) if value.itemsize == kept.itemsize else value.astype(kept)
            if mask is None:
                target[:] = value
            else:
                np.copyto(target, value, where=mask)

        return run

    def predicate(self, name: str) -> Array:
        """bool[lanes]."""
        return self.registers[name]

    def address(self, name: str) -> int:
        """Of a variable, in the generic address space."""
        if name not in self._symbols:
            raise UnsupportedError("the emulator does not know", [f"the variable {name}"])
        return self._symbols[name]

    def _array(self, name: str) -> Array:
        found = self.registers.get(name)
        found = self._special.get(name) if found is None else found
        if found is None:
            raise UnsupportedError("the emulator does not know", [f"the register {name}"])
        return found

    def parameter_at(self, address: int) -> bytes:
        """The parameter whose generic address that is. Raises ValueError."""
        number, offset = divmod(address - PARAMETER_BASE, _PARAMETER_BYTES)
        names = list(self.kernel.parameters)
        if offset or not 0 <= number < len(names):
            raise ValueError(f"no parameter begins at {address:#x}")
        return self.parameters[names[number]]

    def width(self, name: str) -> int:
        """Bytes of a register."""
        return self._array(name).itemsize

    def guarded(self, instruction: Instruction, step: Step) -> Step:
        """The step for those lanes whose guard holds; with wgmma it is checked that no sums under way are used."""
        if self._multiplies and instruction.opcode != "wgmma":
            step = self._waiting_for_sums(instruction, step)
        if instruction.guard is None:
            return step
        name, negated = instruction.guard
        predicate = self.predicate(name)

        def run(mask: Mask) -> None:
            active = ~predicate if negated else predicate.copy()
            if mask is not None:
                active &= mask
            if active.any():
                step(active)

        return run

    def _waiting_for_sums(self, instruction: Instruction, step: Step) -> Step:
        each = [part for operand in instruction.operands for part in getattr(operand, "elements", (operand,))]
        names = frozenset(part.name for part in each if isinstance(part, Register))

        def run(mask: Mask) -> None:
            if self.warpgroups.flights:
                lanes = self.lane if mask is None else np.flatnonzero(mask)
                try:
                    self.warpgroups.check_registers(names, lanes)
                except ValueError as error:
                    where = f"kernel {self.kernel.name}, {self.describe(int(lanes[0]))}: {instruction.name}"
                    raise AccessError(f"{where} (PTX line {instruction.line}) {error}") from None
            step(mask)

        return run

    def describe(self, lane: int) -> str:
        """Where in the launch a lane is."""
        block = int(self._special["%ctaid.x"][lane])
        return f"block {block}, thread {lane % self.grid.threads}"


def _immediate(value: int | float, type: str) -> Any:
    dtype = dtype_of(type)
    if dtype.kind == "b":
        return np.bool_(value)
    if isinstance(value, float):
        return dtype.type(value) if dtype.kind == "f" else np.asarray(value, f"f{dtype.itemsize}").view(dtype)[()]
    bits = np.asarray(value & ((1 << 8 * dtype.itemsize) - 1), f"u{dtype.itemsize}")
    return bits.view(dtype)[()]


def unknown(instruction: Instruction) -> UnsupportedError:
    """The error of an instruction that the emulator does not know."""
    return UnsupportedError("the emulator does not know", [f"{instruction.name} (PTX line {instruction.line})"])
