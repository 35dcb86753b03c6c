"""The linalg dialect as Tosaic uses it: named operations that xDSL 0.74 lacks, or whose classes refuse what we need.

From here: the contractions (`MatmulOp`, `BatchMatmulOp`, `Mmt4dOp`, `BatchMmt4dOp`, `Conv2DNhwcFhwcOp`,
`DepthwiseConv2DNhwcHwcmOp`), the poolings and `PackOp` / `UnpackOp`. xDSL's own matmul and convolutions refuse
mixed element types (i8 x i8 -> i32, f32 x f16 -> f32) and none of the others exist there.
From `xdsl.dialects.linalg.ops`: `GenericOp`, `YieldOp`, `IndexOp`, `FillOp`.

`Linalg`, the dialect to register for parsing, holds both halves. Spellings are those of MLIR 22. The operations here
work on tensors only and carry no region: MLIR's custom form rebuilds it from the element types, and every
contraction below multiplies after casting both elements to the type of the accumulator (sign-extended or exactly).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, TypeAlias, cast

from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DenseArrayBase,
    DenseIntElementsAttr,
    IndexType,
    TensorType,
    i64,
)
from xdsl.dialects.linalg import ops as xdsl_linalg
from xdsl.dialects.linalg.attrs import IteratorType, IteratorTypeAttr
from xdsl.dialects.utils import DynamicIndexList
from xdsl.ir import Attribute, Dialect, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    ParsePropInAttrDict,
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

PARALLEL = IteratorTypeAttr(IteratorType.PARALLEL)
REDUCTION = IteratorTypeAttr(IteratorType.REDUCTION)


def dims(count: int) -> tuple[AffineExpr, ...]:
    """The first `count` iteration dimensions, to build indexing maps from."""
    return tuple(AffineDimExpr(position) for position in range(count))


def affine_map(rank: int, *results: AffineExpr) -> AffineMap:
    """The map from `rank` iteration dimensions to `results`."""
    return AffineMap(rank, 0, results)


class NamedOp(IRDLOperation, ABC):
    """`result` = `init` accumulated with a function of two inputs over an iteration space.

    `indexing_maps()` are the maps of (first input, second input, init) from that space, `ITERATORS` its kinds.
    """

    inputs = var_operand_def(TensorType)
    outputs = var_operand_def(TensorType)
    result = result_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True), ParsePropInAttrDict())
    traits = traits_def(Pure())
    assembly_format: ClassVar[str | None] = (
        "attr-dict `ins` `(` $inputs `:` type($inputs) `)` `outs` `(` $outputs `:` type($outputs) `)` "
        "`->` type($result)"
    )

    ITERATORS: ClassVar[tuple[IteratorTypeAttr, ...]]

    def __init__(self, first: SSAValue | Operation, second: SSAValue | Operation, init: SSAValue | Operation) -> None:
        init = SSAValue.get(init)
        super().__init__(operands=[[first, second], [init]], result_types=[init.type])

    @property
    def init(self) -> SSAValue:
        """The tensor accumulated into."""
        return self.outputs[0]

    @abstractmethod
    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        """The maps from the iteration space to (first input, second input, init)."""

    def get_indexing_maps(self) -> ArrayAttr[AffineMapAttr]:
        """`indexing_maps_of_operands` as the attribute that `linalg.generic` carries."""
        return ArrayAttr(AffineMapAttr(map) for map in self.indexing_maps_of_operands())

    def iteration_sizes(self) -> tuple[int, ...]:
        """The extent of each iteration dimension, `DYNAMIC_INDEX` where it is not known."""
        return tuple(self._extents())

    def _extents(self) -> list[int]:
        extents: dict[int, int] = {}
        for index, (value, map) in enumerate(zip(self.operands, self.indexing_maps_of_operands(), strict=True)):
            shape = _shape(value)
            if len(shape) != len(map.results):
                raise VerifyException(f"{self.name}: operand {index} must have {len(map.results)} dimensions: {shape}")
            for size, expression in zip(shape, map.results, strict=True):
                if not isinstance(expression, AffineDimExpr):
                    continue
                known = extents.setdefault(expression.position, size)
                if known < 0:
                    extents[expression.position] = size
                elif size >= 0 and size != known:
                    raise VerifyException(
                        f"{self.name}: operand {index} {shape} disagrees about d{expression.position} = {known}"
                    )
        return [extents[position] for position in range(len(self.ITERATORS))]

    def verify_(self) -> None:
        if len(self.inputs) != 2 or len(self.outputs) != 1:
            raise VerifyException(f"{self.name}: takes two inputs and one output")
        if self.init.type != self.result.type:
            raise VerifyException(f"{self.name}: the result must have the type of the output operand")
        self._extents()


class _ContractionOp(NamedOp, ABC):
    """A widening multiply-add over `lhs` and `rhs`."""

    @property
    def lhs(self) -> SSAValue:
        return self.inputs[0]

    @property
    def rhs(self) -> SSAValue:
        return self.inputs[1]


def _matmul_maps(batch: int, transpose_rhs: bool) -> tuple[AffineMap, AffineMap, AffineMap]:
    """The maps of (lhs, rhs, init) of a matmul with `batch` leading dimensions."""
    rank = batch + 3
    *b, m, n, k = dims(rank)
    rhs = affine_map(rank, *b, n, k) if transpose_rhs else affine_map(rank, *b, k, n)
    return affine_map(rank, *b, m, k), rhs, affine_map(rank, *b, m, n)


_MATMUL_MAPS = [[_matmul_maps(batch, transpose_rhs) for transpose_rhs in (False, True)] for batch in (0, 1)]


class _MappedContractionOp(_ContractionOp, ABC):
    """A contraction whose operands may be transposed by giving `indexing_maps`."""

    indexing_maps = opt_prop_def(ArrayAttr[AffineMapAttr])

    assembly_format = (
        "(`indexing_maps` `=` $indexing_maps^)? attr-dict `ins` `(` $inputs `:` type($inputs) `)` "
        "`outs` `(` $outputs `:` type($outputs) `)` `->` type($result)"
    )

    BATCH_DIMS: ClassVar[int]

    def __init__(
        self,
        lhs: SSAValue | Operation,
        rhs: SSAValue | Operation,
        init: SSAValue | Operation,
        *,
        transpose_rhs: bool = False,
    ) -> None:
        super().__init__(lhs, rhs, init)
        if transpose_rhs:
            self.indexing_maps = ArrayAttr(AffineMapAttr(map) for map in _MATMUL_MAPS[self.BATCH_DIMS][True])

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        if self.indexing_maps is None:
            return _MATMUL_MAPS[self.BATCH_DIMS][False]
        lhs, rhs, init = (attribute.data for attribute in self.indexing_maps)
        return lhs, rhs, init


@irdl_op_definition
class MatmulOp(_MappedContractionOp):
    """init[m, n] += lhs[m, k] * rhs[k, n], or rhs[n, k] with `transpose_rhs`."""

    name = "linalg.matmul"

    ITERATORS: ClassVar = (PARALLEL, PARALLEL, REDUCTION)
    BATCH_DIMS: ClassVar[int] = 0


@irdl_op_definition
class BatchMatmulOp(_MappedContractionOp):
    """init[b, m, n] += lhs[b, m, k] * rhs[b, k, n], or rhs[b, n, k] with `transpose_rhs`."""

    name = "linalg.batch_matmul"

    ITERATORS: ClassVar = (PARALLEL, PARALLEL, PARALLEL, REDUCTION)
    BATCH_DIMS: ClassVar[int] = 1


@irdl_op_definition
class Mmt4dOp(_ContractionOp):
    """init[m1, n1, m0, n0] += lhs[m1, k1, m0, k0] * rhs[n1, k1, n0, k0]: a matmul of packed operands."""

    name = "linalg.mmt4d"

    ITERATORS: ClassVar = (PARALLEL, PARALLEL, REDUCTION, PARALLEL, PARALLEL, REDUCTION)

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        m1, n1, k1, m0, n0, k0 = dims(6)
        return affine_map(6, m1, k1, m0, k0), affine_map(6, n1, k1, n0, k0), affine_map(6, m1, n1, m0, n0)


@irdl_op_definition
class BatchMmt4dOp(_ContractionOp):
    """`linalg.mmt4d` with a leading batch dimension on all three operands."""

    name = "linalg.batch_mmt4d"

    ITERATORS: ClassVar = (PARALLEL, PARALLEL, PARALLEL, REDUCTION, PARALLEL, PARALLEL, REDUCTION)

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        b, m1, n1, k1, m0, n0, k0 = dims(7)
        lhs, rhs = affine_map(7, b, m1, k1, m0, k0), affine_map(7, b, n1, k1, n0, k0)
        return lhs, rhs, affine_map(7, b, m1, n1, m0, n0)


class _WindowOp(NamedOp, ABC):
    """An operation that slides a window over the two spatial dimensions of `image` [N, H, W, C], unpadded.

    `strides` and `dilations` are (vertical, horizontal), in elements of the image.
    """

    strides = prop_def(DenseIntElementsAttr)
    dilations = prop_def(DenseIntElementsAttr)

    def __init__(
        self,
        image: SSAValue | Operation,
        window: SSAValue | Operation,
        init: SSAValue | Operation,
        *,
        strides: Sequence[int],
        dilations: Sequence[int] = (1, 1),
    ) -> None:
        super().__init__(image, window, init)
        self.strides = _pair(strides)
        self.dilations = _pair(dilations)

    @property
    def image(self) -> SSAValue:
        return self.inputs[0]

    @property
    def window(self) -> SSAValue:
        """The filter; for poolings a tensor whose shape alone matters: [KH, KW]."""
        return self.inputs[1]

    @property
    def stride_values(self) -> tuple[int, int]:
        vertical, horizontal = self.strides.get_values()
        return int(vertical), int(horizontal)

    @property
    def dilation_values(self) -> tuple[int, int]:
        vertical, horizontal = self.dilations.get_values()
        return int(vertical), int(horizontal)

    def _window_position(
        self, oh: AffineExpr, ow: AffineExpr, kh: AffineExpr, kw: AffineExpr
    ) -> tuple[AffineExpr, AffineExpr]:
        """The row and column of the image that tap (kh, kw) of output (oh, ow) reads."""
        (stride_h, stride_w), (dilation_h, dilation_w) = self.stride_values, self.dilation_values
        return oh * stride_h + kh * dilation_h, ow * stride_w + kw * dilation_w

    def verify_(self) -> None:
        if min(*self.stride_values, *self.dilation_values) < 1:
            raise VerifyException(f"{self.name}: strides and dilations must be positive")
        super().verify_()
        extents = self._extents()
        image_map, *_ = self.indexing_maps_of_operands()
        if min(extents) < 1:
            return
        reached = image_map.eval([extent - 1 for extent in extents], [])
        for axis, (last, size) in enumerate(zip(reached, _shape(self.image), strict=True)):
            if 0 <= size <= last:
                raise VerifyException(f"{self.name}: reads index {last} of image dimension {axis} of size {size}")


@irdl_op_definition
class Conv2DNhwcFhwcOp(_WindowOp):
    """init[n, oh, ow, f] += image[n, oh*stride + kh*dilation, ow*.. + kw*.., c] * filter[f, kh, kw, c]."""

    name = "linalg.conv_2d_nhwc_fhwc"

    ITERATORS: ClassVar = (PARALLEL,) * 4 + (REDUCTION,) * 3

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        n, oh, ow, f, kh, kw, c = dims(7)
        row, column = self._window_position(oh, ow, kh, kw)
        return affine_map(7, n, row, column, c), affine_map(7, f, kh, kw, c), affine_map(7, n, oh, ow, f)


@irdl_op_definition
class DepthwiseConv2DNhwcHwcmOp(_WindowOp):
    """init[n, oh, ow, c, m] += image[n, oh*stride + kh*dilation, ow*.. + kw*.., c] * filter[kh, kw, c, m]."""

    name = "linalg.depthwise_conv_2d_nhwc_hwcm"

    ITERATORS: ClassVar = (PARALLEL,) * 5 + (REDUCTION,) * 2

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        n, oh, ow, c, m, kh, kw = dims(7)
        row, column = self._window_position(oh, ow, kh, kw)
        return affine_map(7, n, row, column, c), affine_map(7, kh, kw, c, m), affine_map(7, n, oh, ow, c, m)


PlainContraction: TypeAlias = MatmulOp | BatchMatmulOp | Conv2DNhwcFhwcOp
"""The contractions of tensors in rows, for which targets choose layouts: see `set_encodings`."""


class _PoolingOp(_WindowOp, ABC):
    """Combines init[n, oh, ow, c] with every element of the window; the second input gives the window's shape."""

    ITERATORS: ClassVar = (PARALLEL,) * 4 + (REDUCTION,) * 2

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        n, oh, ow, c, kh, kw = dims(6)
        row, column = self._window_position(oh, ow, kh, kw)
        return affine_map(6, n, row, column, c), affine_map(6, kh, kw), affine_map(6, n, oh, ow, c)


@irdl_op_definition
class PoolingNhwcMaxOp(_PoolingOp):
    """The maximum (signed; NaN propagates)."""

    name = "linalg.pooling_nhwc_max"


@irdl_op_definition
class PoolingNhwcSumOp(_PoolingOp):
    """The sum, each element first widened to the type of `init`."""

    name = "linalg.pooling_nhwc_sum"


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
        rank = len(_shape(plain))
        if sorted(self.outer_permutation(rank)) != list(range(rank)):
            raise VerifyException(f"{self.name}: outer_dims_perm must be a permutation of {rank} dimensions")
        if len(set(self.tiled_dims)) != len(self.tile_sizes) or any(not 0 <= dim < rank for dim in self.tiled_dims):
            raise VerifyException(f"{self.name}: inner_dims_pos must name one distinct dimension per inner tile")
        if min(self.tile_sizes, default=1) < 1:
            raise VerifyException(f"{self.name}: inner tiles must be static and positive")
        expected = self.packed_shape(_shape(plain))
        if expected != _shape(packed):
            raise VerifyException(f"{self.name}: the packed tensor must have shape {expected}, got {_shape(packed)}")


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
        shape = _shape(self.source)
        padded = any(shape[dim] % tile for dim, tile in zip(self.tiled_dims, self.tile_sizes, strict=True))
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


def _shape(value: SSAValue) -> tuple[int, ...]:
    return cast("TensorType[Attribute]", value.type).get_shape()


def _pair(values: Sequence[int]) -> DenseIntElementsAttr:
    return DenseIntElementsAttr.from_list(TensorType(i64, [2]), list(values))


Linalg = Dialect(
    "linalg",
    [
        xdsl_linalg.GenericOp,
        xdsl_linalg.YieldOp,
        xdsl_linalg.IndexOp,
        xdsl_linalg.FillOp,
        MatmulOp,
        BatchMatmulOp,
        Mmt4dOp,
        BatchMmt4dOp,
        Conv2DNhwcFhwcOp,
        DepthwiseConv2DNhwcHwcmOp,
        PoolingNhwcMaxOp,
        PoolingNhwcSumOp,
        PackOp,
        UnpackOp,
    ],
    [IteratorTypeAttr],
)
