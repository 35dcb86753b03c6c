"""Runs kernels over grids: which lanes are active where, barriers, and the end.

Lanes that stand at the earliest instruction go first, so that those that branched apart meet again where their ways do;
code of structured loops and branches needs no more (Collange, "Stack-less SIMT reconvergence at low cost", 2011).
Before instructions of a whole warp its lanes wait for each other, wherever the compiler put the blocks in between.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DeviceError
from . import arithmetic, asynchronous, conversion, matrix_load, mbarrier, movement, tensor_core, warp, warpgroup
from .memory import SHARED_BASE, Array, GlobalMemory
from .program import WARP, Grid, Mask, Program, Step, unknown
from .ptx import Immediate, Instruction, Kernel, Module, Symbol

Decoder = Callable[[Program, Instruction], Step]

_DECODERS: dict[str, Decoder] = {
    **dict.fromkeys(
        ("add", "sub", "min", "max", "div", "rem", "and", "or", "xor", "copysign"), arithmetic.decode_binary
    ),
    **dict.fromkeys(("neg", "abs", "not", "sqrt", "rcp"), arithmetic.decode_unary),
    "ex2": arithmetic.decode_exponential,
    **dict.fromkeys(("mul", "mad", "fma"), arithmetic.decode_multiply),
    "dp4a": arithmetic.decode_dot,
    "mma": tensor_core.decode_mma,
    "ldmatrix": matrix_load.decode_matrix_load,
    "mbarrier": mbarrier.decode_mbarrier,
    "fence": mbarrier.decode_fence,
    "bar": mbarrier.decode_warp_barrier,
    "wgmma": warpgroup.decode_wgmma,
    "setmaxnreg": warpgroup.decode_register_limit,
    "shfl": warp.decode_shuffle,
    "cp": asynchronous.decode_asynchronous,
    **dict.fromkeys(("shl", "shr"), arithmetic.decode_shift),
    **dict.fromkeys(("popc", "clz"), arithmetic.decode_count),
    "bfe": arithmetic.decode_extract_bits,
    "prmt": arithmetic.decode_permute,
    "shf": arithmetic.decode_funnel_shift,
    "lop3": arithmetic.decode_logic,
    "setp": arithmetic.decode_set_predicate,
    "selp": arithmetic.decode_select,
    "cvt": conversion.decode_convert,
    "cvta": conversion.decode_convert_address,
    "mov": movement.decode_move,
    "ld": movement.decode_load,
    "st": movement.decode_store,
}

_ENDS = {"bra", "brx", "ret", "exit", "bar", "barrier", "trap"}
"""Instructions after which lanes may go different ways or wait."""

_WARP_WIDE = {"shfl": WARP, "mma": WARP, "ldmatrix": WARP, "bar": WARP, "wgmma": 4 * WARP, "setmaxnreg": 4 * WARP}
"""Instructions that so many lanes execute together."""


def _is_end(instruction: Instruction) -> bool:
    """Whether lanes may go different ways, or wait, after an instruction, or at it (`_waits`)."""
    return (instruction.opcode in _ENDS and "warp" not in instruction.modifiers) or _waits(instruction)


def _waits(instruction: Instruction) -> bool:
    """Whether lanes may stay at an instruction until others have moved on."""
    return instruction.opcode == "mbarrier" and "try_wait" in instruction.modifiers


def _together(instruction: Instruction) -> int:
    """How many lanes execute an instruction together."""
    return 1 if _is_end(instruction) else _WARP_WIDE.get(instruction.opcode, 1)


_LANES_AT_ONCE = 4096
"""Enough that numpy's cost of a call is small beside its work, few enough that registers stay in the cache."""


@dataclass
class _Block:
    """A basic block: steps, and the instruction that ends it, or None where the next block follows.

    passes: of an instruction that lanes wait at, which of them (bool[lanes]) may go on.
    """

    steps: list[Step]
    end: Instruction | None
    passes: Callable[[Array], Array] | None = None


class LoadedModule:
    """A module with its variables in memory, and its kernels decoded as they are launched."""

    def __init__(self, module: Module, memory: GlobalMemory) -> None:
        self._module = module
        self._memory = memory
        self._symbols: dict[str, int] = {}
        for name, variable in module.variables.items():
            if variable.space == "shared":  # `extern`: where dynamic shared memory begins
                self._symbols[name] = SHARED_BASE
                continue
            content = np.zeros(variable.size, np.uint8)
            content[: len(variable.initial)] = np.frombuffer(variable.initial, np.uint8)
            self._symbols[name] = memory.add(content)
        self._prepared: dict[tuple[str, Grid, int], _Runner] = {}

    def kernel(self, name: str) -> Kernel:
        """Raises DeviceError for an unknown one."""
        if name not in self._module.kernels:
            raise DeviceError(f"the module has no kernel {name!r}")
        return self._module.kernels[name]

    def launch(self, name: str, grid: Grid, arguments: Sequence[int | bytes], blocks: int | None = None) -> None:
        """Run the kernel on `arguments`, one for each of its parameters: integers (addresses and sizes) or bytes.

        blocks: so many of the grid's, from the first on, where all of them are more than somebody wants to look at.

        Raises DeviceError (AccessError for memory): an unknown kernel, wrong arguments, and what a lane did wrong.
        """
        kernel = self.kernel(name)
        if len(arguments) != len(kernel.parameters):
            raise DeviceError(f"kernel {name} takes {len(kernel.parameters)} arguments, not {len(arguments)}")
        parameters = {
            parameter: (
                argument if isinstance(argument, bytes) else struct.pack("<q" if argument < 0 else "<Q", argument)
            )[: variable.size]
            for (parameter, variable), argument in zip(kernel.parameters.items(), arguments, strict=True)
        }
        wave = max(1, _LANES_AT_ONCE // grid.threads)
        last = grid.blocks if blocks is None else min(blocks, grid.blocks)
        for first in range(0, last, wave):
            self._runner(kernel, grid, min(wave, last - first)).run(first, parameters)

    def _runner(self, kernel: Kernel, grid: Grid, blocks: int) -> _Runner:
        key = (kernel.name, grid, blocks)
        if key not in self._prepared:
            self._prepared[key] = _Runner(Program(kernel, self._memory, self._symbols, grid, blocks))
        return self._prepared[key]


class _Runner:
    """A kernel decoded for a number of blocks at once."""

    def __init__(self, program: Program) -> None:
        self._program = program
        kernel = program.kernel
        leaders = {0, *kernel.labels.values()}
        leaders |= {number + 1 for number, each in enumerate(kernel.instructions) if _is_end(each)}
        leaders |= {number for number, each in enumerate(kernel.instructions) if _waits(each)}
        leaders |= {first for start in leaders for first in self._first_warp_wide(kernel, start, leaders)}
        starts = sorted(leader for leader in leaders if leader < len(kernel.instructions))
        self._index = {start: number for number, start in enumerate(starts)}
        self._blocks = [
            self._decode(kernel.instructions[start:stop])
            for start, stop in zip(starts, [*starts[1:], len(kernel.instructions)], strict=True)
        ]
        self._done = len(self._blocks)
        self._meets = [_together(kernel.instructions[start]) for start in starts]
        self._groups = {
            size: program.block_of_lane * -(-program.grid.threads // size) + program.lane % program.grid.threads // size
            for size in {*self._meets, 1}
        }
        self._waiting, self._parked = np.zeros(program.lanes, np.bool_), np.zeros(program.lanes, np.bool_)

    @staticmethod
    def _first_warp_wide(kernel: Kernel, start: int, leaders: set[int]) -> list[int]:
        """The first instructions of a whole warp, and of a whole warpgroup, in the straight piece of code from `start`
        on: lanes that met there stay together to its end."""
        found: list[int] = []
        for number in range(start, len(kernel.instructions)):
            if number > start and number in leaders:
                break
            if _together(kernel.instructions[number]) > max(
                [_together(kernel.instructions[each]) for each in found] + [1]
            ):
                found.append(number)
        return found

    def _decode(self, instructions: Sequence[Instruction]) -> _Block:
        steps: list[Step] = []
        for instruction in instructions:
            if _waits(instruction):
                return _Block(steps, instruction, mbarrier.decode_wait(self._program, instruction))
            if _is_end(instruction):
                return _Block(steps, instruction)
            decoder = _DECODERS.get(instruction.opcode)
            if decoder is None:
                raise unknown(instruction)
            steps.append(self._program.guarded(instruction, decoder(self._program, instruction)))
        return _Block(steps, None)

    def run(self, first_block: int, parameters: dict[str, bytes]) -> None:
        """Run until all lanes have ended."""
        self._program.start(first_block, parameters)
        self._waiting[:] = self._parked[:] = False
        place = np.zeros(self._program.lanes, np.int64)
        with np.errstate(all="ignore"):  # inactive lanes compute on whatever they hold
            has_moved = True
            while True:
                ready = np.where(self._waiting | self._parked, self._done, place)
                current, active = self._choose(ready, place)
                if current != self._done:
                    has_moved |= self._run_block(current, active, place)
                elif self._parked.any() and has_moved:
                    self._parked[:] = has_moved = False
                elif self._release(place):
                    has_moved = True
                elif self._parked.any():
                    raise self._deadlock(place)
                else:
                    return

    def _choose(self, ready: Array, place: Array) -> tuple[int, Array]:
        """The block to run next, and for which lanes: the earliest, but for warps that wait for lanes elsewhere."""
        first = int(ready.min())
        candidates = ready
        while True:
            current = int(candidates.min())
            active = candidates == current
            if current == self._done and self._parked.any():
                return current, active
            if current == self._done:  # none but warps whose lanes will never meet: the instruction says what is wrong
                return first, ready == first
            if self._meets[current] == 1 or active.all():
                return current, active
            group = self._groups[self._meets[current]]
            alive, here = (np.bincount(group, each, int(group[-1]) + 1) for each in (place < self._done, active))
            complete = active & (alive == here)[group]
            if complete.any():
                return current, complete
            candidates = np.where(active, self._done, candidates)

    def _run_block(self, number: int, active: Array, place: Array) -> bool:
        """Whether any lane has moved on."""
        block = self._blocks[number]
        mask: Mask = None if active.all() else active
        for step in block.steps:
            step(mask)
        end = block.end
        going = active
        if end is not None and end.guard is not None:
            predicate = self._program.predicate(end.guard[0])
            going = active & (~predicate if end.guard[1] else predicate)
        if block.passes is not None:
            passing = block.passes(active)
            place[passing] = number + 1
            self._parked |= active & ~passing
            return bool(passing.any())
        place[active] = number + 1
        if end is None:
            return True
        if end.opcode == "bra":
            (target,) = end.operands
            assert isinstance(target, Symbol)
            place[going] = self._target(target.name)
        elif end.opcode == "brx":
            place[going] = self._targets(end, going)
        elif end.opcode in ("ret", "exit"):
            place[going] = self._done
        elif end.opcode == "trap":
            if going.any():
                where = self._program.describe(int(np.flatnonzero(going)[0]))
                raise DeviceError(f"kernel {self._program.kernel.name}, {where}: trap (PTX line {end.line})")
        elif end.opcode in ("bar", "barrier"):
            self._wait(end, going)
        else:
            raise unknown(end)
        return True

    def _targets(self, instruction: Instruction, going: Array) -> Array:
        """Where brx.idx leads each of the lanes: to the label of that number in its list."""
        index, labels = instruction.operands
        assert isinstance(labels, Symbol)
        places = np.array([self._target(label) for label in self._program.kernel.targets[labels.name]])
        indices = np.asarray(self._program.read(index, "u32")())
        chosen = np.broadcast_to(indices, going.shape)[going]
        if chosen.max(initial=0) >= places.size:
            raise DeviceError(
                f"kernel {self._program.kernel.name}: a branch beyond its list (PTX line {instruction.line})"
            )
        return places[chosen]

    def _target(self, label: str) -> int:
        start = self._program.kernel.labels[label]
        return self._index.get(start, self._done)

    def _wait(self, instruction: Instruction, going: Array) -> None:
        """bar.sync 0: all threads of the block."""
        kind = [each for each in instruction.modifiers if each not in ("cta", "aligned")]
        if kind != ["sync"] or instruction.operands != (Immediate(0),):
            raise unknown(instruction)
        self._waiting |= going

    def _release(self, place: Array) -> bool:
        """Lets those go on whose whole block waits, if there are any; threads that have ended are not waited for.

        Called when nobody can run: then every thread waits, is parked or has ended.
        """
        blocks = self._program.block_of_lane
        elsewhere = np.bincount(blocks, (place < self._done) & ~self._waiting) > 0
        free = self._waiting & ~elsewhere[blocks]
        if not free.any():
            return False
        self._program.order.meet(np.unique(blocks[free]))
        self._waiting[free] = False
        return True

    def _deadlock(self, place: Array) -> DeviceError:
        program = self._program
        lane = int(np.flatnonzero(self._parked)[0])
        end = self._blocks[int(place[lane])].end
        assert end is not None
        return DeviceError(
            f"kernel {program.kernel.name}, {program.describe(lane)}: {end.name} (PTX line {end.line}) waits for a "
            "phase that never ends"
        )
