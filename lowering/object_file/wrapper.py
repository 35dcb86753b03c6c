"""The C functions of an object file: each fills in a `runtime.abi.Call` on its stack and runs it on one thread."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from ...runtime.abi import Call, run_entry
from ...runtime.artifact import ALIGNMENT, Image
from ...runtime.host_program.instructions import Constant, Execute, Register
from ..codegen.arithmetic import i64
from ..codegen.emit import Function as Emitter
from ..codegen.threads import field
from ..codegen.types import I32, I64, PTR, Value
from ..target import Target
from .interface import Function, source_of

CODE, CONSTANTS = ".text.tosaic", ".rodata.tosaic"
"""Sections that are filled in when the wrappers are assembled."""

_PLACEHOLDERS = f"""
@code = internal constant [1 x i8] zeroinitializer, section "{CODE}"
@constants = internal constant [1 x i8] zeroinitializer, section "{CONSTANTS}"
"""

MISALIGNED = 1
"""What a function returns for a workspace that is null or not aligned."""


def emit_wrappers(functions: Sequence[Function], image: Image, target: Target) -> str:
    """LLVM IR of all functions, with placeholders for the code and constants they refer to."""
    return "\n".join([_PLACEHOLDERS, *(_emit(function, image) for function in functions)])


def _emit(function: Function, image: Image) -> str:
    parameters = [*(f"a{number}" for number in range(len(function.inputs) + len(function.outputs))), "workspace"]
    f = Emitter(function.symbol, [(PTR, name) for name in parameters], result=I32, linkage="")
    *tensors, workspace = f.arguments
    address = f.emit(I64, f"ptrtoint ptr {workspace.text} to i64")
    refuse, accept = f.label("refuse"), f.label("accept")
    low_bits = f.and_(address, i64(ALIGNMENT - 1))
    wrong = f.or_(f.icmp("eq", address, i64(0)), f.icmp("ne", low_bits, i64(0)))
    f.branch_if(wrong, refuse, accept)
    f.place(refuse)
    f.ret(f.const(I32, MISALIGNED))
    f.place(accept)
    call = f.alloca(ctypes.sizeof(Call))
    main = function.program.blocks[0]
    values: dict[Register, Value] = dict(zip(main.arguments, tensors, strict=False))
    outputs = tensors[len(function.inputs) :]
    for register, output in zip(main.yields, outputs, strict=True):
        values[source_of(function.program, register)] = output
    for register, offset in function.places.items():
        values[register] = f.gep(workspace, offset)
    constants = Value(PTR, "@constants")
    for instruction in function.calls:
        if isinstance(instruction, Constant):
            values[instruction.result] = f.gep(constants, instruction.offset)
        elif isinstance(instruction, Execute):
            segment = image.segments[instruction.segment]
            fields = {
                "inputs": _pointers(f, function, values, instruction.inputs),
                "outputs": _pointers(f, function, values, instruction.results),
                "arena": workspace,
                "constants": constants,
                "scratch": f.gep(workspace, function.arena_bytes),
                "scratch_stride": i64(segment.scratch_bytes),
                "threads": i64(1),
                "trace": f.zero(PTR),
                "barrier": f.zero(PTR),
                "table": f.zero(PTR),
            }
            for name, value in fields.items():
                f.store(value, field(f, call, Call, name))
            run = f.gep(Value(PTR, "@code"), image.entries[run_entry(segment.name)])
            f.line(f"call void {run.text}(ptr {call.text}, i64 0)")
    f.ret(f.const(I32, 0))
    return f.text()


def _pointers(f: Emitter, function: Function, values: dict[Register, Value], registers: Sequence[Register]) -> Value:
    """An array on the stack of the addresses of tensors."""
    array = f.alloca(8 * max(len(registers), 1), 8)
    for position, register in enumerate(registers):
        f.store(values[source_of(function.program, register)], f.gep(array, 8 * position))
    return array
