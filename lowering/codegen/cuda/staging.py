"""From global to shared memory: asynchronous copies where the GPU has them, else through registers.

From sm_80 on a copy is issued, and waited for a few stages later, its bytes never seen by the thread (PTX ISA,
cp.async). What is not there is filled in by copying fewer bytes than asked for, which makes zeros, or where the filling
is another number, by copying a block of it instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...target import Target
from ...targets.nvptx import capability
from ..emit import Function
from ..types import I32, PTR, Value, bits_of, splat_literal, vector_type
from .predicated import predicated_load

_ASYNCHRONOUS_BYTES = (4, 8, 16)


@dataclass(frozen=True)
class Staging:
    """Copies vectors of `vector` x `element`, `fill` in the place of what is not there."""

    target: Target
    element: str
    vector: int
    fill: int | float = 0

    @property
    def bytes(self) -> int:
        return self.vector * bits_of(self.element) // 8

    @property
    def is_asynchronous(self) -> bool:
        return has_asynchronous_copies(self.target) and self.bytes in _ASYNCHRONOUS_BYTES

    def copy(self, f: Function, destination: Value, source: Value, there: Value | None) -> None:
        """Copies a vector to shared memory; if it is asynchronous, to be committed and waited for."""
        type = vector_type(self.element, self.vector)
        if not self.is_asynchronous:
            padding = Value(type, splat_literal(type, self.fill))
            value = f.load(type, source) if there is None else predicated_load(f, type, source, there, padding)
            f.store(value, destination)
            return
        size = None
        if there is not None and self.fill == 0:
            size = f.select(there, f.const(I32, self.bytes), f.const(I32, 0))
        elif there is not None:
            source = f.select(there, source, f.table(self.element, [self.fill] * self.vector))
        kind = "cg" if self.bytes == _ASYNCHRONOUS_BYTES[-1] else "ca"
        to, origin = _in_space(f, destination, 3), _in_space(f, source, 1)
        name = f"llvm.nvvm.cp.async.{kind}.shared.global.{self.bytes}"
        if size is None:
            f.call("void", name, [to, origin])
        else:
            f.call("void", f"{name}.s", [to, origin, size])


def has_asynchronous_copies(target: Target) -> bool:
    """From sm_80 on."""
    return capability(target) >= 80


def commit(f: Function) -> None:
    """Ends a group of asynchronous copies of this thread."""
    f.call("void", "llvm.nvvm.cp.async.commit.group", [])


def wait(f: Function, groups: int) -> None:
    """Until all but the last `groups` groups of this thread have arrived."""
    f.call("void", "llvm.nvvm.cp.async.wait.group", [f.const(I32, groups)])


def _in_space(f: Function, pointer: Value, space: int) -> Value:
    type = f"{PTR} addrspace({space})"
    return f.emit(type, f"addrspacecast ptr {pointer.text} to {type}")
