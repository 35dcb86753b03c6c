"""What accesses of a warp move, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.runtime.cuda_emulator.memory import GLOBAL_BASE, SHARED_BASE
from tosaic.runtime.cuda_emulator.traffic import Traffic

WARP = np.arange(32)


@pytest.mark.parametrize(
    ("offsets", "size", "sectors", "fewest"),
    [
        (4 * WARP, 4, 4, 4),
        (4 * WARP + 16, 4, 5, 4),  # a line that begins within a sector
        (32 * WARP, 4, 32, 4),
        (0 * WARP, 4, 1, 1),
        (16 * WARP, 16, 16, 16),
        (12 * WARP, 1, 12, 1),
    ],
)
def test_sectors(offsets: np.ndarray, size: int, sectors: int, fewest: int) -> None:
    traffic = Traffic()
    traffic.add(WARP, (GLOBAL_BASE + offsets).astype(np.uint64), size)
    assert traffic == Traffic(sectors, fewest, 0, 0)


@pytest.mark.parametrize(
    ("offsets", "size", "wavefronts", "fewest"),
    [
        (4 * WARP, 4, 1, 1),
        (8 * WARP, 4, 2, 1),
        (128 * WARP, 4, 32, 1),
        (132 * WARP, 4, 1, 1),  # a row of 33 words
        (0 * WARP, 4, 1, 1),
        (2 * WARP, 2, 1, 1),
        (8 * WARP, 8, 2, 2),
        (16 * WARP, 16, 4, 4),
        (128 * WARP, 16, 32, 4),
    ],
)
def test_wavefronts(offsets: np.ndarray, size: int, wavefronts: int, fewest: int) -> None:
    traffic = Traffic()
    traffic.add(WARP, np.uint64(SHARED_BASE) + offsets.astype(np.uint64), size)
    assert traffic == Traffic(0, 0, wavefronts, fewest)


def test_warps_are_served_apart() -> None:
    traffic = Traffic()
    lanes = np.arange(64)
    traffic.add(lanes, np.full(64, GLOBAL_BASE, np.uint64), 4)
    traffic.add(lanes, np.full(64, SHARED_BASE, np.uint64), 4)
    assert traffic == Traffic(2, 2, 2, 2)
