"""Kernels to PTX through LLVM's NVPTX back end: every kernel a `.entry` with all it calls inlined.

A kernel written for a CPU asks which of how many threads it is and where its scratch memory lies; the entry answers by
its place in the grid. One written for a GPU (`cuda/`) asks the hardware. Both are right for any number of blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import llvmlite.binding as llvm

from ...runtime.abi import ptx_entry
from ...runtime.artifact import Image, Launch, Segment
from ..target import Target
from .cuda.block import SHARED, SHARED_ALIGNMENT
from .emit import ATTRIBUTES, OUTLINED
from .kernel import Grid, Kernel

_TILES = Grid(threads=128, blocks=32)
"""For kernels of CPUs, whose threads compute a register tile each."""


def build_ptx_image(segments: Sequence[Segment], kernels: Mapping[str, Kernel], target: Target) -> Image:
    """The image that runs `segments`, whose steps name `kernels`: its code is PTX text."""
    grids = {name: kernel.grid or _TILES for name, kernel in kernels.items()}
    texts = [kernel.text + _entry(name, kernel, grids[name]) for name, kernel in kernels.items()]
    ptx = assemble_ptx("\n".join(texts), target)
    launches = tuple(
        Launch(name, grid.threads, grid.blocks, grid.shared_bytes, grid.tensor_maps) for name, grid in grids.items()
    )
    return Image(target.name, target.features, ptx.encode(), {}, tuple(segments), launches)


def _entry(name: str, kernel: Kernel, grid: Grid) -> str:
    """The function that a launch names; its parameters are the kernel's, but scratch memory is that of all threads,
    `stride` bytes for each, and tensor maps follow, as they do in a kernel that has them."""
    pointers = [f"%buffer{number}" for number in range(kernel.operands + kernel.results)]
    scalars = [f"%scalar{number}" for number in range(kernel.scalars)]
    attributes = ["noalias readonly"] * kernel.operands + ["noalias"] * kernel.results
    parameters = [f"ptr {each}" for each in pointers] + [f"i64 {each}" for each in scalars]
    declared = [f"ptr {kind} {each}" for kind, each in zip(attributes, pointers, strict=True)]
    declared += parameters[len(pointers) :]
    maps = [f"%tensor_map{number}" for number in range(len(grid.tensor_maps))]
    by_value = [f'ptr byval([128 x i8]) align 64 "nvvm.grid_constant" {each}' for each in maps]
    signature = ", ".join([*declared, "ptr %scratch", "i64 %stride", *by_value])
    arguments = ", ".join([*parameters, "ptr %own", "i64 %thread", "i64 %threads", *(f"ptr {each}" for each in maps)])
    registers = "\n".join(
        f"  %{each}.narrow = call i32 @llvm.nvvm.read.ptx.sreg.{each}.x()\n  %{each} = zext i32 %{each}.narrow to i64"
        for each in ("tid", "ntid", "ctaid", "nctaid")
    )
    # A block that shares tiles has sums in registers: ptxas is not to spill them to make room for a second block.
    occupancy = ' "nvvm.minctasm"="1"' if grid.shared_bytes else ""
    return f"""
define ptx_kernel void @{ptx_entry(name)}({signature}) "nvvm.reqntid"="{grid.threads}"{occupancy} {{
{registers}
  %before = mul i64 %ctaid, %ntid
  %thread = add i64 %before, %tid
  %threads = mul i64 %nctaid, %ntid
  %place = mul i64 %thread, %stride
  %own = getelementptr i8, ptr %scratch, i64 %place
  call void @{name}({arguments})
  ret void
}}
"""


def assemble_ptx(text: str, target: Target) -> str:
    """The PTX of a module of LLVM IR. Raises RuntimeError with LLVM's message if the text is not valid IR."""
    machine = _target_machine(target.triple, target.cpu)
    shared = f"{SHARED} = external addrspace(3) global [0 x i8], align {SHARED_ALIGNMENT}\n"
    attributes = f"attributes {ATTRIBUTES} = {{ nounwind alwaysinline }}\nattributes {OUTLINED} = {{ alwaysinline }}\n"
    with llvm.parse_assembly(shared + text + attributes) as module:
        module.triple = target.triple
        module.data_layout = str(machine.target_data)
        for function in module.functions:
            if not function.is_declaration and not function.name.startswith(ptx_entry("")):
                function.visibility, function.linkage = "default", "internal"
        _optimise(module, machine)
        return machine.emit_assembly(module)


_PTX_VERSION = {"sm_75": "+ptx70"}
"""Where LLVM would write an older version than the first that has our instructions: driver 450 reads 7.0."""


@cache
def _target_machine(triple: str, cpu: str) -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=_PTX_VERSION.get(cpu, ""), opt=2)


def _optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Inline what is called, drop what is left, and the simplifications of -O1."""
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_unrolling = options.loop_interleaving = False
    with llvm.create_pass_builder(machine, options) as builder:
        with llvm.create_new_module_pass_manager() as passes:
            passes.add_always_inliner_pass()
            passes.add_global_dead_code_eliminate_pass()
            passes.run(module, builder)
        with builder.getFunctionPassManager() as passes:
            for function in module.functions:
                if not function.is_declaration:
                    passes.run(function, builder)
