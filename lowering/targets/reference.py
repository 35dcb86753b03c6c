"""The device `reference`: numpy evaluates what other devices have machine code for, so any layout is right.

It wants one of its own all the same, rows packed too and the same whatever the sizes, as IREE's VMVX device does: where
it works beside a CPU, both layouts of what they share can be seen, and every operation on tiles is tested everywhere.
"""

from __future__ import annotations

from ..contraction import Contraction
from ..target import Target, Tile

_TILE = Tile(m0=8, n0=8, k0=8, pack_rows=True)


def tile(target: Target, contraction: Contraction) -> Tile:
    """8x8 tiles of everything: what one product yields is the left side of the next as it is."""
    return _TILE


TARGET = Target("reference", "", "", ("reference",), 0, 0, tile)
