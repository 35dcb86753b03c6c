"""`linalg.pack` and `linalg.unpack`: rows to tiles and back."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from xdsl.dialects.builtin import DenseArrayBase, IndexType, TensorType, i64
from xdsl.dialects.utils import DynamicIndexList
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    VarConstraint,
    base,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from ....tosa.dialect.types import shape_of

_DEST = VarConstraint("DEST", base(TensorType))


class _RelayoutOp(IRDLOperation, ABC):
    """What `linalg.pack` and `linalg.unpack` share: which dimensions are tiled, by how much, in which outer order."""

    outer_dims_perm = opt_prop_def(DenseArrayBase.constr(i64))
    inner_dims_pos = prop_def(DenseArrayBase.constr(i64))
    static_inner_tiles = prop_def(DenseArrayBase.constr(i64))

    custom_directives = (DynamicIndexList,)

    def _properties(
        self, inner_dims_pos: Sequence[int], inner_tiles: Sequence[int], outer_dims_perm: Sequence[int]
    ) -> dict[str, Attribute | None]:
        return {
            "outer_dims_perm": DenseArrayBase.from_list(i64, outer_dims_perm) if outer_dims_perm else None,
            "inner_dims_pos": DenseArrayBase.from_list(i64, inner_dims_pos),
            "static_inner_tiles": DenseArrayBase.from_list(i64, inner_tiles),
        }

    @property
    def tiled_dims(self) -> tuple[int, ...]:
        return tuple(self.inner_dims_pos.get_values())  # pyright: ignore[reportReturnType]

    @property
    def tile_sizes(self) -> tuple[int, ...]:
        return tuple(self.static_inner_tiles.get_values())  # pyright: ignore[reportReturnType]

    def outer_permutation(self, rank: int) -> tuple[int, ...]:
        """For each outer dimension of the packed tensor, the dimension of the plain tensor that it counts tiles of."""
        if self.outer_dims_perm is None or not len(self.outer_dims_perm):
            return tuple(range(rank))
        return tuple(self.outer_dims_perm.get_values())  # pyright: ignore[reportReturnType]

    def packed_shape(self, plain: Sequence[int]) -> tuple[int, ...]:
        """The shape that packing gives a tensor of shape `plain`; dynamic dimensions stay dynamic."""
        outer = list(plain)
        for dim, tile in zip(self.tiled_dims, self.tile_sizes, strict=True):
            outer[dim] = -(-outer[dim] // tile) if outer[dim] >= 0 else outer[dim]
        return (*(outer[dim] for dim in self.outer_permutation(len(plain))), *self.tile_sizes)

    def _verify_shapes(self, plain: SSAValue, packed: SSAValue) -> None:
        rank = len(shape_of(plain))
        if (
            len(self.tiled_dims) != len(self.tile_sizes)
            or len(set(self.tiled_dims)) != len(self.tiled_dims)
            or any(not 0 <= dim < rank for dim in self.tiled_dims)
        ):
            raise VerifyException(f"{self.name}: inner_dims_pos must name one distinct dimension per inner tile")
        if sorted(self.outer_permutation(rank)) != list(range(rank)):
            raise VerifyException(f"{self.name}: outer_dims_perm must be a permutation of {rank} dimensions")
        if min(self.tile_sizes, default=1) < 1:
            raise VerifyException(f"{self.name}: inner tiles must be static and positive")
        expected = self.packed_shape(shape_of(plain))
        actual = shape_of(packed)
        if len(actual) != len(expected) or any(
            min(size, wanted) >= 0 and size != wanted for size, wanted in zip(actual, expected, strict=True)
        ):
            raise VerifyException(f"{self.name}: the packed tensor must have shape {expected}, got {actual}")


@irdl_op_definition
class PackOp(_RelayoutOp):
    """Relayouts `source` into tiles: packed[outer..., inner...] with dimension inner_dims_pos[i] cut into tiles.

    The outer dimensions are permuted by `outer_dims_perm`. Where a tile reaches over the edge it holds
    `padding_value`, which is needed exactly then.
    """

    name = "linalg.pack"

    source = operand_def(TensorType)
    dest = operand_def(_DEST)
    padding_value = opt_operand_def()
    inner_tiles = var_operand_def(IndexType)
    result = result_def(_DEST)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(Pure())
    assembly_format = (
        "$source (`padding_value` `(` $padding_value^ `:` type($padding_value) `)`)? "
        "(`outer_dims_perm` `=` $outer_dims_perm^)? `inner_dims_pos` `=` $inner_dims_pos "
        "`inner_tiles` `=` custom<DynamicIndexList>($inner_tiles, $static_inner_tiles) "
        "`into` $dest attr-dict `:` type($source) `->` type($dest)"
    )

    def __init__(
        self,
        source: SSAValue | Operation,
        dest: SSAValue | Operation,
        *,
        inner_dims_pos: Sequence[int],
        inner_tiles: Sequence[int],
        outer_dims_perm: Sequence[int] = (),
        padding_value: SSAValue | Operation | None = None,
    ) -> None:
        dest = SSAValue.get(dest)
        super().__init__(
            operands=[source, dest, padding_value, []],
            result_types=[dest.type],
            properties=self._properties(inner_dims_pos, inner_tiles, outer_dims_perm),
        )

    def verify_(self) -> None:
        self._verify_shapes(self.source, self.dest)
        shape = shape_of(self.source)
        padded = any(
            shape[dim] > 0 and shape[dim] % tile for dim, tile in zip(self.tiled_dims, self.tile_sizes, strict=True)
        )
        if padded and self.padding_value is None:
            raise VerifyException("linalg.pack: tiles reach over the edge, padding_value is needed")


@irdl_op_definition
class UnpackOp(_RelayoutOp):
    """The inverse of `linalg.pack`: tiles back to rows, dropping what lies beyond the shape of `dest`."""

    name = "linalg.unpack"

    source = operand_def(TensorType)
    dest = operand_def(_DEST)
    inner_tiles = var_operand_def(IndexType)
    result = result_def(_DEST)

    traits = traits_def(Pure())
    assembly_format = (
        "$source (`outer_dims_perm` `=` $outer_dims_perm^)? `inner_dims_pos` `=` $inner_dims_pos "
        "`inner_tiles` `=` custom<DynamicIndexList>($inner_tiles, $static_inner_tiles) "
        "`into` $dest attr-dict `:` type($source) `->` type($dest)"
    )

    def __init__(
        self,
        source: SSAValue | Operation,
        dest: SSAValue | Operation,
        *,
        inner_dims_pos: Sequence[int],
        inner_tiles: Sequence[int],
        outer_dims_perm: Sequence[int] = (),
    ) -> None:
        dest = SSAValue.get(dest)
        super().__init__(
            operands=[source, dest, []],
            result_types=[dest.type],
            properties=self._properties(inner_dims_pos, inner_tiles, outer_dims_perm),
        )

    def verify_(self) -> None:
        self._verify_shapes(self.dest, self.source)
