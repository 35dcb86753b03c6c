"""PTX where LLVM has no intrinsic for it."""

from __future__ import annotations

from collections.abc import Sequence

from ..emit import Function
from ..types import I32, Value


def emit_ptx(f: Function, text: str, constraints: str, operands: Sequence[Value], result: str = "void") -> Value:
    """`text`, which the whole warp executes in order with what is before and behind it; `$0`, `$1`, ... are its result
    and operands as `constraints` (LLVM's) name them."""
    given = ", ".join(f"{each.type} {each.text}" for each in operands)
    constraints = ",".join(filter(None, (constraints, "~{memory}")))
    call = f'call {result} asm sideeffect "{text}", "{constraints}"({given}) convergent nounwind'
    if result != "void":
        return f.emit(result, call)
    f.line(call)
    return Value("void", "")


def shared_address(f: Function, pointer: Value) -> Value:
    """The 32-bit address within shared memory of a generic pointer to it."""
    inside = f.emit("ptr addrspace(3)", f"addrspacecast ptr {pointer.text} to ptr addrspace(3)")
    return f.emit(I32, f"ptrtoint ptr addrspace(3) {inside.text} to i32")
