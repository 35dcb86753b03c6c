"""What the instructions of host programs do to the registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..arrays import aligned_empty
from ..artifact import TensorType
from ..device import Array
from ..errors import ArgumentError
from .instructions import Concat, Slice
from .queues import Pending
from .station import Station

Registers: TypeAlias = list[Any]
Action: TypeAlias = Callable[[Registers], None]


def compute(function: Callable[[Sequence[Array]], Array], operands: Sequence[int], result: int) -> Action:
    def compute(registers: Registers) -> None:
        registers[result] = function([registers[operand] for operand in operands])

    return compute


def transfer(source: int, station: Station, result: int) -> Action:
    def transfer(registers: Registers) -> None:
        registers[result] = station.receive(registers[source])

    return transfer


def measure(tensor: int, dimension: int, result: int) -> Action:
    def measure(registers: Registers) -> None:
        registers[result] = np.asarray(registers[tensor].shape[dimension])

    return measure


def reshape_as_known(tensor: int, shape: tuple[int, ...], result: int) -> Action:
    def reshape(registers: Registers) -> None:
        registers[result] = registers[tensor].reshape(shape)

    return reshape


def reshape(tensor: int, shape: Sequence[int | None], dims: Sequence[int], result: int, where: str) -> Action:
    def reshape(registers: Registers) -> None:
        source, wanted = registers[tensor], filled(shape, registers, dims)
        if min(wanted, default=0) < 0 or element_count(wanted) != element_count(source.shape):
            raise ArgumentError(f"{where}: {spell(source.shape)} cannot become {spell(wanted)}")
        registers[result] = source.reshape(wanted)

    return reshape


def cut(instruction: Slice) -> Action:
    tensor, axis, result = instruction.tensor, instruction.axis, instruction.result
    before = (slice(None),) * axis

    def cut(registers: Registers) -> None:
        source = registers[tensor]
        begin, size = int(registers[instruction.offset]), int(registers[instruction.size])
        shape = filled(instruction.shape, registers, instruction.dims)
        whole = source.shape
        if not 0 <= begin <= begin + size <= whole[axis]:
            raise ArgumentError(
                f"{instruction.where}: {begin} to {begin + size} reaches outside of dimension {axis} of {spell(whole)}"
            )
        part = source[(*before, slice(begin, begin + size))]
        if element_count(shape) != element_count(part.shape):
            raise ArgumentError(f"{instruction.where}: {spell(part.shape)} is not {spell(shape)}")
        registers[result] = part.reshape(shape)

    return cut


def concatenate(instruction: Concat) -> Action:
    def concatenate(registers: Registers) -> None:
        parts = [settled(registers[register], False) for register in instruction.tensors]
        shape = filled(instruction.shape, registers, instruction.dims)
        try:
            whole = np.concatenate(parts, instruction.axis)
        except ValueError:
            sizes = ", ".join(spell(part.shape) for part in parts)
            raise ArgumentError(f"{instruction.where}: {sizes} cannot be put behind each other") from None
        if whole.shape != shape:
            raise ArgumentError(f"{instruction.where}: {spell(whole.shape)} is not {spell(shape)}")
        registers[instruction.result] = whole

    return concatenate


def extract(tensor: int, indices: Sequence[int], result: int, where: str) -> Action:
    def extract(registers: Registers) -> None:
        array = settled(registers[tensor], False)
        position = tuple([int(registers[index]) for index in indices])
        if not all(0 <= index < size for index, size in zip(position, array.shape, strict=True)):
            raise ArgumentError(f"{where}: there is no element {list(position)} in {spell(array.shape)}")
        registers[result] = np.asarray(array[position])

    return extract


def from_elements(dtype: np.dtype, shape: tuple[int, ...], elements: Sequence[int], result: int) -> Action:
    def build(registers: Registers) -> None:
        array = aligned_empty(shape, dtype)[0]
        flat = array.reshape(-1)
        for position, element in enumerate(elements):
            flat[position] = registers[element]
        registers[result] = array

    return build


def check(condition: int, operands: Sequence[int], message: str) -> Action:
    def check(registers: Registers) -> None:
        if not registers[condition]:
            raise ArgumentError(message.format(*(registers[operand] for operand in operands)))

    return check


def branch(
    condition: int, branches: Sequence[Callable[[Registers, Sequence[Any]], list[Any]]], results: Sequence[int]
) -> Action:
    def branch(registers: Registers) -> None:
        yielded = branches[bool(registers[condition])](registers, ())
        for register, value in zip(results, yielded, strict=True):
            registers[register] = value

    return branch


def repeat(
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


def filled(shape: Sequence[int | None], values: Registers, dims: Sequence[int]) -> tuple[int, ...]:
    """`shape` with its unknown sizes taken from registers."""
    following = iter(dims)
    return tuple([int(values[next(following)]) if size is None else size for size in shape])


def result_shapes(types: Sequence[TensorType], values: Registers, dims: Sequence[int]) -> list[tuple[int, ...]]:
    """Raises ArgumentError for a shape that no tensor has."""
    shapes = shapes_of(types, values, dims)
    for shape in shapes:
        if min(shape, default=0) < 0:
            raise ArgumentError(f"the program makes a tensor of the impossible shape {spell(shape)}")
    return shapes


def shapes_of(types: Sequence[TensorType], values: Registers, dims: Sequence[int]) -> list[tuple[int, ...]]:
    shapes = []
    for type in types:
        count = type.dynamic_dims
        shapes.append(filled(type.shape, values, dims[:count]))
        dims = dims[count:]
    return shapes


def make_table(
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


def settled(value: Any, copy: bool) -> Array:
    """The tensor in host memory; with `copy` in memory of its own."""
    tensor = value.wait() if type(value) is Pending else value
    if not isinstance(tensor, np.ndarray):
        return tensor.to_host()
    return tensor.copy() if copy else tensor


def element_count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def spell(shape: Sequence[int]) -> str:
    return f"[{'x'.join(map(str, shape))}]"
