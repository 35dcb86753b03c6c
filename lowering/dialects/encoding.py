"""Data-tiling encodings: what a tensor is for, kept apart from how a device lays it out.

`EncodingAttr` is the target-independent form (which operand of which contraction a tensor is); a target's resolver
turns it into `LayoutAttr`, a concrete tiling, or into nothing where the target wants rows. After IREE's data tiling.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, IntAttr, StringAttr, TensorType
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

LHS, RHS, RESULT = 0, 1, 2
"""The values of `EncodingAttr.operand_index`."""

UNKNOWN = -1
"""An iteration size that only a call knows; `?` in print."""


@irdl_attr_definition
class EncodingAttr(ParametrizedAttribute):
    """Operand `operand_index` of a contraction, in words that no target owns.

    `op_type` is "matmul" or "conv_2d"; `element_types` are those of (lhs, rhs, result); `indexing_maps` are the maps
    of the three operands over the iteration space and `iteration_sizes` its extents.
    `tensor_map` leads from the iteration space to the dimensions of this very tensor: the operand's own map, or less
    for what is broadcast over the operand (a bias over the result). The right side of a conv_2d is held as the matrix
    [F, KH*KW*C]: its `tensor_map` is still that of the filter [F, KH, KW, C].
    """

    name = "encoding.encoding"

    operand_index: IntAttr
    op_type: StringAttr
    element_types: ArrayAttr[Attribute]
    indexing_maps: ArrayAttr[AffineMapAttr]
    iteration_sizes: ArrayAttr[IntAttr]
    tensor_map: AffineMapAttr

    def for_operand(self, operand_index: int) -> EncodingAttr:
        """The encoding of another operand of the same contraction."""
        return self._with(operand_index, self.indexing_maps.data[operand_index])

    def read_through(self, map: AffineMapAttr) -> EncodingAttr:
        """The encoding of a tensor that is read by `map` where one of this encoding is computed element by element."""
        return self._with(self.operand_index.data, AffineMapAttr(map.data.compose(self.tensor_map.data)))

    def _with(self, operand_index: int, tensor_map: AffineMapAttr) -> EncodingAttr:
        return EncodingAttr(
            IntAttr(operand_index),
            self.op_type,
            self.element_types,
            self.indexing_maps,
            self.iteration_sizes,
            tensor_map,
        )


@irdl_attr_definition
class LayoutAttr(ParametrizedAttribute):
    """A concrete tiling as `linalg.pack` does it: dimension `inner_dims_pos[i]` in tiles of `inner_tiles[i]`.

    The outer dimensions are permuted by `outer_dims_perm`. Until materialisation a tensor<..., layout> keeps its
    logical shape.
    """

    name = "encoding.layout"

    inner_dims_pos: ArrayAttr[IntAttr]
    inner_tiles: ArrayAttr[IntAttr]
    outer_dims_perm: ArrayAttr[IntAttr]

    @staticmethod
    def of(inner_dims_pos: Sequence[int], inner_tiles: Sequence[int], outer_dims_perm: Sequence[int]) -> LayoutAttr:
        return LayoutAttr(
            *(ArrayAttr(IntAttr(i) for i in part) for part in (inner_dims_pos, inner_tiles, outer_dims_perm))
        )


class _CastEncodingOp(IRDLOperation):
    source = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, source: SSAValue, result_type: TensorType) -> None:
        super().__init__(operands=[source], result_types=[result_type])

    def verify_(self) -> None:
        source, result = self.source.type, self.result.type
        assert isinstance(source, TensorType)
        assert isinstance(result, TensorType)
        if source.get_shape() != result.get_shape() or source.get_element_type() != result.get_element_type():
            raise VerifyException(f"{self.name}: only the encoding may differ, got {source} and {result}")


@irdl_op_definition
class SetOp(_CastEncodingOp):
    """Puts a plain tensor into the encoding of the result type."""

    name = "encoding.set"


@irdl_op_definition
class UnsetOp(_CastEncodingOp):
    """Brings an encoded tensor back to rows."""

    name = "encoding.unset"


Encoding = Dialect("encoding", [SetOp, UnsetOp], [EncodingAttr, LayoutAttr])
