"""Asks LLVM about a processor: run as a program by `processors`, since LLVM ends a process that asks for nonsense.

    python probe.py TRIPLE CPU CHANGES CANDIDATES       CHANGES, CANDIDATES: with commas

LLVM's tables of processors and features, which it prints once per process, go to standard error; the candidates that
the processor has go to standard output. LLVM says nowhere which features a processor implies, but its inliner only
inlines a function into one whose processor has all of the function's features.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import llvmlite.binding as llvm


def main(triple: str, cpu: str, changes: str, candidates: str) -> None:
    llvm.initialize_all_targets()
    target = llvm.Target.from_triple(triple)
    target.create_target_machine(cpu="help")
    machine = target.create_target_machine(cpu=cpu, features=changes)
    tried = candidates.split(",")
    with llvm.parse_assembly(_question(cpu, changes, tried)) as module:
        module.triple = triple
        options = llvm.create_pipeline_tuning_options(speed_level=1)
        with llvm.create_pass_builder(machine, options) as builder, builder.getModulePassManager() as passes:
            passes.run(module, builder)
        answer = str(module)
    print(",".join(name for i, name in enumerate(tried) if f"@needs{i}(" not in answer))


def _question(cpu: str, changes: str, candidates: Sequence[str]) -> str:
    """A function of `cpu` that calls one for each candidate, which has that feature besides."""
    lines = []
    for i, name in enumerate(candidates):
        features = ",".join(filter(None, [changes, f"+{name}"]))
        lines.append(f'define internal i32 @needs{i}(ptr %p) "target-cpu"="{cpu}" "target-features"="{features}" {{')
        # A volatile load: nothing about the function may be known but what it needs.
        lines.append("  %v = load volatile i32, ptr %p\n  ret i32 %v\n}")
    lines.append(f'define void @has(ptr %p) "target-cpu"="{cpu}" "target-features"="{changes}" {{')
    for i in range(len(candidates)):
        lines.append(f"  %v{i} = call i32 @needs{i}(ptr %p)\n  store volatile i32 %v{i}, ptr %p")
    return "\n".join([*lines, "  ret void\n}"])


if __name__ == "__main__":
    main(*sys.argv[1:])
