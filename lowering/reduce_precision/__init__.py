"""reduce-precision: faster, less exact arithmetic where the user asks for it by name; nothing otherwise.

With "bf16" every contraction of f32 operands reads both in bf16 and still accumulates in f32: twice the products per
instruction where the target has `vdpbf16ps`, half the weights everywhere. What a dispatch hands to others is stored in
bf16, too, which halves the traffic of all that is bound by memory (see `storage` for what stays in f32); within a
dispatch everything is computed in f32. The roundings are ordinary element-wise operations: those of weights are done at
compile time, those of activations by the dispatch that computes them.
"""

from __future__ import annotations

from xdsl.dialects.builtin import AnyFloat, ModuleOp, bf16

from ...runtime.errors import ArgumentError
from ..ir import functions
from .narrowing import Narrowing

PRECISIONS: dict[str, AnyFloat] = {"bf16": bf16}
"""The types by name that contractions may be computed in."""


def reduce_precision(module: ModuleOp, precision: str | None) -> None:
    """Let contractions of f32, and what dispatches store, be of `precision`, in place. Raises ArgumentError for an
    unknown one."""
    if precision is None:
        return
    if precision not in PRECISIONS:
        raise ArgumentError(f"unknown precision {precision!r}; known ones: {', '.join(PRECISIONS)}")
    for function in functions(module):
        Narrowing(function, PRECISIONS[precision]).run()
