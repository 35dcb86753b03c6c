"""AArch64: Armv8-A with Advanced SIMD, and what later processors add to it.

Vectors are 128 bits, in 32 registers. A step multiplies by the element: one `fmla` of f32, `sdot` for four i8 at once
(FEAT_DotProd), `bfdot` for two bf16 (FEAT_BF16); bytes without `sdot` are multiplied by `smlal` as 16-bit numbers.
"""

from __future__ import annotations

from xdsl.dialects.builtin import bf16, i8

from ..contraction import Contraction
from ..target import Target, Tile
from .register_tile import register_tile

TRIPLE = "aarch64-unknown-linux-gnu"
BASELINE = "generic"

LEAST = ("neon",)
_OPTIONAL = ("fullfp16", "dotprod", "bf16", "lse")

FEATURES = (*LEAST, *_OPTIONAL)
"""All that code generation makes use of."""


def from_features(name: str, cpu: str, available: frozenset[str]) -> Target:
    """The base architecture with those of the LLVM features `available` that code generation knows."""
    optional = (feature for feature in _OPTIONAL if feature in available)
    return Target(name, TRIPLE, cpu, ("aarch64", *LEAST, *optional), 128, 32, tile)


def tile(target: Target, contraction: Contraction) -> Tile:
    """The register tile for `contraction`, in steps of as many products as one instruction adds up."""
    if contraction.lhs == i8 and target.has("dotprod"):
        return register_tile(target, contraction, 4)
    if contraction.lhs == bf16 and target.has("bf16"):
        return register_tile(target, contraction, 2)
    return register_tile(target, contraction, 1)
