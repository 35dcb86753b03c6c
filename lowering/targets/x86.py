"""x86-64: the psABI levels, what a processor adds to them, and the step of its register tiles."""

from __future__ import annotations

from dataclasses import replace

from xdsl.dialects.builtin import bf16, f32, f64, i8, i16, i32, i64

from ...runtime.errors import ArgumentError
from ..contraction import Contraction
from ..target import Target, Tile
from .register_tile import register_tile
from .rows import wants_rows

TRIPLE = "x86_64-unknown-linux-gnu"
BASELINE = "x86-64-v2"

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

LEAST = _V2[1:]
FEATURES = (*_V4[1:], *_OPTIONAL)
"""All that code generation makes use of."""


def from_name(name: str) -> Target:
    """A level such as "x86-64-v3", or one of them with extensions."""
    level, extensions = _EXTENSIONS.get(name, (name, ()))
    return _target(name, (*_LEVELS[level], *extensions), level)


def from_features(name: str, cpu: str, available: frozenset[str]) -> Target:
    """The highest level whose LLVM features are `available`, with the extensions that are. Raises ArgumentError."""
    available |= {"x86_64"}
    levels = [needed for needed in _LEVELS.values() if available.issuperset(needed)]
    if not levels:
        missing = ", ".join(sorted(set(_V2) - available))
        raise ArgumentError(f"{cpu} is older than x86-64-v2, the oldest supported: it lacks {missing}")
    level = levels[-1]
    # Of AVX-512 all is used or nothing.
    optional = (name for name in _OPTIONAL if name in available and (level is _V4 or not name.startswith("avx512")))
    return _target(name, (*level, *optional), cpu)


def _target(name: str, features: tuple[str, ...], cpu: str) -> Target:
    avx512 = "avx512f" in features
    bits = 512 if avx512 else 256 if "avx2" in features else 128
    return Target(name, TRIPLE, cpu, features, bits, 32 if avx512 else 16, tile)


def tile(target: Target, contraction: Contraction) -> Tile | None:
    """The register tile for `contraction`, in steps of as many products as one instruction adds up."""
    if wants_rows(contraction):
        return None
    if contraction.result in (f64, i64):
        target = replace(target, vector_bits=target.vector_bits // 2)  # registers hold half as many sums
    return register_tile(target, contraction, *_step(target, contraction))


def _step(target: Target, contraction: Contraction) -> tuple[int, int]:
    """(k0, lhs_offset): how many products one instruction adds up, and what makes its left side unsigned."""
    types = contraction.lhs, contraction.rhs, contraction.result
    if types == (i8, i8, i32):
        return (4, 128) if target.vnni else (2, 0)
    if types == (i16, i16, i32):
        return 2, 0
    if types == (bf16, bf16, f32) and target.bf16:
        return 2, 0
    return 1, 0
