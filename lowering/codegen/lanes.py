"""One vector of iterations of a loop nest, and what is computed of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .types import Value


@dataclass(frozen=True)
class Lanes:
    """One vector of iterations: `count` of them along loop `loop` (of the nest) from `indices` on, under `mask`."""

    indices: list[Value]
    loop: int | None
    count: int
    mask: Value | None = None


Compute: TypeAlias = Callable[[Lanes, list[Value]], Sequence[Value]]
"""From the loaded operands (scalar where all lanes share one) to the results."""
