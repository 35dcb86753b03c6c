"""Proof that a host program cannot go wrong but in ways its interpreter checks: every register has a type before it is
read, every block, segment and constant that is named exists, and tensors have the types that devices expect."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from ..artifact import TensorType
from ..errors import MalformedFileError
from ..record import record
from .instructions import (
    NONE,
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

if TYPE_CHECKING:
    from ..artifact import Segment, Signature, Variant

Type: TypeAlias = "TensorType | str"
"""Of a register: a tensor's or a scalar's."""

_SCALAR_TYPE = "index|bf16|f16|f32|f64|i([1-9]|[1-5][0-9]|6[0-4])"
"""As MLIR spells them."""

_MOST_REGISTERS = 1 << 24

MOST_NESTED = 64
"""Blocks in each other; the interpreter's own stack grows with them."""


@record
class Surroundings:
    """What a program may name: the segments of each device slot, and so many bytes of constants."""

    segments: Sequence[Sequence[Segment]]
    constant_bytes: int


def verify_program(program: HostProgram, signature: Signature, variant: Variant, constant_bytes: int) -> None:
    """Raises MalformedFileError naming the first instruction that is wrong."""
    surroundings = Surroundings([image.segments for image in variant.images], constant_bytes)
    _Verifier(program, surroundings).verify(
        [tensor.computed.type for tensor in signature.inputs], [tensor.computed.type for tensor in signature.outputs]
    )


class _Verifier:
    """Walks the blocks as they are entered, with the types that are known there."""

    def __init__(self, program: HostProgram, surroundings: Surroundings) -> None:
        self.program = program
        self.surroundings = surroundings
        self.where = f"program {program.signature!r}"
        self.entered: set[int] = set()
        self.depth = 0

    def verify(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> None:
        self.require(0 <= self.program.registers <= _MOST_REGISTERS, f"has {self.program.registers} registers")
        self.require(bool(self.program.blocks), "has no block")
        yielded = self.block(0, inputs, {})
        self.require(
            len(yielded) == len(outputs) and all(map(_fits, yielded, outputs)),
            f"yields {_list(yielded)}; its outputs are {_list(outputs)}",
        )

    def require(self, condition: bool, problem: str) -> None:
        if not condition:
            raise MalformedFileError(f"{self.where} {problem}")

    def block(self, number: int, arguments: Sequence[Type], outer: dict[int, Type]) -> list[Type]:
        """The types that a block yields when it is entered with `arguments`."""
        self.require(number not in self.entered, f"enters block {number} twice")
        self.entered.add(number)
        self.depth += 1
        self.require(self.depth <= MOST_NESTED, f"nests {self.depth} blocks")
        block = self.program.blocks[number]
        types = dict(outer)
        self.define(types, block.arguments, arguments)
        for instruction in block.instructions:
            operation = type(instruction).__name__.lower()
            try:
                self.define(types, *self.instruction(instruction, types, number))
            except _Problem as problem:
                raise MalformedFileError(f"{self.where}, block {number}: {operation}: {problem}") from None
        self.depth -= 1
        return [self.read(types, register) for register in block.yields]

    def define(self, types: dict[int, Type], registers: Sequence[int], values: Sequence[Type]) -> None:
        self.require(len(registers) == len(values), f"puts {len(values)} values into {len(registers)} registers")
        for register, value in zip(registers, values, strict=True):
            self.require(0 <= register < self.program.registers, f"writes register {register}")
            self.require(register not in types, f"writes register {register} twice")
            types[register] = value

    def read(self, types: dict[int, Type], register: int) -> Type:
        self.require(register in types, f"reads register {register}, which holds nothing")
        return types[register]

    def instruction(
        self, instruction: Instruction, types: dict[int, Type], block: int
    ) -> tuple[Sequence[int], Sequence[Type]]:
        """The registers that an instruction writes, and their types."""

        def tensor(register: int) -> TensorType:
            type = self.read(types, register)
            return type if isinstance(type, TensorType) else _fail(f"register {register} is a scalar")

        def scalars(registers: Sequence[int], wanted: str | None = None) -> list[str]:
            found = [self.read(types, register) for register in registers]
            for register, type in zip(registers, found, strict=True):
                if not isinstance(type, str) or (wanted is not None and type != wanted):
                    _fail(f"register {register} is a {type}, no {wanted or 'scalar'}")
            return [type for type in found if isinstance(type, str)]

        def enter(number: int, arguments: Sequence[Type]) -> list[Type]:
            _require(block < number < len(self.program.blocks), f"enters block {number} from block {block}")
            return self.block(number, arguments, types)

        match instruction:
            case Constant(dtype, shape, offset, result):
                type = _tensor_type(dtype, shape)
                end = self.surroundings.constant_bytes
                _require(None not in type.shape and 0 <= offset <= end - type.nbytes, f"{type} at {offset} of {end}")
                _require(offset % type.numpy_dtype.itemsize == 0, f"{type} at {offset} is not aligned")
                return [result], [type]
            case Number(type, _, result):
                return [result], [_scalar_type(type)]
            case Scalar():
                _try_scalar(instruction, scalars(instruction.operands))
                return [instruction.result], [instruction.type]
            case Dim(source, dimension, result):
                rank = len(tensor(source).shape)
                _require(0 <= dimension < rank, f"dimension {dimension} of {rank}")
                return [result], ["index"]
            case Reshape(source, shape, dims, result):
                type = _tensor_type(tensor(source).dtype, shape)
                scalars(dims, "index")
                _require(len(dims) == type.dynamic_dims, f"{len(dims)} sizes for {type}")
                return [result], [type]
            case Slice(source, axis, offset, size, shape, dims, result):
                type = tensor(source)
                scalars([offset, size], "index")
                is_contiguous = 0 <= axis < len(type.shape) and set(type.shape[:axis]) <= {1}
                _require(is_contiguous, f"along dimension {axis} of {type}")
                sliced = _tensor_type(type.dtype, shape)
                _require(len(scalars(dims, "index")) == sliced.dynamic_dims, f"{len(dims)} sizes for {sliced}")
                return [result], [sliced]
            case Concat(tensors, axis, shape, dims, result):
                parts = [tensor(register) for register in tensors]
                _require(bool(parts), "of nothing")
                ranks = {len(part.shape) for part in parts}
                _require(ranks == {len(shape)} and 0 <= axis < len(shape), f"along dimension {axis}")
                _require(len({part.dtype for part in parts}) == 1, f"of {_list(parts)}")
                joined = _tensor_type(parts[0].dtype, shape)
                _require(len(scalars(dims, "index")) == joined.dynamic_dims, f"{len(dims)} sizes for {joined}")
                return [result], [joined]
            case Extract(source, indices, type, result):
                scalars(indices, "index")
                _require(len(indices) == len(tensor(source).shape), f"{len(indices)} indices of {tensor(source)}")
                _require(_dtype(_scalar_type(type)) == tensor(source).dtype, f"{type} of {tensor(source)}")
                return [result], [type]
            case FromElements(dtype, shape, elements, result):
                type = _tensor_type(dtype, shape)
                _require(None not in shape and math.prod(shape) == len(elements), f"{len(elements)} for {type}")
                _require(all(_dtype(found) == dtype for found in scalars(elements)), f"other scalars for {type}")
                return [result], [type]
            case Execute():
                segment = self.segment(instruction.device, instruction.segment)
                found = [tensor(register) for register in instruction.inputs]
                matches = len(found) == len(segment.inputs) and all(map(_fits, found, segment.inputs))
                _require(matches, f"{segment.name!r} takes {_list(segment.inputs)}, got {_list(found)}")
                _require(len(scalars(instruction.scalars)) == segment.scalars, f"{segment.name!r}: scalars missing")
                unknown = sum(type.dynamic_dims for type in segment.outputs)
                _require(len(scalars(instruction.dims, "index")) == unknown, f"{segment.name!r}: sizes missing")
                asks = instruction.arena_bytes != NONE
                _require(asks == (segment.arena_bytes < 0), f"{segment.name!r}: the size of the arena")
                scalars([instruction.arena_bytes] if asks else [], "index")
                return instruction.results, segment.outputs
            case Transfer(source, device, result):
                _require(0 <= device < len(self.surroundings.segments), f"to device {device}")
                return [result], [tensor(source)]
            case Check(condition, operands, message):
                scalars([condition], "i1")
                _require(message.count("{}") == len(scalars(operands)) and _is_format(message), "its message")
                return [], []
            case For():
                kind, *others = scalars([instruction.lower, instruction.upper, instruction.step])
                _require({kind, *others} == {kind} and kind[0] == "i", f"counts in {kind}")
                carried = [self.read(types, register) for register in instruction.inits]
                _require(enter(instruction.block, [kind, *carried]) == carried, "yields other types")
                return instruction.results, carried
            case If(condition, then, otherwise, results):
                scalars([condition], "i1")
                yielded = enter(then, [])
                _require(enter(otherwise, []) == yielded, "yields different types")
                return results, yielded
            case While(inits, before, after, results):
                carried = [self.read(types, register) for register in inits]
                yielded = enter(before, carried)
                _require(yielded[:1] == ["i1"], "yields no condition")
                forwarded = yielded[1:]
                _require(enter(after, forwarded) == carried, "yields other types")
                return results, forwarded

    def segment(self, device: int, number: int) -> Segment:
        segments = self.surroundings.segments
        _require(0 <= device < len(segments), f"device {device} of {len(segments)}")
        _require(0 <= number < len(segments[device]), f"segment {number} of {len(segments[device])}")
        return segments[device][number]


class _Problem(Exception):
    """What is wrong with an instruction."""


def _fail(problem: str) -> TensorType:
    raise _Problem(problem)


def _require(condition: bool, problem: str) -> None:
    if not condition:
        _fail(problem)


def _fits(found: Type, wanted: TensorType) -> bool:
    """Whether every tensor of type `found` is one of type `wanted`."""
    if not isinstance(found, TensorType) or found.dtype != wanted.dtype or len(found.shape) != len(wanted.shape):
        return False
    return all(b is None or a == b for a, b in zip(found.shape, wanted.shape, strict=True))


def _tensor_type(dtype: str, shape: Sequence[int | None]) -> TensorType:
    type = TensorType(dtype, tuple(shape))
    _require(type.is_possible, f"the impossible type {type}")
    return type


def _scalar_type(type: str) -> str:
    _require(re.fullmatch(_SCALAR_TYPE, type) is not None, f"the unknown type {type!r}")
    return type


def _try_scalar(instruction: Scalar, operands: list[str]) -> None:
    """Compute the operation once: that it can be, and what type it gives, does not depend on the values."""
    name, of, type = instruction.name, _scalar_type(instruction.of), _scalar_type(instruction.type)
    chosen = operands[1:] if name == "arith.select" else operands
    _require(bool(chosen) and set(chosen) == {of}, f"{name} of {', '.join(operands)}, not {of}")
    _require(name.startswith(("arith.", "math.")) and name != "arith.constant", f"the unknown {name!r}")
    from .scalars import number, scalar_function

    try:
        result = scalar_function(instruction)([number(operand, 1) for operand in operands])
    except Exception as error:
        raise _Problem(f"{name} of {of}: {error}") from None
    _require(result.shape == () and result.dtype.name == _dtype(type), f"{name} of {of} to {type}")


def _dtype(type: str) -> str:
    """The numpy name of a scalar type."""
    from ..reference.records import dtype_of

    return dtype_of(type).name


def _is_format(message: str) -> bool:
    return not set(message.replace("{}", "")) & {"{", "}"}


def _list(types: Sequence[Type]) -> str:
    return ", ".join(map(str, types)) or "none"
