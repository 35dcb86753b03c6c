"""The machines that code is made for: their names, instruction sets and how they want contractions laid out."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Protocol

import llvmlite.binding as llvm

from ..runtime.errors import ArgumentError
from .contraction import Contraction


@dataclass(frozen=True)
class Tile:
    """How a target computes a contraction: an `m0` x `n0` block of the result in registers, `k0` steps at once.

    `lhs_offset` is added to every (integer) element of the left side, for instructions that multiply unsigned by
    signed. With `pack_rows` the left side and the result are tiled like the right side; otherwise they stay in rows.
    """

    m0: int
    n0: int
    k0: int
    lhs_offset: int = 0
    pack_rows: bool = False


class Resolver(Protocol):
    """Chooses the layout of a contraction's operands: a pure function of the target and the contraction."""

    def __call__(self, target: Target, contraction: Contraction) -> Tile: ...


@dataclass(frozen=True)
class Target:
    """One instruction set architecture. `features` are LLVM's names of everything the code may use.

    `cpu` is the LLVM processor whose scheduling model is followed, `vector_bits` the width of a vector register.
    """

    name: str
    triple: str
    cpu: str
    features: tuple[str, ...]
    vector_bits: int
    vector_registers: int
    resolver: Resolver

    def has(self, feature: str) -> bool:
        return feature in self.features

    @property
    def fma(self) -> bool:
        """Fused multiply-add of f32 vectors."""
        return self.has("fma")

    @property
    def avx512(self) -> bool:
        """512-bit vectors with masks, on bytes and words too."""
        return self.has("avx512bw") and self.has("avx512vl")

    @property
    def vnni(self) -> bool:
        """`vpdpbusd`: four u8 x i8 products added to an i32, at the full vector width."""
        return self.has("avx512vnni") if self.avx512 else self.has("avxvnni")

    @property
    def bf16(self) -> bool:
        """`vdpbf16ps`: two bf16 products added to an f32."""
        return self.has("avx512bf16")

    def tile(self, contraction: Contraction) -> Tile:
        return self.resolver(self, contraction)


def known_targets() -> tuple[str, ...]:
    """The names that `resolve_target` accepts."""
    from .targets import x86

    return ("host", *x86.NAMES)


def resolve_target(name: str) -> Target:
    """The target called `name`; "host" is this machine. Raises ArgumentError for a name that is not known."""
    from .targets import x86

    if name == "host":
        if platform.machine() not in ("x86_64", "AMD64"):
            known = ", ".join(x86.NAMES)
            raise ArgumentError(f"no code generation for this machine ({platform.machine()}); known targets: {known}")
        features = frozenset(name for name, has in llvm.get_host_cpu_features().items() if has)
        return x86.from_host(llvm.get_host_cpu_name(), features)
    if name in x86.NAMES:
        return x86.from_name(name)
    raise ArgumentError(f"unknown target {name!r}; known targets: {', '.join(known_targets())}")
