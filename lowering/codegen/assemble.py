"""LLVM IR text to relocatable object code, through llvmlite."""

from __future__ import annotations

from functools import cache

import llvmlite.binding as llvm

from ..target import Target
from .emit import ATTRIBUTES, OUTLINED


def assemble(text: str, target: Target) -> bytes:
    """The ELF object of a module of LLVM IR. Raises RuntimeError with LLVM's message if the text is not valid IR."""
    # What may be used are the target's features alone, whatever else its processor has: the runtime checks for those.
    features = ",".join(f"+{feature}" for feature in target.features if feature != target.architecture)
    target_machine = _target_machine(target.triple, target.baseline, features)
    attributes = f'attributes {ATTRIBUTES} = {{ nounwind "no-builtins" "tune-cpu"="{target.cpu}" }}\n'
    attributes += f"attributes {OUTLINED} = {{ noinline }}\n"
    with llvm.parse_assembly(text + attributes) as module:
        module.triple = target.triple
        module.data_layout = str(target_machine.target_data)
        _optimise(module, target_machine)
        return target_machine.emit_object(module)


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


def _optimise(module: llvm.ModuleRef, target_machine: llvm.TargetMachine) -> None:
    """The simplifications of -O1 on each function by itself, such as hoisting loop invariants: half the time of -O1
    on the module; the code of whole models is within 2 % as fast."""
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    # Kernels are written vectorised and unrolled as they should run.
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_unrolling = options.loop_interleaving = False
    with llvm.create_pass_builder(target_machine, options) as builder, builder.getFunctionPassManager() as passes:
        for function in module.functions:
            if not function.is_declaration:
                passes.run(function, builder)
