"""Runs host programs.

What depends on the shapes of the inputs alone is evaluated once for each tuple of shapes: sizes, tables of segments,
shapes of results. What is left is a list of actions on the registers, so that another call with the same shapes does
little more than allocate its results and enter the devices. Blocks of control flow are prepared the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ..arrays import aligned_empty
from ..artifact import TensorType, numpy_dtype
from ..device import Array
from ..errors import ArgumentError
from .instructions import (
    NONE,
    Block,
    Check,
    Concat,
    Constant,
    Dim,
    Execute,
    Extract,
    For,
    FromElements,
    HostProgram,
    If,
    Instruction,
    Number,
    Reshape,
    Scalar,
    Slice,
    Transfer,
    While,
)
from .memory import Joint, find_joints, may_alias, stays_inside
from .queues import Pending
from .scalars import number, scalar_function
from .station import Station

Registers: TypeAlias = list[Any]
Action: TypeAlias = Callable[[Registers], None]

_MOST_PLANS = 64
"""Tuples of shapes that are remembered; programs whose shapes never repeat must not fill the memory."""


@dataclass
class _Known:
    """What is known of registers before a run: scalars and constants, and the shapes of tensors."""

    values: Registers
    scalars: set[int] = field(default_factory=set)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    joints: dict[int, Joint] = field(default_factory=dict)
    memory: dict[int, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class _Plan:
    """`values` of the registers to begin with, and what to do. `memory` is that of registers which runs share."""

    values: Registers
    actions: list[Action]
    memory: dict[int, Array]


class Interpreter:
    """One host program on the devices that it was prepared for. One run at a time."""

    def __init__(self, program: HostProgram, stations: Sequence[Station], constants: Array) -> None:
        """stations: what each device slot offers. constants: uint8, the artifact's."""
        self._program = program
        self._stations = stations
        self._constants = constants
        self._plans: dict[tuple[tuple[int, ...], ...], _Plan] = {}
        self._aliased = may_alias(program.blocks[0])
        self._inside = stays_inside(program)
        self._last: _Plan | None = None

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs, arrays of their own. Raises ArgumentError for inputs that do not fit each other, DeviceError."""
        shapes = tuple([array.shape for array in inputs])
        plan = self._plans.get(shapes) or self._prepare(shapes)
        if plan is not self._last:
            if self._last is not None:
                self._last.memory.clear()
            self._last = plan
        main = self._program.blocks[0]
        registers = plan.values.copy()
        for register, array in zip(main.arguments, inputs, strict=True):
            registers[register] = array
        try:
            for action in plan.actions:
                action(registers)
            return [
                _settled(registers[register], copy) for register, copy in zip(main.yields, self._aliased, strict=True)
            ]
        finally:
            for station in self._stations:
                station.settle()

    def _prepare(self, shapes: tuple[tuple[int, ...], ...]) -> _Plan:
        main = self._program.blocks[0]
        known = _Known([None] * self._program.registers)
        known.shapes.update(zip(main.arguments, shapes, strict=True))
        known.joints = find_joints(main)
        with np.errstate(all="ignore"):
            plan = _Plan(known.values, self._actions(main, known), known.memory)
        if len(self._plans) >= _MOST_PLANS:
            self._plans.pop(next(iter(self._plans)))
        self._plans[shapes] = plan
        return plan

    def _actions(self, block: Block, known: _Known) -> list[Action]:
        actions = (self._action(instruction, known) for instruction in block.instructions)
        return [action for action in actions if action is not None]

    def _action(self, instruction: Instruction, known: _Known) -> Action | None:
        """What to do for an instruction in every run; None where it is done now."""
        values = known.values
        match instruction:
            case Constant(dtype, shape, offset, result):
                values[result] = np.ndarray(shape, numpy_dtype(dtype), self._constants, offset)
                known.shapes[result] = shape
                return None
            case Number(type, value, result):
                values[result] = number(type, value)
                known.scalars.add(result)
                return None
            case Scalar(operands=operands, result=result):
                function = scalar_function(instruction)
                if known.scalars.issuperset(operands):
                    values[result] = function([values[operand] for operand in operands])
                    known.scalars.add(result)
                    return None
                return _compute(function, operands, result)
            case Dim(tensor, dimension, result):
                if tensor in known.shapes:
                    values[result] = np.asarray(known.shapes[tensor][dimension])
                    known.scalars.add(result)
                    return None
                return _measure(tensor, dimension, result)
            case Reshape(tensor, shape, dims, result, where):
                if known.scalars.issuperset(dims) and tensor in known.shapes:
                    wanted = _filled(shape, values, dims)
                    if min(wanted, default=0) >= 0 and _elements(wanted) == _elements(known.shapes[tensor]):
                        known.shapes[result] = wanted
                        return _reshape_as_known(tensor, wanted, result)
                return _reshape(tensor, shape, dims, result, where)
            case Slice():
                if known.scalars.issuperset(instruction.dims):
                    known.shapes[instruction.result] = _filled(instruction.shape, values, instruction.dims)
                return _slice(instruction)
            case Concat(result=result):
                if known.scalars.issuperset(instruction.dims):
                    known.shapes[result] = _filled(instruction.shape, values, instruction.dims)
                joint = known.joints.get(result)
                if joint is not None and joint.settle(known.shapes):
                    return joint.finish
                return _concatenate(instruction)
            case Extract(tensor, indices, _, result, where):
                return _extract(tensor, indices, result, where)
            case FromElements(dtype, shape, elements, result):
                known.shapes[result] = shape
                return _from_elements(numpy_dtype(dtype), shape, elements, result)
            case Check(condition, operands, message):
                if condition in known.scalars and values[condition]:
                    return None
                return _check(condition, operands, message)
            case Execute():
                return self._execute(instruction, known)
            case Transfer(tensor=tensor, result=result):  # all devices of this version share the host's memory
                if tensor in known.shapes:
                    known.shapes[result] = known.shapes[tensor]
                return _move(tensor, result)
            case For():
                return self._for(instruction, known)
            case If(condition, then, otherwise, results):
                branches = [self._enter(number, known) for number in (otherwise, then)]
                return _branch(condition, branches, results)
            case While(inits, before, after, results):
                return _while(inits, self._enter(before, known), self._enter(after, known), results)

    def _execute(self, call: Execute, known: _Known) -> Action:
        station, values = self._stations[call.device], known.values
        bound = station.segments[call.segment]
        segment = bound.segment
        types, results = segment.outputs, call.results
        dims_known = known.scalars.issuperset(call.dims)
        shapes = _shapes(types, values, call.dims) if dims_known else None
        if shapes is not None and min(map(min, filter(None, shapes)), default=0) < 0:
            shapes = None  # refused when, and if, it is computed
        if shapes is not None:
            known.shapes.update(zip(results, shapes, strict=True))
        asks = call.arena_bytes != NONE
        sizes_known = all(register in known.shapes for register in call.inputs)
        prepared = None
        if sizes_known and known.scalars.issuperset((*call.scalars, *[call.arena_bytes] * asks)):
            sizes = [known.shapes[register] for register in call.inputs]
            arena_bytes = int(values[call.arena_bytes]) if asks else 0
            prepared = _table(segment.inputs, sizes, values, call.scalars), arena_bytes
        inputs, scalars, dims = call.inputs, call.scalars, call.dims
        joints = [known.joints.get(register) for register in results]
        nowhere = [None] * len(results)
        inside = self._inside if shapes is not None else set[int]()
        is_placed = any(joints) or not inside.isdisjoint(results)

        def place(
            register: int, type: TensorType, shape: tuple[int, ...], joint: Joint | None, registers: Registers
        ) -> Array | None:
            """Where a result is to lie; None for memory of its own."""

            def allocate(register: int, shape: tuple[int, ...]) -> Array:
                if register not in inside:
                    return station.allocate(shape, type)
                if register not in known.memory:
                    known.memory[register] = station.allocate(shape, type)
                return known.memory[register]

            part = joint.place(register, registers, allocate) if joint else None
            return allocate(register, shape) if part is None and register in inside else part

        def execute(registers: Registers) -> None:
            arrays = [registers[register] for register in inputs]
            wanted = shapes if shapes is not None else _result_shapes(types, registers, dims)
            places: Sequence[Array | None] = nowhere
            if is_placed:
                places = [place(*each, registers) for each in zip(results, types, wanted, joints, strict=True)]
            if prepared is not None:
                made = station.execute(bound, arrays, wanted, *prepared, places)
            else:
                table = _table(segment.inputs, [array.shape for array in arrays], registers, scalars)
                arena_bytes = int(registers[call.arena_bytes]) if asks else 0
                made = station.execute(bound, arrays, wanted, table, arena_bytes, places)
            for register, value in zip(results, made, strict=True):
                registers[register] = value

        return execute

    def _enter(self, number: int, known: _Known) -> Callable[[Registers, Sequence[Any]], list[Any]]:
        """Block `number` as a function of the registers and its arguments that returns what it yields."""
        block = self._program.blocks[number]
        inner = _Known(known.values, set(known.scalars), dict(known.shapes))
        actions = self._actions(block, inner)

        def enter(registers: Registers, arguments: Sequence[Any]) -> list[Any]:
            for register, value in zip(block.arguments, arguments, strict=True):
                registers[register] = value
            for action in actions:
                action(registers)
            return [registers[register] for register in block.yields]

        return enter

    def _for(self, loop: For, known: _Known) -> Action:
        body = self._enter(loop.block, known)

        def run(registers: Registers) -> None:
            lower, upper, step = (registers[register] for register in (loop.lower, loop.upper, loop.step))
            if step <= 0:
                raise ArgumentError(f"{loop.where}: the step of the loop is {step}; it must be positive")
            carried = [registers[register] for register in loop.inits]
            for index in range(int(lower), int(upper), int(step)):
                carried = body(registers, [np.asarray(index, lower.dtype), *carried])
            for register, value in zip(loop.results, carried, strict=True):
                registers[register] = value

        return run


def _compute(function: Callable[[Sequence[Array]], Array], operands: Sequence[int], result: int) -> Action:
    def compute(registers: Registers) -> None:
        registers[result] = function([registers[operand] for operand in operands])

    return compute


def _move(source: int, result: int) -> Action:
    def move(registers: Registers) -> None:
        registers[result] = registers[source]

    return move


def _measure(tensor: int, dimension: int, result: int) -> Action:
    def measure(registers: Registers) -> None:
        registers[result] = np.asarray(registers[tensor].shape[dimension])

    return measure


def _reshape_as_known(tensor: int, shape: tuple[int, ...], result: int) -> Action:
    def reshape(registers: Registers) -> None:
        registers[result] = registers[tensor].reshape(shape)

    return reshape


def _reshape(tensor: int, shape: Sequence[int | None], dims: Sequence[int], result: int, where: str) -> Action:
    def reshape(registers: Registers) -> None:
        source, wanted = registers[tensor], _filled(shape, registers, dims)
        if min(wanted, default=0) < 0 or _elements(wanted) != _elements(source.shape):
            raise ArgumentError(f"{where}: {_spell(source.shape)} cannot become {_spell(wanted)}")
        registers[result] = source.reshape(wanted)

    return reshape


def _slice(instruction: Slice) -> Action:
    tensor, axis, result = instruction.tensor, instruction.axis, instruction.result
    before = (slice(None),) * axis

    def cut(registers: Registers) -> None:
        source = registers[tensor]
        begin, size = int(registers[instruction.offset]), int(registers[instruction.size])
        shape = _filled(instruction.shape, registers, instruction.dims)
        whole = source.shape
        if not 0 <= begin <= begin + size <= whole[axis]:
            raise ArgumentError(
                f"{instruction.where}: {begin} to {begin + size} reaches outside of dimension {axis} of {_spell(whole)}"
            )
        part = source[(*before, slice(begin, begin + size))]
        if _elements(shape) != _elements(part.shape):
            raise ArgumentError(f"{instruction.where}: {_spell(part.shape)} is not {_spell(shape)}")
        registers[result] = part.reshape(shape)

    return cut


def _concatenate(instruction: Concat) -> Action:
    def concatenate(registers: Registers) -> None:
        parts = [_settled(registers[register], False) for register in instruction.tensors]
        shape = _filled(instruction.shape, registers, instruction.dims)
        try:
            whole = np.concatenate(parts, instruction.axis)
        except ValueError:
            sizes = ", ".join(_spell(part.shape) for part in parts)
            raise ArgumentError(f"{instruction.where}: {sizes} cannot be put behind each other") from None
        if whole.shape != shape:
            raise ArgumentError(f"{instruction.where}: {_spell(whole.shape)} is not {_spell(shape)}")
        registers[instruction.result] = whole

    return concatenate


def _extract(tensor: int, indices: Sequence[int], result: int, where: str) -> Action:
    def extract(registers: Registers) -> None:
        array = _settled(registers[tensor], False)
        position = tuple([int(registers[index]) for index in indices])
        if not all(0 <= index < size for index, size in zip(position, array.shape, strict=True)):
            raise ArgumentError(f"{where}: there is no element {list(position)} in {_spell(array.shape)}")
        registers[result] = np.asarray(array[position])

    return extract


def _from_elements(dtype: np.dtype, shape: tuple[int, ...], elements: Sequence[int], result: int) -> Action:
    def build(registers: Registers) -> None:
        array = aligned_empty(shape, dtype)[0]
        flat = array.reshape(-1)
        for position, element in enumerate(elements):
            flat[position] = registers[element]
        registers[result] = array

    return build


def _check(condition: int, operands: Sequence[int], message: str) -> Action:
    def check(registers: Registers) -> None:
        if not registers[condition]:
            raise ArgumentError(message.format(*(registers[operand] for operand in operands)))

    return check


def _branch(
    condition: int, branches: Sequence[Callable[[Registers, Sequence[Any]], list[Any]]], results: Sequence[int]
) -> Action:
    def branch(registers: Registers) -> None:
        yielded = branches[bool(registers[condition])](registers, ())
        for register, value in zip(results, yielded, strict=True):
            registers[register] = value

    return branch


def _while(
    inits: Sequence[int],
    before: Callable[[Registers, Sequence[Any]], list[Any]],
    after: Callable[[Registers, Sequence[Any]], list[Any]],
    results: Sequence[int],
) -> Action:
    def run(registers: Registers) -> None:
        carried: Sequence[Any] = [registers[register] for register in inits]
        while True:
            holds, *carried = before(registers, carried)
            if not holds:
                break
            carried = after(registers, carried)
        for register, value in zip(results, carried, strict=True):
            registers[register] = value

    return run


def _filled(shape: Sequence[int | None], values: Registers, dims: Sequence[int]) -> tuple[int, ...]:
    """`shape` with its unknown sizes taken from registers."""
    following = iter(dims)
    return tuple([int(values[next(following)]) if size is None else size for size in shape])


def _result_shapes(types: Sequence[TensorType], values: Registers, dims: Sequence[int]) -> list[tuple[int, ...]]:
    """Raises ArgumentError for a shape that no tensor has."""
    shapes = _shapes(types, values, dims)
    for shape in shapes:
        if min(shape, default=0) < 0:
            raise ArgumentError(f"the program makes a tensor of the impossible shape {_spell(shape)}")
    return shapes


def _shapes(types: Sequence[TensorType], values: Registers, dims: Sequence[int]) -> list[tuple[int, ...]]:
    shapes = []
    for type in types:
        count = type.dynamic_dims
        shapes.append(_filled(type.shape, values, dims[:count]))
        dims = dims[count:]
    return shapes


def _table(
    types: Sequence[TensorType], shapes: Sequence[Sequence[int]], values: Registers, scalars: Sequence[int]
) -> Array | None:
    """What a segment's call hands over besides tensors: int64, see `artifact.Segment`; None for nothing."""
    entries = [
        size
        for type, shape in zip(types, shapes, strict=True)
        for size, wanted in zip(shape, type.shape, strict=True)
        if wanted is None
    ]
    if not entries and not scalars:
        return None
    table = np.zeros(len(entries) + len(scalars), np.int64)
    table[: len(entries)] = entries
    for position, register in enumerate(scalars, start=len(entries)):
        value = values[register]
        table[position : position + 1].view(value.dtype)[0] = value
    return table


def _settled(value: Any, copy: bool) -> Array:
    array = value.wait() if type(value) is Pending else value
    return array.copy() if copy else array


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _spell(shape: Sequence[int]) -> str:
    return f"[{'x'.join(map(str, shape))}]"
