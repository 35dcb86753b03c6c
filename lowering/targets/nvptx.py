"""NVIDIA GPUs: PTX for a compute capability, which the driver translates for the GPU at hand.

Contractions are shared by the threads of a block, on tensor cores (`mma_tile`) or CUDA cores (`block_tile`). Where no
kernel was written for a GPU, a thread is what a core is elsewhere: it computes a tile of its own in registers, whose
vectors LLVM takes apart into scalars, and puts together again in 128-bit loads and stores where the
alignment is known.
"""

from __future__ import annotations

from ...runtime.cuda.capability import CAPABILITIES, parse_capability
from ...runtime.errors import ArgumentError
from ..contraction import Contraction
from ..target import Target, Tile
from .block_tile import choose_block_tile
from .mma_tile import choose_mma_tile, run_depth
from .wgmma_tile import CAPABILITY as WGMMA_CAPABILITY
from .wgmma_tile import choose_wgmma_tile, part_depth

TRIPLE = "nvptx64-nvidia-cuda"

ARCHITECTURE = "nvptx64"
"""The first feature of every target."""

_SHARED_KIB = {75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227}

_VECTOR_BITS = 128
_VECTORS = 32
"""A quarter of the 255 registers of a thread is for addresses, counters and what LLVM loads ahead."""


def from_name(name: str) -> Target:
    """The target of a compute capability such as "sm_80". Raises ArgumentError."""
    if name not in CAPABILITIES:
        raise ArgumentError(f"unknown compute capability {name!r}; known: {', '.join(CAPABILITIES)}")
    return Target(name, TRIPLE, name, (ARCHITECTURE, name), _VECTOR_BITS, _VECTORS, tile)


def capability(target: Target) -> int:
    """80 of sm_80, 90 of sm_90a."""
    major, minor, _ = parse_capability(target.name)
    return 10 * major + minor


def shared_bytes(target: Target) -> int:
    """Of shared memory that a block can have (CUDA C++ Programming Guide, technical specifications)."""
    return _SHARED_KIB[capability(target)] << 10


def tile(target: Target, contraction: Contraction) -> Tile:
    """The tile of a block for tensor cores where they multiply these types, in steps of 64 bytes of k.

    On sm_90a that of warpgroups where it is theirs, in parts of 16 bytes of k, eight of them a step. Without tensor
    cores that of a block whose threads multiply one product a step on CUDA cores.
    """
    wgmma = choose_wgmma_tile(contraction) if target.name == WGMMA_CAPABILITY else None
    if wgmma is not None:
        return Tile(wgmma.rows, wgmma.columns, part_depth(contraction.lhs))
    mma = choose_mma_tile(contraction, capability(target), shared_bytes(target))
    if mma is not None:
        return Tile(mma.rows, mma.columns, run_depth(contraction.lhs))
    block = choose_block_tile(contraction)
    return Tile(block.rows, block.columns, 1)
