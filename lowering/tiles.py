"""The tile with which a target computes a contraction, after what the program asks for has been heard."""

from __future__ import annotations

from dataclasses import replace

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, i1
from xdsl.ir import Operation

from ..runtime.errors import ArgumentError
from ..tosa.source import described
from .contraction import Contraction
from .dialects.encoding import DATA_TILING, TILE_SIZES, EncodingAttr
from .target import Target, Tile
from .targets.register_tile import tallest

_TYPICAL_SIZE = 1024
"""A size with which every target tiles what it can tile at all."""


def chosen_tile(target: Target, encoding: EncodingAttr) -> Tile | None:
    """The resolver's choice unless the program forces tiling or a tile; None for rows everywhere.

    What is forced has to have been checked by `check_hints`.
    """
    contraction = Contraction.of(encoding)
    tile = target.tile(contraction)
    hints = encoding.hints.data
    if tile is None and ("tile_sizes" in hints or hints.get("data_tiling") == IntegerAttr(1, i1)):
        tile = _usual_tile(target, contraction)
    sizes = hints.get("tile_sizes")
    if tile is not None and isinstance(sizes, DenseArrayBase):
        m0, n0, k0 = (int(size) for size in sizes.get_values())
        tile = replace(tile, m0=m0, n0=n0, k0=k0)
    return tile


def check_hints(op: Operation, encoding: EncodingAttr, target: Target) -> None:
    """Raise ArgumentError that names `op` and what is allowed if `target` has no kernels for what the program asks."""
    hints = encoding.hints.data
    if not hints.keys() & {"data_tiling", "tile_sizes"}:
        return
    usual = _usual_tile(target, Contraction.of(encoding))
    if usual is None:
        hint = TILE_SIZES if "tile_sizes" in hints else DATA_TILING
        types = ", ".join(str(type) for type in encoding.element_types)
        raise ArgumentError(f"{described(op)}: {hint}: target {target.name} has no tiles for element types {types}")
    sizes = hints.get("tile_sizes")
    if usual.pack_rows or not isinstance(sizes, DenseArrayBase):
        return
    m0, n0, k0 = (int(size) for size in sizes.get_values())
    lanes = target.vector_bits // 32
    allowed = {vectors * lanes: most for vectors, most in tallest(target).items()}
    if k0 != usual.k0 or m0 > allowed.get(n0, 0):
        widths = ", ".join(f"{width} (m0 up to {most})" for width, most in allowed.items())
        what = f"n0 must be one of {widths} and k0 {usual.k0}"
        raise ArgumentError(
            f"{described(op)}: {TILE_SIZES} [{m0}, {n0}, {k0}] is no tile of target {target.name}: {what}"
        )


def _usual_tile(target: Target, contraction: Contraction) -> Tile | None:
    """What the target does with a contraction of these types when no size is small."""
    size = _TYPICAL_SIZE
    return target.tile(replace(contraction, batch=1, m=size, n=size, k=size, row_run=size))


def rows_alias(row_bytes: int, m0: int, panels: int) -> bool:
    """Whether rows this far apart fall into so few cache sets that copying them pays.

    A level-1 cache maps addresses 4 KiB apart to one set of 8 to 12 ways, so that rows 1 KiB apart share four sets.
    Copying costs about 3 / n of the product.
    """
    return row_bytes % 1024 == 0 and m0 >= 4 and panels >= 4
