"""The machines that code is made for: their names, instruction sets and how they want contractions laid out."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
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
    """Chooses the layout of a contraction's operands, None for rows: a pure function of target and contraction."""

    def __call__(self, target: Target, contraction: Contraction) -> Tile | None: ...


@dataclass(frozen=True)
class Target:
    """One instruction set architecture. `features` are LLVM's names of everything the code may use.

    `cpu` is the LLVM processor whose scheduling model is followed (never what may be used), `vector_bits` the width of
    a vector register. One feature, the first, is the architecture: "x86_64", "aarch64" or "riscv64".
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
    def architecture(self) -> str:
        return self.features[0]

    @property
    def buffer_alignment(self) -> int:
        """Every tensor that a kernel reads or writes begins at a multiple of so many bytes; 1: of its elements' size.

        A GPU loads vectors from multiples of their size only. A CPU does not mind, and parts of tensors may lie
        anywhere.
        """
        return 16 if self.architecture == "nvptx64" else 1

    @property
    def baseline(self) -> str:
        """The LLVM processor that has none but features that every target of the architecture has."""
        return _architectures()[self.architecture].baseline

    @property
    def fma(self) -> bool:
        """Fused multiply-add of f32 vectors."""
        return self.has("fma") or self.has("aarch64") or self.has("riscv64")

    @property
    def converts_half(self) -> bool:
        """Instructions that convert between f16 and f32."""
        return self.has("f16c") or self.has("zfh") or self.has("aarch64")

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

    @property
    def half_width_multipliers(self) -> bool:
        """Multiply-adds of 512 bits take as long as two of 256: Zen 4."""
        return self.avx512 and self.cpu == "znver4"

    @property
    def tf32(self) -> bool:
        """Tensor cores that multiply f32 rounded to 11 bits."""
        from .targets import nvptx

        return self.architecture == nvptx.ARCHITECTURE and nvptx.capability(self) >= 80

    def tile(self, contraction: Contraction) -> Tile | None:
        return self.resolver(self, contraction)


def known_targets() -> tuple[str, ...]:
    """The names that `resolve_target` accepts besides those of LLVM's processors."""
    from .targets import x86

    return ("host", *x86.NAMES, "aarch64", "riscv64")


def resolve_target(
    name: str | None = None,
    *,
    triple: str | None = None,
    cpu: str | None = None,
    features: str | Sequence[str] = (),
) -> Target:
    """The target that code is made for.

    name: "host" is this machine; else one of `known_targets`, or a processor as LLVM spells it, such as "znver4",
        "neoverse-v1" or "sifive-u74" (`--target`). A processor of several architectures, such as "generic", needs the
        triple.
    triple: the architecture instead of, or besides, a name: "x86_64-linux-gnu", "aarch64-linux-gnu" or
        "riscv64-linux-gnu" (`--target-triple`). Alone it means the least of that architecture.
    cpu: a processor of that architecture (`--target-cpu`); without a triple it is a name.
    features: changes to what the processor has, such as "+dotprod,-lse" or ["+dotprod", "-lse"] (`--target-features`).

    Without any of them it is "host". Raises ArgumentError for what is not known, with the names that are close to it.
    """
    changes = tuple(filter(None, features.split(","))) if isinstance(features, str) else tuple(features)
    if name is not None and cpu is not None:
        raise ArgumentError(f"name a target ({name}) or its CPU ({cpu}), not both")
    if triple is None:
        return _named(name or cpu or "host", changes)
    architecture = _architecture(triple)
    if name is None:
        return _of_processor(architecture, cpu, changes) if cpu else _least(architecture, changes)
    target = _named(name, changes, architecture)
    if target.architecture != architecture.name:
        raise ArgumentError(f"target {name} is {target.architecture}, not {triple}")
    return target


@dataclass(frozen=True)
class _Architecture:
    """A family of targets: how LLVM calls it, what all of it have, and what makes a Target of features.

    `least` are the features that every target has, `baseline` is a processor that has no others.
    """

    name: str
    triple: str
    baseline: str
    least: tuple[str, ...]
    features: tuple[str, ...]
    of: Callable[[str, str, frozenset[str]], Target]


@cache
def _architectures() -> dict[str, _Architecture]:
    from .targets import aarch64, riscv64, x86

    modules = {"x86_64": x86, "aarch64": aarch64, "riscv64": riscv64}
    return {
        name: _Architecture(name, module.TRIPLE, module.BASELINE, module.LEAST, module.FEATURES, module.from_features)
        for name, module in modules.items()
    }


_SYNONYMS = {"amd64": "x86_64", "arm64": "aarch64"}


def _architecture(triple: str) -> _Architecture:
    """That of a triple such as "aarch64-linux-gnu". Raises ArgumentError for others."""
    first, *rest = triple.split("-")
    name = _SYNONYMS.get(first.lower(), first)
    if name not in _architectures() or not {"linux", "none", "elf"}.intersection(rest):
        known = ", ".join(f"{name}-linux-gnu" for name in _architectures())
        raise ArgumentError(f"unknown target triple {triple!r}; known triples: {known}")
    return _architectures()[name]


def _named(name: str, changes: tuple[str, ...], architecture: _Architecture | None = None) -> Target:
    """A target by its name, of any architecture if none is given."""
    from .targets import processors, x86

    if name == "host":
        return _host(changes)
    if name in x86.NAMES:
        target = x86.from_name(name)
        return _changed(_architectures()["x86_64"], name, target.cpu, target.features, changes) if changes else target
    if name in _architectures():
        return _least(_architectures()[name], changes)
    candidates = [architecture] if architecture else list(_architectures().values())
    having = [each for each in candidates if name in processors.processors(each.triple, each.baseline)]
    if not having:
        known = {processor for each in candidates for processor in processors.processors(each.triple, each.baseline)}
        close = processors.similar(name, known)
        raise ArgumentError(f"unknown target {name!r}{close} (known besides CPUs: {', '.join(known_targets())})")
    if len(having) > 1:
        triples = " or ".join(f"{each.name}-linux-gnu" for each in having)
        raise ArgumentError(f"target {name!r} is a CPU of several architectures: say which by the triple {triples}")
    return _of_processor(having[0], name, changes)


def _of_processor(architecture: _Architecture, cpu: str, changes: tuple[str, ...]) -> Target:
    from .targets import processors

    has = processors.features_of(architecture.triple, cpu, changes, architecture.features)
    return architecture.of("".join([cpu, *changes]), cpu, has)


def _least(architecture: _Architecture, changes: tuple[str, ...]) -> Target:
    """What every processor of the architecture can run, changed."""
    return _changed(architecture, architecture.name, architecture.baseline, architecture.least, changes)


def _changed(
    architecture: _Architecture, name: str, cpu: str, features: Sequence[str], changes: tuple[str, ...]
) -> Target:
    """A target of known `features`, changed."""
    from .targets import processors

    base = [f"+{feature}" for feature in features if feature in architecture.features]
    has = processors.features_of(architecture.triple, architecture.baseline, [*base, *changes], architecture.features)
    return architecture.of("".join([name, *changes]), cpu, has)


def _host(changes: tuple[str, ...]) -> Target:
    machine = _SYNONYMS.get(platform.machine().lower(), platform.machine())
    if machine not in _architectures():
        known = ", ".join(_architectures())
        raise ArgumentError(f"no code generation for this machine ({machine}); known architectures: {known}")
    architecture = _architectures()[machine]
    cpu = llvm.get_host_cpu_name()
    features = frozenset(name for name, has in llvm.get_host_cpu_features().items() if has)
    if changes:
        return _changed(architecture, cpu, cpu, sorted(features), changes)
    return architecture.of(cpu, cpu, features)
