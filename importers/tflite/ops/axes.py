"""Axes as TFLite writes them: negative ones count from the end."""

from __future__ import annotations

from collections.abc import Iterable


def normalize_axis(axis: int, rank: int) -> int:
    """`axis` in [0, rank); raises ValueError where there is no such dimension."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor with {rank} dimensions")
    return axis % rank


def normalize_axes(axes: Iterable[int], rank: int) -> list[int]:
    """Distinct axes in [0, rank), in ascending order."""
    return sorted({normalize_axis(int(axis), rank) for axis in axes})
