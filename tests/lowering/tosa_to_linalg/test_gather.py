from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.tosa import dialect as tosa

from .equivalence import check_exact, floats, seeds

sizes = st.integers(1, 5)


@settings(max_examples=30, deadline=None)
@given(sizes, sizes, sizes, sizes, seeds)
def test_gather(batch: int, rows: int, width: int, channels: int, seed: int) -> None:
    indices = np.random.default_rng(seed).integers(0, rows, (batch, width), np.int32)
    check_exact([floats(seed, batch, rows, channels), indices], tosa.GatherOp)


@settings(max_examples=30, deadline=None)
@given(sizes, sizes, sizes, seeds)
def test_scatter(batch: int, rows: int, channels: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    width = generator.integers(1, rows, endpoint=True)
    indices = np.stack([generator.permutation(rows)[:width] for _ in range(batch)]).astype(np.int32)
    values = floats(seed + 1, batch, width, channels)
    check_exact([floats(seed, batch, rows, channels), indices, values], tosa.ScatterOp)
