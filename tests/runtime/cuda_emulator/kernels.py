"""Small kernels in PTX, and how tests launch them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tosaic.runtime.cuda_emulator.launch import LoadedModule
from tosaic.runtime.cuda_emulator.memory import GlobalMemory
from tosaic.runtime.cuda_emulator.parser import parse
from tosaic.runtime.cuda_emulator.program import Grid
from tosaic.runtime.cuda_emulator.ptx import WIDTHS

Array = npt.NDArray[Any]

HEADER = ".version 7.0\n.target sm_80\n.address_size 64\n"

_REGISTERS = """
  .reg .pred %p<8>; .reg .b16 %rs<8>; .reg .b32 %r<16>; .reg .b64 %rd<16>; .reg .f32 %f<8>; .reg .f64 %fd<8>;
"""

INDEX = """
  mov.u32 %r10, %ctaid.x; mov.u32 %r11, %ntid.x; mov.u32 %r12, %tid.x;
  mad.lo.s32 %r13, %r10, %r11, %r12;
  cvt.u64.u32 %rd15, %r13;
"""
"""The thread's number in the grid, in %r13 and %rd15."""


def kernel(body: str, parameters: int) -> str:
    """A module with the kernel `k`, whose 64-bit parameters are p0, p1, ..."""
    declared = ", ".join(f".param .u64 p{number}" for number in range(parameters))
    return f"{HEADER}.visible .entry k({declared})\n{{{_REGISTERS}{body}\n  ret;\n}}\n"


def launch(text: str, grid: Grid, arrays: Sequence[Array], numbers: Sequence[int] = ()) -> None:
    """Run the kernel `k` on the addresses of arrays, then numbers."""
    memory = GlobalMemory()
    module = LoadedModule(parse(text), memory)
    module.launch("k", grid, [*(memory.add(array) for array in arrays), *numbers])


def apply(instruction: str, types: Sequence[str], result: str, operands: Sequence[Array]) -> Array:
    """What an instruction makes of arrays, element by element: one thread for each.

    instruction: its name, such as "add.s32", or several with {out} and {0}, {1}, ... for result and operands.
    types: of the operands in PTX. result: the type of the result.
    """
    count = operands[0].size
    threads = 64
    registers = {1: "%rs", 2: "%rs", 4: "%r", 8: "%rd"}
    lines = [INDEX]
    names: list[str] = []
    for number, type in enumerate(types):
        size = WIDTHS[type]
        name = f"{registers[size]}{number}"
        names.append(name)
        lines.append(f"ld.param.u64 %rd8, [p{number}]; mad.lo.s64 %rd9, %rd15, {size}, %rd8;")
        lines.append(f"ld.global.b{8 * size} {name}, [%rd9];")
    size = WIDTHS[result]
    target = f"{registers[size]}7"
    code = instruction if "{" in instruction else f"{instruction} {{out}}, {', '.join(names)};"
    lines.append(code.format(*names, out=target))
    lines.append(f"ld.param.u64 %rd8, [p{len(types)}]; mad.lo.s64 %rd9, %rd15, {size}, %rd8;")
    lines.append(f"st.global.b{8 * size} [%rd9], {target};")
    padded = -(-count // threads) * threads
    arrays = [np.resize(operand, padded) for operand in operands]
    out = np.zeros(padded, f"u{size}")
    launch(kernel("\n".join(lines), len(types) + 1), Grid(padded // threads, threads), [*arrays, out])
    return out[:count]
