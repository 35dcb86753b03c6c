"""AArch64: Armv8-A with Advanced SIMD, and what later processors add to it.

Vectors are 128 bits, in 32 registers. A step multiplies by the element: one `fmla` of f32, `sdot` for four i8 at once
(FEAT_DotProd), `bfdot` for two bf16 (FEAT_BF16); bytes without `sdot` are multiplied by `smlal` as 16-bit numbers.
Two rows at once are twice as fast: `smmla` multiplies 2x8 by 8x2 bytes (FEAT_I8MM), `bfmmla` 2x4 by 4x2 bf16.
"""

from __future__ import annotations

from xdsl.dialects.builtin import bf16, i8

from ..contraction import Contraction
from ..target import Target, Tile
from .register_tile import register_tile

TRIPLE = "aarch64-unknown-linux-gnu"
BASELINE = "generic"

LEAST = ("neon",)
_OPTIONAL = ("fullfp16", "dotprod", "bf16", "i8mm", "lse")

FEATURES = (*LEAST, *_OPTIONAL)
"""All that code generation makes use of."""


def from_features(name: str, cpu: str, available: frozenset[str]) -> Target:
    """The base architecture with those of the LLVM features `available` that code generation knows."""
    optional = (feature for feature in _OPTIONAL if feature in available)
    return Target(name, TRIPLE, cpu, ("aarch64", *LEAST, *optional), 128, 32, tile)


def tile(target: Target, contraction: Contraction) -> Tile:
    """The register tile for `contraction`, in steps of as many products as one instruction adds up."""
    pairs = contraction.m != 1
    if contraction.lhs == i8 and target.has("i8mm") and pairs:
        return register_tile(target, contraction, 8, rows=2)
    if contraction.lhs == i8 and target.has("dotprod"):
        return register_tile(target, contraction, 4)
    if contraction.lhs == bf16 and target.has("bf16"):
        return register_tile(target, contraction, 4, rows=2) if pairs else register_tile(target, contraction, 2)
    return register_tile(target, contraction, 1)
