"""LLVM IR text to relocatable object code, through llvmlite; as a program, one text after the other.

    python -P assembler.py TRIPLE CPU FEATURES       (-P: no module of this folder stands for one of the library)

It reads texts from standard input and writes their objects to standard output, each after its length in 8 bytes, until
the input ends. llvmlite runs one call at a time in a process, so that only processes work at the same time. Nothing of
the compiler is imported: a process is ready in the time that Python and llvmlite take.
"""

from __future__ import annotations

import struct
import sys
from functools import cache
from typing import BinaryIO

import llvmlite.binding as llvm

LENGTH = struct.Struct("<Q")


def object_of(text: str, triple: str, cpu: str, features: str) -> bytes:
    """The ELF object of a module of LLVM IR, of which `features` are LLVM's, such as "+avx2,+fma".

    Raises RuntimeError with LLVM's message if the text is not valid IR.
    """
    machine = _target_machine(triple, cpu, features)
    with llvm.parse_assembly(text) as module:
        module.triple = triple
        module.data_layout = str(machine.target_data)
        _optimise(module, machine)
        return machine.emit_object(module)


@cache
def _target_machine(triple: str, cpu: str, features: str) -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()  # For the system calls of the entry points, which are inline assembly.
    # The small code model and position independence make every reference within the image relative to the
    # instruction pointer, which is what `image.link` resolves.
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=1, reloc="pic", codemodel="small"
    )


def _optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """The simplifications of -O1 on each function by itself, such as hoisting loop invariants: half the time of -O1
    on the module; the code of whole models is within 2 % as fast."""
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    # Kernels are written vectorised and unrolled as they should run.
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_unrolling = options.loop_interleaving = False
    with llvm.create_pass_builder(machine, options) as builder, builder.getFunctionPassManager() as passes:
        for function in module.functions:
            if not function.is_declaration:
                passes.run(function, builder)


def read(stream: BinaryIO) -> bytes | None:
    """One text or object; None where the stream ended."""
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(header)
    data = stream.read(length)
    return data if len(data) == length else None


def write(stream: BinaryIO, data: bytes) -> None:
    """What `read` reads."""
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def _serve(triple: str, cpu: str, features: str) -> None:
    while (text := read(sys.stdin.buffer)) is not None:
        write(sys.stdout.buffer, object_of(text.decode(), triple, cpu, features))


if __name__ == "__main__":
    _serve(*sys.argv[1:])
