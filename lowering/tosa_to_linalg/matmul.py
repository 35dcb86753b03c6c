"""Matrix multiplication (TOSA 1.0, section 2.2.8)."""

from __future__ import annotations

from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, is_float, shape_of
from ..dialects.linalg import BatchMatmulOp, affine_map, dims
from .body import Body
from .builder import Builder, Mapped, constant_scalar, static_shape
from .corrections import affine, sum_over
from .registry import lowers


@lowers(tosa.MatMulOp)
def _matmul(op: tosa.MatMulOp, b: Builder) -> SSAValue:
    """`linalg.batch_matmul`, also for one batch, so that no reshape stands between it and what follows.

    A transposition of the right side is taken into its indexing map. Half precision accumulates in f32.
    """
    a_zp, b_zp = constant_scalar(op.a_zp, "a_zp"), constant_scalar(op.b_zp, "b_zp")
    shape, result_element = shape_of(op.output), element_of(op.output)
    element = f32 if is_float(result_element) else result_element
    rhs, transposed = _transposed_source(op.b)
    init = b.full(0, shape, element, {0: (op.a, 0), 1: (op.a, 1), 2: (op.b, 2)})
    accumulated = b.insert(BatchMatmulOp(op.a, rhs, init, transpose_rhs=transposed)).result

    batch, row, column = dims(3)
    terms: list[Mapped] = []
    if a_zp:
        kept = [0, 1] if transposed else [0, 2]
        products = static_shape(op.a, "a")[2]
        columns = affine(b, sum_over(b, rhs, kept, element), -a_zp, products * a_zp * b_zp)
        terms.append((columns, affine_map(3, batch, column)))
    if b_zp:
        rows = affine(b, sum_over(b, op.a, [0, 1], element), -b_zp, 0)
        terms.append((rows, affine_map(3, batch, row)))
    if not terms and element == result_element:
        return accumulated

    def body(b: Body, value: SSAValue, *corrections: SSAValue) -> SSAValue:
        for correction in corrections:
            value = b.add(value, correction)
        return b.narrow(value, result_element)

    return b.elementwise([accumulated, *terms], shape, result_element, body)


def _transposed_source(value: SSAValue) -> tuple[SSAValue, bool]:
    """The source of a transposition of the last two of three dimensions and True, else the value and False."""
    owner = value.owner
    if isinstance(owner, tosa.TransposeOp) and list(owner.plain("perms")) == [0, 2, 1]:
        return owner.input1, True
    return value, False
