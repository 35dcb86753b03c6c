"""RISC-V with 64 bits: rv64gc, and its vector extension.

Without "v" a vector is two registers of the scalar unit, which LLVM makes of 64-bit vectors; with it a vector is the
128 bits that every processor with "v" has at least.
"""

from __future__ import annotations

from ...runtime.errors import ArgumentError
from ..contraction import Contraction
from ..target import Target, Tile
from .register_tile import register_tile

TRIPLE = "riscv64-unknown-linux-gnu"
BASELINE = "generic-rv64"

LEAST = ("m", "a", "f", "d", "c")
_OPTIONAL = ("v", "zfh", "zba", "zbb")

FEATURES = (*LEAST, *_OPTIONAL)
"""All that code generation makes use of."""

_SCALAR_PAIRS = 12
"""Pairs of registers that 31 integer registers leave beside addresses and counters."""


def from_features(name: str, cpu: str, available: frozenset[str]) -> Target:
    """rv64gc with those of the LLVM features `available` that code generation knows. Raises ArgumentError."""
    missing = [feature for feature in LEAST if feature not in available]
    if missing:
        raise ArgumentError(f"{cpu} is less than rv64gc, the least supported: it lacks {', '.join(missing)}")
    optional = tuple(feature for feature in _OPTIONAL if feature in available)
    bits, registers = (128, 32) if "v" in optional else (64, _SCALAR_PAIRS)
    return Target(name, TRIPLE, cpu, ("riscv64", *LEAST, *optional), bits, registers, tile)


def tile(target: Target, contraction: Contraction) -> Tile:
    """The register tile for `contraction`, one product a step."""
    return register_tile(target, contraction, 1)
