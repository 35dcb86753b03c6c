"""How warps use memory: what their accesses move, beside what they would if lanes lay as they should.

A warp's access to global memory moves whole sectors of 32 bytes, and each sector once ("Coalesced Access to Global
Memory", CUDA C++ Best Practices Guide). Shared memory has 32 banks of 4 bytes: a wavefront serves a word of each, to as
many lanes as want it, so that different words of one bank take one wavefront after the other ("Shared Memory", CUDA C++
Programming Guide). Accesses of 8 and 16 bytes are served by halves and quarters of a warp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .memory import LOCAL_BASE, SHARED_BASE, Array

_WARP = 32
_SECTOR = 32
_BANKS, _WORD = 32, 4
_VALUE_BITS = 44


@dataclass
class Traffic:
    """Sectors and wavefronts of all accesses, and the fewest that the same bytes could have come in."""

    sectors: int = 0
    fewest_sectors: int = 0
    wavefronts: int = 0
    fewest_wavefronts: int = 0

    def add(self, lanes: Array, addresses: Array, size: int) -> None:
        """One instruction, by which each of `lanes` uses `size` bytes, aligned to that, at its address (uint64)."""
        shared = (addresses >= SHARED_BASE) & (addresses < LOCAL_BASE)
        far = addresses < SHARED_BASE
        if far.any():
            self._add_global(lanes[far], addresses[far], size)
        if shared.any():
            self._add_shared(lanes[shared], addresses[shared] - np.uint64(SHARED_BASE), size)

    def _add_global(self, lanes: Array, addresses: Array, size: int) -> None:
        warps = lanes // _WARP
        per_sector = max(1, _SECTOR // size)
        _, sectors = _distinct(warps, addresses // np.uint64(_SECTOR))
        owners, _ = _distinct(warps, addresses // np.uint64(size))
        self.sectors += sectors.size
        counts = np.unique(owners, return_counts=True)[1]
        self.fewest_sectors += int((-(-counts // per_sector)).sum())

    def _add_shared(self, lanes: Array, addresses: Array, size: int) -> None:
        together = max(1, _WARP * _WORD // max(size, _WORD))
        groups = lanes // together
        words = max(1, size // _WORD)
        first = addresses // np.uint64(_WORD)
        all_words = (first[:, None] + np.arange(words, dtype=np.uint64)).reshape(-1)
        owners, distinct = _distinct(np.repeat(groups, words), all_words)
        banks = owners * _BANKS + distinct % _BANKS
        places, counts = np.unique(banks, return_counts=True)
        served = places // _BANKS
        starts = np.flatnonzero(np.r_[True, served[1:] != served[:-1]])
        self.wavefronts += int(np.maximum.reduceat(counts, starts).sum())
        self.fewest_wavefronts += int((-(-np.add.reduceat(counts, starts) // _BANKS)).sum())


def _distinct(owners: Array, values: Array) -> tuple[Array, Array]:
    """The pairs of an owner and a value, which is less than 2**44, each once and in order, as int64."""
    pairs = np.unique((owners.astype(np.int64) << _VALUE_BITS) | values.astype(np.int64))
    return pairs >> _VALUE_BITS, pairs & ((1 << _VALUE_BITS) - 1)
