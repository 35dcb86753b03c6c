"""x86-64: the psABI levels, and the register tiles that keep their multipliers busy.

The micro-kernel multiplies `m0` broadcast elements of the left side with V = n0 / lanes vectors of the pre-tiled right
side per step of k. It keeps m0 * V accumulators, V vectors of the right side and one broadcast in registers:

    m0 * V + V + 1 <= registers - 1      (one is left to LLVM for addresses of constants and conversions)

so AVX-512 (32 registers) fits 14x32, 9x48 and 6x64 of f32, AVX2 (16) 6x16, SSE (16) 4x8. Per step it issues m0 * V
multiply-adds and m0 + V loads, two of each per cycle, and a multiply-add takes four cycles: V = 1 is bound by loads,
fewer than eight accumulators by latency. `_cycles` says this, `tile` takes the tile that needs the fewest cycles
for the contraction at hand, edges included: 49 rows make seven rows of seven, 144 columns three of 48.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from xdsl.dialects.builtin import bf16, i8

from ...runtime.errors import ArgumentError
from ..contraction import Contraction
from ..target import Target, Tile

TRIPLE = "x86_64-unknown-linux-gnu"

_V2 = ("x86_64", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "cx16")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

_LEVELS = {"x86-64-v2": _V2, "x86-64-v3": _V3, "x86-64-v4": _V4}
_EXTENSIONS = {
    "x86-64-v3+vnni": ("x86-64-v3", ("avxvnni",)),
    "x86-64-v4+vnni": ("x86-64-v4", ("avx512vnni",)),
    "x86-64-v4+vnni+bf16": ("x86-64-v4", ("avx512vnni", "avx512bf16")),
}
NAMES = (*_LEVELS, *_EXTENSIONS)

_OPTIONAL = ("avxvnni", "avx512vnni", "avx512bf16", "avx512vbmi")
"""Features beyond a level that code generation makes use of when the host has them."""

_FMA_LATENCY = 4
"""Cycles from operands to result of a multiply-add; Zen 4/5 and Intel since Skylake."""

_STEP_OVERHEAD = 0.5
"""Cycles that a step of k takes besides, for the loop and for loads that miss the first cache: favours big tiles."""


def from_name(name: str) -> Target:
    """A level such as "x86-64-v3", or one of them with extensions."""
    level, extensions = _EXTENSIONS.get(name, (name, ()))
    return _target(name, level, (*_LEVELS[level], *extensions))


def from_host(cpu: str, features: frozenset[str]) -> Target:
    """The highest level that a machine with these LLVM features has, with the extensions it adds."""
    available = features | {"x86_64"}
    levels = [level for level, needed in _LEVELS.items() if available.issuperset(needed)]
    if not levels:
        missing = ", ".join(sorted(set(_V2) - available))
        raise ArgumentError(f"this CPU ({cpu}) is older than x86-64-v2, the oldest supported: it lacks {missing}")
    level = levels[-1]
    return _target(cpu, level, (*_LEVELS[level], *(name for name in _OPTIONAL if name in available)), cpu)


def _target(name: str, level: str, features: tuple[str, ...], cpu: str | None = None) -> Target:
    avx512 = "avx512f" in features
    bits = 512 if avx512 else 256 if "avx2" in features else 128
    return Target(name, TRIPLE, cpu or level, features, bits, 32 if avx512 else 16, tile)


@lru_cache(maxsize=4096)
def tile(target: Target, contraction: Contraction) -> Tile:
    """The register tile for `contraction`. Left side and result stay in rows: broadcasts read them where they lie."""
    k0, lhs_offset = _step(target, contraction)
    lanes = target.vector_bits // 32
    m0, vectors = min(_fitting(target, contraction), key=lambda fit: _cycles(contraction, *fit, lanes))
    return Tile(m0, vectors * lanes, k0, lhs_offset)


def _step(target: Target, contraction: Contraction) -> tuple[int, int]:
    """(k0, lhs_offset): how many products one instruction adds up, and what makes its left side unsigned."""
    if contraction.lhs == i8:
        return (4, 128) if target.vnni else (2, 0)
    if contraction.lhs == bf16:
        return (2 if target.bf16 else 1), 0
    return 1, 0


def _fitting(target: Target, contraction: Contraction) -> Iterator[tuple[int, int]]:
    """Every (m0, V) that fits in the registers. Without a fused multiply-add the product needs one more."""
    budget = target.vector_registers - (1 if target.fma else 2)
    for vectors in (1, 2, 3, 4):
        most = (budget - 1 - vectors) // vectors
        for m0 in range(1, min(most, contraction.m) + 1):
            yield m0, vectors


def _cycles(contraction: Contraction, m0: int, vectors: int, lanes: int) -> float:
    """Cycles per step of k over the whole result, with edge tiles computed in full."""
    step = max(m0 * vectors / 2, (m0 + vectors) / 2, _FMA_LATENCY) + _STEP_OVERHEAD
    runs = contraction.m // contraction.row_run
    row_tiles = runs * -(-contraction.row_run // m0)
    column_tiles = -(-contraction.n // (vectors * lanes))
    return step * row_tiles * column_tiles
