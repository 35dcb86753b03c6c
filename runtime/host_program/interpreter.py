"""Runs host programs.

What depends on the shapes of the inputs alone is evaluated once for each tuple of shapes: sizes, tables of segments,
shapes of results. What is left is a list of actions on the registers, so that another call with the same shapes does
little more than allocate its results and enter the devices. Blocks of control flow are prepared the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from ..artifact import TensorType, numpy_dtype
from ..device import Array
from ..errors import ArgumentError
from ..remote import Tensor
from .actions import (
    Action,
    Registers,
    branch,
    check,
    compute,
    concatenate,
    cut,
    element_count,
    extract,
    filled,
    from_elements,
    make_table,
    measure,
    repeat,
    reshape,
    reshape_as_known,
    result_shapes,
    settled,
    shapes_of,
    transfer,
)
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
from .scalars import number, scalar_function
from .station import Station

_MOST_PLANS = 64
"""Tuples of shapes that are remembered; programs whose shapes never repeat must not fill the memory."""


@dataclass
class _Known:
    """What is known of registers before a run: scalars and constants, and the shapes of tensors."""

    values: Registers
    scalars: set[int] = field(default_factory=set)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    joints: dict[int, Joint] = field(default_factory=dict)
    memory: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class _Plan:
    """`values` of the registers to begin with, and what to do. `memory` is that of registers which runs share."""

    values: Registers
    actions: list[Action]
    memory: dict[int, Tensor]


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
                settled(registers[register], copy) for register, copy in zip(main.yields, self._aliased, strict=True)
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
                return compute(function, operands, result)
            case Dim(tensor, dimension, result):
                if tensor in known.shapes:
                    values[result] = np.asarray(known.shapes[tensor][dimension])
                    known.scalars.add(result)
                    return None
                return measure(tensor, dimension, result)
            case Reshape(tensor, shape, dims, result, where):
                if known.scalars.issuperset(dims) and tensor in known.shapes:
                    wanted = filled(shape, values, dims)
                    if min(wanted, default=0) >= 0 and element_count(wanted) == element_count(known.shapes[tensor]):
                        known.shapes[result] = wanted
                        return reshape_as_known(tensor, wanted, result)
                return reshape(tensor, shape, dims, result, where)
            case Slice():
                if known.scalars.issuperset(instruction.dims):
                    known.shapes[instruction.result] = filled(instruction.shape, values, instruction.dims)
                return cut(instruction)
            case Concat(result=result):
                if known.scalars.issuperset(instruction.dims):
                    known.shapes[result] = filled(instruction.shape, values, instruction.dims)
                joint = known.joints.get(result)
                if joint is not None and joint.settle(known.shapes):
                    return joint.finish
                return concatenate(instruction)
            case Extract(tensor, indices, _, result, where):
                return extract(tensor, indices, result, where)
            case FromElements(dtype, shape, elements, result):
                known.shapes[result] = shape
                return from_elements(numpy_dtype(dtype), shape, elements, result)
            case Check(condition, operands, message):
                if condition in known.scalars and values[condition]:
                    return None
                return check(condition, operands, message)
            case Execute():
                return self._execute(instruction, known)
            case Transfer(tensor, device, result):
                if tensor in known.shapes:
                    known.shapes[result] = known.shapes[tensor]
                return transfer(tensor, self._stations[device], result)
            case For():
                return self._for(instruction, known)
            case If(condition, then, otherwise, results):
                branches = [self._enter(number, known) for number in (otherwise, then)]
                return branch(condition, branches, results)
            case While(inits, before, after, results):
                return repeat(inits, self._enter(before, known), self._enter(after, known), results)

    def _execute(self, call: Execute, known: _Known) -> Action:
        station, values = self._stations[call.device], known.values
        bound = station.segments[call.segment]
        segment = bound.segment
        types, results = segment.outputs, call.results
        dims_known = known.scalars.issuperset(call.dims)
        shapes = shapes_of(types, values, call.dims) if dims_known else None
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
            prepared = make_table(segment.inputs, sizes, values, call.scalars), arena_bytes
        inputs, scalars, dims = call.inputs, call.scalars, call.dims
        joints = [known.joints.get(register) for register in results]
        nowhere = [None] * len(results)
        inside = self._inside if shapes is not None else set[int]()
        is_placed = any(joints) or not inside.isdisjoint(results)

        def place(
            register: int, type: TensorType, shape: tuple[int, ...], joint: Joint | None, registers: Registers
        ) -> Tensor | None:
            """Where a result is to lie; None for memory of its own."""

            def whole(register: int, shape: tuple[int, ...]) -> Array:
                """What several devices write parts of lies on the host."""
                if register not in inside:
                    return station.host_array(shape, type.numpy_dtype)
                if register not in known.memory:
                    known.memory[register] = station.host_array(shape, type.numpy_dtype)
                return cast(Array, known.memory[register])

            part = joint.place(register, registers, whole) if joint else None
            if part is None and register in inside:
                if register not in known.memory:
                    known.memory[register] = station.allocate(shape, type)
                return known.memory[register]
            return part

        def execute(registers: Registers) -> None:
            arrays = [registers[register] for register in inputs]
            wanted = shapes if shapes is not None else result_shapes(types, registers, dims)
            places: Sequence[Tensor | None] = nowhere
            if is_placed:
                places = [place(*each, registers) for each in zip(results, types, wanted, joints, strict=True)]
            if prepared is not None:
                made = station.execute(bound, arrays, wanted, *prepared, places)
            else:
                table = make_table(segment.inputs, [array.shape for array in arrays], registers, scalars)
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
