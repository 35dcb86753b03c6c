"""form-dispatches: operations that belong together become `dispatch.region`s, the units that one device runs.

Afterwards the body of a function holds constants, regions, reshapes (which are views) and its return. A region has at
most one root with its fusable pad in front and ONE `linalg.generic` behind, the element-wise consumers merged. Which
operations share a region is told in `grouping`.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from ..ir import erase_dead, functions
from .grouping import form_groups
from .outline import outline
from .prepare import prepare


def form_dispatches(module: ModuleOp) -> None:
    """Rewrite every function of `module` in place."""
    for function in functions(module):
        block = function.body.block
        prepare(block)
        erase_dead(block)
        outline(block, form_groups(block))
        erase_dead(block)
