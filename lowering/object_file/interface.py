"""What a C program sees of a compiled program: its functions, their parameters and the memory they need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...runtime.artifact import ALIGNMENT, SLACK, Artifact, Image, Signature, TensorInfo, Variant
from ...runtime.errors import UnsupportedError
from ...runtime.host_program.instructions import Constant, Execute, HostProgram, Instruction, Register, Reshape

_WORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept const const_cast
    consteval constexpr constinit continue co_await co_return co_yield decltype default delete do double dynamic_cast
    else enum explicit export extern false float for friend goto if inline int long mutable namespace new noexcept not
    not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires restrict return short
    signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef
    typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq workspace
"""
_KEYWORDS = frozenset(_WORDS.split())
"""Names that a parameter cannot have in C or C++, and the one that every function has."""


@dataclass(frozen=True)
class Parameter:
    """A tensor as a pointer. `name` is unique in its function."""

    name: str
    tensor: TensorInfo

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(size for size in self.tensor.shape if size is not None)


@dataclass(frozen=True)
class Function:
    """A signature as a C function.

    symbol: its name. calls: the executions of segments and what lies between, in order. places: of tensors that are
    only passed from one to the next, the offset in the workspace.
    """

    symbol: str
    signature: Signature
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    program: HostProgram
    places: dict[Register, int]
    arena_bytes: int
    scratch_bytes: int
    workspace_bytes: int

    @property
    def calls(self) -> tuple[Instruction, ...]:
        return self.program.blocks[0].instructions


def functions_of(artifact: Artifact, variant: Variant, prefix: str) -> tuple[Function, ...]:
    """Every signature as a function. Raises UnsupportedError that names those that cannot be one, and why."""
    reasons = []
    for signature, program in zip(artifact.signatures, variant.programs, strict=True):
        reasons += [f"{signature.name}: {reason}" for reason in _obstacles(signature, program)]
    if reasons:
        raise UnsupportedError("no object file can be made", reasons)
    names = _unique([f"{prefix}_{_plain(signature.name)}" for signature in artifact.signatures])
    (image,) = variant.images
    return tuple(
        _function(name, signature, program, image)
        for name, signature, program in zip(names, artifact.signatures, variant.programs, strict=True)
    )


def _obstacles(signature: Signature, program: HostProgram) -> Iterator[str]:
    for tensor in (*signature.inputs, *signature.outputs):
        if None in tensor.shape:
            yield f"{tensor} has sizes that only a call knows: fix them with --shape"
    (main, *inner) = program.blocks
    others = {
        type(each).__name__.lower() for each in main.instructions if not isinstance(each, Execute | Reshape | Constant)
    }
    if inner or others:
        yield f"it needs a host that runs more than calls of code ({', '.join(sorted(others))})"
        return
    results = [register for each in main.instructions if isinstance(each, Execute) for register in each.results]
    sources = _sources(program)
    yielded = [sources.get(register, register) for register in main.yields]
    if len(set(yielded)) < len(yielded) or not set(yielded) <= set(results):
        yield "it returns an input, a constant or one value twice"


def _sources(program: HostProgram) -> dict[Register, Register]:
    """What reshaped tensors are views of."""
    sources: dict[Register, Register] = {}
    for each in program.blocks[0].instructions:
        if isinstance(each, Reshape):
            sources[each.result] = sources.get(each.tensor, each.tensor)
    return sources


def source_of(program: HostProgram, register: Register) -> Register:
    return _sources(program).get(register, register)


def _function(symbol: str, signature: Signature, program: HostProgram, image: Image) -> Function:
    main = program.blocks[0]
    executed = [each for each in main.instructions if isinstance(each, Execute)]
    segments = [image.segments[each.segment] for each in executed]
    arena = _aligned(max((segment.arena_bytes for segment in segments), default=0) + SLACK)
    scratch = _aligned(max((segment.scratch_bytes for segment in segments), default=0))
    places: dict[Register, int] = {}
    end = arena + scratch
    yielded = {source_of(program, register) for register in main.yields}
    for each, segment in zip(executed, segments, strict=True):
        for register, type in zip(each.results, segment.outputs, strict=True):
            if register not in yielded:
                places[register] = end
                end += _aligned(type.nbytes)
    names = _unique([_plain(tensor.name) for tensor in (*signature.inputs, *signature.outputs)])
    parameters = [
        Parameter(name, tensor) for name, tensor in zip(names, (*signature.inputs, *signature.outputs), strict=True)
    ]
    count = len(signature.inputs)
    return Function(
        symbol, signature, tuple(parameters[:count]), tuple(parameters[count:]), program, places, arena, scratch, end
    )


def _plain(name: str) -> str:
    """A name as one in C."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
    return f"{plain}_" if plain in _KEYWORDS else f"_{plain}" if plain[0].isdigit() else plain


def _unique(names: Sequence[str]) -> list[str]:
    """Names that occur before get a number; case does not tell them apart, as macros are made of them."""
    result: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate.lower() in {other.lower() for other in result}:
            number += 1
            candidate = f"{name}_{number}"
        result.append(candidate)
    return result


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
