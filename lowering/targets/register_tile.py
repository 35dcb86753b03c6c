"""The register tile that keeps the multipliers of a CPU busy, by a model of its cycles.

The micro-kernel multiplies `m0` broadcast elements of the left side with V = n0 / lanes vectors of the pre-tiled right
side per step of k. It keeps m0 * V accumulators, V vectors of the right side and one broadcast in registers:

    m0 * V + V + 1 <= registers - 1      (one is left to LLVM for addresses of constants and conversions)

so 32 registers of 512 bits fit 14x32, 9x48 and 6x64 of f32, 32 of 128 bits 9x12 and 6x16, 16 of 256 bits 6x16. Per
step it issues m0 * V multiply-adds and m0 + V loads, as many of each per cycle, and a multiply-add takes four cycles:
V = 1 is bound by loads, fewer than eight accumulators by latency. `_cycles` says this, `register_tile` takes the tile
that needs the fewest cycles for the contraction at hand, edges included: 49 rows make seven rows of seven, 144 columns
three of 48.

Where multipliers are half as wide as registers, registers used by halves take half the time: 24 columns in three
halves three quarters of that of two whole registers, 8 columns half of that of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from xdsl.dialects.builtin import f32

from ..contraction import Contraction
from ..target import Target, Tile

_ISSUED = 2
"""Multiply-adds, and loads, that begin in one cycle: Zen 4/5, Intel since Skylake, Cortex-A76 and later."""

_FMA_LATENCY = 4
"""Cycles from operands to result of a multiply-add, on the same."""

_HALVES = (1, 3, 5)
"""Widths of tiles in halves of registers: even numbers are whole registers, which take fewer instructions."""

_TYPICAL_SIZE = 1024
"""What an unknown size is taken for: so large that edge tiles hardly count."""

_STEP_OVERHEAD = 0.5
"""Cycles that a step of k takes besides, for the loop and for loads that miss the first cache: favours big tiles."""


@lru_cache(maxsize=4096)
def register_tile(target: Target, contraction: Contraction, k0: int, lhs_offset: int = 0, rows: int = 1) -> Tile:
    """The tile for `contraction`. Left side and result stay in rows: broadcasts read them where they lie.

    Where an instruction takes two `rows` a tile has an even number of them, and a vector of sums two of the right side.
    """
    lanes = target.vector_bits // 32
    contraction = contraction.supposing(_TYPICAL_SIZE)
    fitting = _fitting(target, contraction) if rows == 1 else _pairs(target)
    m0, vectors, share = min(fitting, key=lambda fit: _cycles(contraction, *fit, lanes, rows))
    return Tile(m0, int(vectors * lanes * share), k0, lhs_offset)


def _fitting(target: Target, contraction: Contraction) -> Iterator[tuple[int, int, float]]:
    """Every (m0, V, part of a register that is used) that fits and has no more rows than the contraction.

    Windows stay in whole registers, which Winograd's transforms want, and integers, which are requantised in those.
    """
    widths = [(vectors, most, 1.0) for vectors, most in tallest(target).items()]
    if target.half_width_multipliers and contraction.op_type == "matmul" and contraction.result == f32:
        widths += [(vectors, _most_rows(target, vectors), 0.5) for vectors in _HALVES]
    for vectors, most, share in widths:
        for m0 in range(1, min(most, max(contraction.m, 1)) + 1):
            yield m0, vectors, share


def _pairs(target: Target) -> Iterator[tuple[int, int, float]]:
    """Every (m0, V, 1) of even m0 that fits: m0 * V sums, 2 * V vectors of the right side and one pair of rows."""
    for vectors in (1, 2, 3, 4):
        most = (target.vector_registers - 2 - 2 * vectors) // vectors
        for m0 in range(2, most + 1, 2):
            yield m0, vectors, 1.0


def tallest(target: Target) -> dict[int, int]:
    """For every width of a register tile, in vectors, the most rows with which it fits in the registers.

    Without a fused multiply-add the product needs a register more.
    """
    return {vectors: _most_rows(target, vectors) for vectors in (1, 2, 3, 4)}


def _most_rows(target: Target, vectors: int) -> int:
    budget = target.vector_registers - (1 if target.fma else 2)
    return (budget - 1 - vectors) // vectors


def _cycles(contraction: Contraction, m0: int, vectors: int, share: float, lanes: int, rows: int) -> float:
    """Cycles per step of k over the whole result, with edge tiles computed in full."""
    busy = share * max(m0 * vectors / _ISSUED, (m0 + rows * vectors) / _ISSUED, _FMA_LATENCY)
    step = busy + _STEP_OVERHEAD
    runs = contraction.m // max(contraction.row_run, 1)
    row_tiles = runs * -(-contraction.row_run // m0)
    column_tiles = -(-contraction.n // (vectors * lanes * share))
    return step * row_tiles * column_tiles
