"""form-dispatches: operations that belong together become `dispatch.region`s, the units that one device runs.

Afterwards a host block (the body of a function, of its loops and branches) holds constants, regions, reshapes (which
are views), scalar arithmetic with what reads scalars out of tensors and makes tensors of them, checks, control flow and
its terminator. A region has at most one root with its fusable pad in front and ONE `linalg.generic` behind, the
element-wise consumers merged. An attention alone is a region of more (see `attention`); which other operations share a
region is told in `grouping`. Sizes and other scalars that a region needs are inputs, passed by value.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from ..ir import erase_dead, functions, host_blocks
from ..sizes import Sizes
from .attention import form_attention
from .bodies import flatten_bodies
from .extents import Extents
from .grouping import form_groups
from .host import settle_host
from .outline import outline
from .prepare import prepare


def form_dispatches(module: ModuleOp) -> None:
    """Rewrite every function of `module` in place."""
    for function in functions(module):
        sizes = Sizes()
        flatten_bodies(function)
        settle_host(function, sizes)
        blocks = host_blocks(function)
        for block in reversed(blocks):  # what a branch reads is known before what comes in front of it is placed
            extents = Extents(sizes)
            if form_attention(block):
                erase_dead(block)
            prepare(block, extents)
            erase_dead(block)
            sizes.settle(block)
            outline(block, form_groups(block, extents), sizes)
            erase_dead(block)
