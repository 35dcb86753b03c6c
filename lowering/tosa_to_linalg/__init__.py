"""tosa-to-linalg: every TOSA operator becomes linalg and tensor operations that mean exactly the same.

The result holds, at the top level of each function, `tosa.const`, tensor.{empty, pad, concat, extract_slice,
insert_slice, collapse_shape, expand_shape, dim}, `linalg.fill`, the named operations of `lowering.dialects.linalg` and
`linalg.generic`. Conventions, on which the later phases rely:

- A contraction, convolution or pooling accumulates onto a zero (for maxima: least) `linalg.fill`; its padding is a
  `tensor.pad` of the image with the input zero point. What comes after is one `linalg.generic` that adds the bias and
  the zero-point correction, averages, or rounds to a narrower result. Depthwise results [N,OH,OW,C,M] are collapsed
  to [N,OH,OW,C*M] before it.
- Integer contractions multiply raw values: with zero points a and b over K products,
  sum (x-a)(w-b) = sum xw - a sum w - b sum x + Kab. Terms of constants are built from linalg operations on them,
  which the constant evaluation runs.
- Broadcasting is in the indexing maps: a dimension of size 1 is read at the constant 0, and a reduction writes the
  dimension that it removes at the constant 0. One-element constants are scalars inside the body.
- Bodies hold arith, math, `tosa.apply_scale`, `linalg.index` and `tensor.extract` from values around them.

Operators are lowered from the last to the first, so that a lowering sees its producers still as TOSA and can take
them along (a trimming slice into a convolution, a transposition into a matmul); those left without users are dropped.
"""

from __future__ import annotations

from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.traits import Pure

from ...runtime.errors import UnsupportedError
from ...tosa.dialect import ConstOp
from ...tosa.dialect.base import TosaOp
from ..ir import host_blocks
from . import (  # noqa: F401  (each registers its lowerings)
    activation,
    convolution,
    data_movement,
    elementwise,
    fourier,
    gather,
    image,
    matmul,
    pooling,
    reduction,
    rescale,
    transpose_convolution,
)
from .builder import Builder, CannotLower
from .registry import LOWERINGS

__all__ = ["run"]


def run(module: ModuleOp) -> None:
    """Lowers all functions of `module` in place.

    Raises `UnsupportedError` that lists every operator that has no lowering, or none for its attributes or types.
    """
    reasons: list[str] = []
    for operation in list(module.body.block.ops):
        if isinstance(operation, func.FuncOp) and not operation.is_declaration:
            for block in reversed(host_blocks(operation)):
                for inner in reversed(list(block.ops)):
                    _lower(inner, reasons)
        elif isinstance(operation, TosaOp):
            reasons.append(f"{operation.name} is not supported")
    if reasons:
        raise UnsupportedError("the program uses operators that Tosaic cannot compile:", reasons[::-1])


def _lower(operation: Operation, reasons: list[str]) -> None:
    if not isinstance(operation, TosaOp):
        return
    used = any(result.uses for result in operation.results)
    if used and isinstance(operation, ConstOp):
        return
    if used or not operation.has_trait(Pure):
        try:
            _replace(operation)
        except CannotLower as error:
            name = operation.results[0].name_hint if operation.results else None
            reasons.append(f"{operation.name}{f' %{name}' if name else ''}: {error}")
            return
    operation.detach()
    operation.erase()


def _replace(operation: TosaOp) -> None:
    lowering = LOWERINGS.get(type(operation))
    if lowering is None:
        raise CannotLower("there is no lowering for this operator")
    lowered = lowering(operation, Builder(operation))
    replacements = [lowered] if isinstance(lowered, SSAValue) else lowered
    for result, replacement in zip(operation.results, replacements, strict=True):
        if replacement.name_hint is None:
            replacement.name_hint = result.name_hint
        result.replace_all_uses_with(replacement)
