"""Under conditions: what is done, and loads without a branch. PTX predicates any instruction, LLVM has no load that can
be.

Of a branch around each of a dozen loads ptxas would make as many synchronisations of the warp, and none of them could
be issued before the one in front of it arrived.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..emit import Function
from ..types import I8, I16, I32, PTR, Value, bits_of, lanes_of

_WORDS = {16: ".v4.b32", 8: ".v2.b32", 4: ".b32", 2: ".b16", 1: ".b8"}
"""How PTX spells a load of so many bytes."""


def all_of(f: Function, conditions: Sequence[Value | None]) -> Value | None:
    """Whether all of these (i1) hold; None, as any of them may be: certainly."""
    every: Value | None = None
    for condition in conditions:
        if condition is not None:
            every = condition if every is None else f.and_(every, condition)
    return every


@contextmanager
def under(f: Function, *conditions: Value | None) -> Iterator[None]:
    """The body runs where all conditions hold; without any there is no branch."""
    every = all_of(f, conditions)
    if every is None:
        yield
        return
    with f.if_(every):
        yield


def predicated_load(f: Function, type: str, pointer: Value, condition: Value, fallback: Value) -> Value:
    """The `type` (1, 2, 4, 8 or 16 bytes) at `pointer` where `condition` (i1) holds, else `fallback`.

    The memory must be global, at a multiple of its size, and such as the kernel does not write.
    """
    size = bits_of(type) * lanes_of(type) // 8
    assert pointer.multiple % size == 0, f"{type} at multiples of {pointer.multiple} bytes"
    count, word = max(size // 4, 1), I32 if size >= 4 else I16
    otherwise = _words(f, f.bitcast(fallback, f"i{8 * size}" if count == 1 else f"<{count} x {I32}>"), count, size)
    registers = [f"${number}" for number in range(count)]
    destination = registers[0] if count == 1 else "{" + ", ".join(registers) + "}"
    text = f"@${2 * count} ld.global.nc{_WORDS[size]} {destination}, [${2 * count + 1}];"
    kind = "r" if word == I32 else "h"
    constraints = ",".join([*[f"={kind}"] * count, *map(str, range(count)), "b", "l"])
    address = f.emit(f"{PTR} addrspace(1)", f"addrspacecast ptr {pointer.text} to ptr addrspace(1)")
    operands = ", ".join(f"{each.type} {each.text}" for each in [*otherwise, condition, address])
    result = word if count == 1 else "{ " + ", ".join([word] * count) + " }"
    loaded = f.emit(result, f'call {result} asm "{text}", "{constraints}"({operands})')
    if count == 1:
        return f.bitcast(f.cast("trunc", loaded, I8) if size == 1 else loaded, type)
    together = f.undefined(f"<{count} x {I32}>")
    for number in range(count):
        part = f.emit(I32, f"extractvalue {result} {loaded.text}, {number}")
        together = f.insert(together, part, number)
    return f.bitcast(together, type)


def _words(f: Function, bits: Value, count: int, size: int) -> list[Value]:
    """The registers that hold `bits`."""
    if count > 1:
        return [f.extract(bits, number) for number in range(count)]
    return [f.cast("zext", bits, I16) if size == 1 else bits]
