"""materialize-encodings: layouts become shapes, and contractions the operations that compute on them.

- a set becomes a region with a `linalg.pack`, or a transposition where there are no tiles, an unset one with a
  `linalg.unpack`;
- a contraction whose right side alone is tiled becomes `tiled.matmul` or `tiled.conv_2d`, which absorbs its padding;
- one whose left side and result are tiled too becomes `linalg.mmt4d`, and its consumers iterate over the tiles
  and keep them zero beyond the edges;
- one that its target computes in rows stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ModuleOp

from ..dialects.dispatch import RegionOp
from ..dialects.encoding import SetOp, UnsetOp
from ..ir import functions, host_blocks
from ..set_encodings import contraction_root
from ..share_scalars import share_scalars
from ..sizes import Sizes
from ..target import Target
from .relayout import has_layout, pack, tile_elementwise, tile_matmul, unpack
from .rows import tile_right_side


def materialize_encodings(module: ModuleOp, targets: Mapping[str, Target]) -> None:
    """Rewrite every function of `module`, in place; `targets` maps each device to the target of its code."""
    for function in functions(module):
        sizes = Sizes()
        operations = [op for block in host_blocks(function) for op in block.ops]
        for op in operations:  # while the sizes of what is in tiles can still be told
            if isinstance(op, RegionOp | SetOp | UnsetOp):
                for result in op.results:
                    sizes.of(result)
        for op in operations:
            if isinstance(op, UnsetOp):
                unpack(op, sizes)
        for op in operations:
            if isinstance(op, SetOp):
                pack(op, sizes)
            elif isinstance(op, RegionOp):
                assert op.device is not None
                _materialize(op, targets[op.device.data], sizes)
        share_scalars(function)


def _materialize(region: RegionOp, target: Target, sizes: Sizes) -> None:
    root = contraction_root(region)
    if root is None:
        if any(has_layout(argument) for argument in region.body.block.args):
            tile_elementwise(region, sizes)
    elif has_layout(root.result):
        tile_matmul(region, root, sizes)
    else:
        tile_right_side(region, root, target, sizes)
