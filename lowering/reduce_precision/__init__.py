"""reduce-precision: faster, less exact arithmetic where the user asks for it by name; nothing otherwise.

With "bf16" every contraction of f32 operands reads both in bf16 and still accumulates in f32: twice the products per
instruction where the target has `vdpbf16ps`, half the weights everywhere. What a dispatch hands to others is stored in
bf16, too, which halves the traffic of all that is bound by memory (see `storage` for what stays in f32); within a
dispatch everything is computed in f32. The roundings are ordinary element-wise operations: those of weights are done at
compile time, those of activations by the dispatch that computes them.

With "tf32" every contraction of f32 operands may round both to 11 bits as it multiplies them, and still accumulates in
f32: tensor cores of NVIDIA GPUs do from sm_80 on. Nothing is stored in another type. Other devices multiply in f32.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ModuleOp, bf16, f32, tf32
from xdsl.dialects.func import FuncOp

from ...runtime.errors import ArgumentError
from ..attention import Stages
from ..dialects.encoding import MULTIPLY_TYPE
from ..dialects.linalg import PlainContraction
from ..ir import functions, regions, tensor_type
from ..target import Target
from .narrowing import Narrowing

PRECISIONS = ("bf16", "tf32")
"""The types by name that contractions may be computed in."""


def reduce_precision(module: ModuleOp, precision: str | None, targets: Mapping[str, Target]) -> None:
    """Let contractions of f32 be of `precision`, in place, and with bf16 what dispatches store.

    Raises ArgumentError for an unknown one, and for one that no device of `targets` has.
    """
    if precision is None:
        return
    if precision not in PRECISIONS:
        raise ArgumentError(f"unknown precision {precision!r}; known ones: {', '.join(PRECISIONS)}")
    if precision == "tf32" and not any(target.tf32 for target in targets.values()):
        names = ", ".join(f"{device} ({target.name})" for device, target in targets.items())
        raise ArgumentError(f"precision tf32 is for NVIDIA GPUs of sm_80 and later; the devices are {names}")
    for function in functions(module):
        if precision == "tf32":
            _allow_tf32(function)
        else:
            Narrowing(function, bf16).run()


def _allow_tf32(function: FuncOp) -> None:
    """Mark the contractions all of whose operands are of f32, and so both products of an attention."""
    for region in regions(function):
        stages = Stages.of(region.body.block.ops)
        products = (stages.scores, stages.mixed) if stages is not None else ()
        for op in region.body.block.ops:
            if (isinstance(op, PlainContraction) or op in products) and all(
                tensor_type(value).get_element_type() == f32 for value in op.operands
            ):
                op.attributes[MULTIPLY_TYPE] = tf32
