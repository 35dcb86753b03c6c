"""Contractions over a pre-tiled right side: what materialisation makes where the left side stays in rows.

With a broadcast micro-kernel the left side needs no packing, so that NHWC activations are read where they lie and only
the weights are tiled, offline. Tiles are `rhs[N1, K1, N0, K0]` = element (k1 * K0 + k0, n1 * N0 + n0), zero beyond the
edges: the right-hand layout of `linalg.mmt4d`. All results start from zero; biases are epilogues.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, FloatAttr, IndexType, IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class MatmulOp(IRDLOperation):
    """result[(b,) m, n] = sum over k of (lhs[(b,) m, k] + lhs_offset) * rhs tiles[(b,) n1, k1, n0, k0].

    `lhs` is [M, K] or [B, M, K], `rhs` [N1, K1, N0, K0] or [B, N1, K1, N0, K0], the result [M, N] or [B, M, N].
    Types (lhs, rhs -> result): f32, f32|f16|i8 -> f32; bf16, bf16 -> f32; f16, f16 -> f32|f16; i8, i8 -> i32. A
    narrower rhs is converted exactly as it is loaded. `columns` is N where only a call knows it. `rows` is M0, the rows
    of the register tile. `lhs_offset` (integers only, 0 or 128) makes a signed left side unsigned for `vpdpbusd`;
    whoever sets it subtracts offset * sum(rhs) afterwards. `multiply_type` (f32 only) is what both sides may be rounded
    to as they are multiplied: tf32.
    """

    name = "tiled.matmul"

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    columns = opt_operand_def(IndexType)
    result = result_def(TensorType)
    rows = prop_def(IntegerAttr)
    lhs_offset = opt_prop_def(IntegerAttr)
    multiply_type = opt_prop_def(Attribute)
    traits = traits_def(Pure())

    def __init__(
        self,
        lhs: SSAValue,
        rhs: SSAValue,
        result_type: Attribute,
        rows: int,
        lhs_offset: int = 0,
        columns: SSAValue | None = None,
        multiply_type: Attribute | None = None,
    ) -> None:
        super().__init__(
            operands=[lhs, rhs, columns],
            result_types=[result_type],
            properties={
                "rows": IntegerAttr(rows, i64),
                "lhs_offset": IntegerAttr(lhs_offset, i64) if lhs_offset else None,
                "multiply_type": multiply_type,
            },
        )

    def verify_(self) -> None:
        ranks = [value.type.get_num_dims() for value in (self.lhs, self.rhs, self.result)]  # pyright: ignore
        if ranks not in ([2, 4, 2], [3, 5, 3]):
            raise VerifyException(f"tiled.matmul: ranks of lhs, rhs, result must be 2, 4, 2 or 3, 5, 3, got {ranks}")
        shape = self.result.type.get_shape()  # pyright: ignore[reportAttributeAccessIssue]
        if (self.columns is None) != (shape[-1] != DYNAMIC_INDEX):
            raise VerifyException(
                "tiled.matmul: columns must be given exactly where the result's type does not say them"
            )


@irdl_op_definition
class Conv2DOp(IRDLOperation):
    """Convolution of image [N, H, W, C] with tiles [F1, K1, F0, K0] of the filter, K running over (kh, kw, c) in rows.

    The result is [N, OH, OW, F]. `pad` is (top, bottom, left, right), filled with `pad_value` (absent: zero).
    `rows`, `lhs_offset` (also added to `pad_value`), `multiply_type` and the types are as in `tiled.matmul`.
    """

    name = "tiled.conv_2d"

    image = operand_def(TensorType)
    filter = operand_def(TensorType)
    result = result_def(TensorType)
    kernel = prop_def(DenseArrayBase.constr(i64))
    strides = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))
    pad = prop_def(DenseArrayBase.constr(i64))
    pad_value = opt_prop_def(IntegerAttr | FloatAttr)
    rows = prop_def(IntegerAttr)
    lhs_offset = opt_prop_def(IntegerAttr)
    multiply_type = opt_prop_def(Attribute)
    traits = traits_def(Pure())

    def __init__(
        self,
        image: SSAValue,
        filter: SSAValue,
        result_type: Attribute,
        *,
        kernel: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        pad: Sequence[int],
        rows: int,
        pad_value: IntegerAttr | FloatAttr | None = None,
        lhs_offset: int = 0,
        multiply_type: Attribute | None = None,
    ) -> None:
        super().__init__(
            operands=[image, filter],
            result_types=[result_type],
            properties={
                "kernel": DenseArrayBase.from_list(i64, kernel),
                "strides": DenseArrayBase.from_list(i64, strides),
                "dilations": DenseArrayBase.from_list(i64, dilations),
                "pad": DenseArrayBase.from_list(i64, pad),
                "pad_value": pad_value,
                "rows": IntegerAttr(rows, i64),
                "lhs_offset": IntegerAttr(lhs_offset, i64) if lhs_offset else None,
                "multiply_type": multiply_type,
            },
        )


Tiled = Dialect("tiled", [MatmulOp, Conv2DOp], [])
