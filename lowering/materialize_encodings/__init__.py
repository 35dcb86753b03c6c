"""materialize-encodings: layouts become shapes, and contractions the operations that compute on them.

- a set becomes a region with a `linalg.pack`, an unset one with a `linalg.unpack`;
- a contraction whose right side alone is tiled becomes `tiled.matmul` or `tiled.conv_2d`, which absorbs its padding;
- one whose left side and result are tiled too becomes `linalg.mmt4d`, and its consumers iterate over the tiles.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ModuleOp

from ..dialects.dispatch import RegionOp
from ..dialects.encoding import SetOp, UnsetOp
from ..ir import functions
from ..set_encodings import contraction_root
from ..target import Target
from .relayout import has_layout, pack, tile_elementwise, tile_matmul, unpack
from .rows import tile_right_side


def materialize_encodings(module: ModuleOp, targets: Mapping[str, Target]) -> None:
    """Rewrite every function of `module`, in place; `targets` maps each device to the target of its code."""
    for function in functions(module):
        operations = list(function.body.block.ops)
        for op in operations:
            if isinstance(op, UnsetOp):
                unpack(op)
        for op in operations:
            if isinstance(op, SetOp):
                pack(op)
            elif isinstance(op, RegionOp):
                assert op.device is not None
                _materialize(op, targets[op.device.data])


def _materialize(region: RegionOp, target: Target) -> None:
    root = contraction_root(region)
    if root is None:
        if any(has_layout(argument) for argument in region.body.block.args):
            tile_elementwise(region)
    elif has_layout(root.result):
        tile_matmul(region, root)
    else:
        tile_right_side(region, root, target)
