"""Named operations that are told by a table: their iteration space and the function that they apply.

The names and loops are those of MLIR (its OpDSL definitions, and LinalgStructuredOps.td).
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, DenseIntElementsAttr
from xdsl.ir import Attribute, Operation
from xdsl.ir.affine import AffineMap
from xdsl.irdl import irdl_op_definition, opt_prop_def, prop_def
from xdsl.parser import Parser
from xdsl.utils.exceptions import VerifyException

from ....tosa.dialect.types import shape_of
from .attributes import BinaryFnAttr, ElementwiseKindAttr, TypeFnAttr, UnaryFnAttr
from .base import PARALLEL, REDUCTION
from .spaces import Space, space
from .structured import Loops, ScalarFunctionOp

MULTIPLY_ADD = "multiply_add"
MULTIPLY_ADD_OFFSET = "multiply_add_offset"
"""Multiplies after subtracting zero points, which are the third and fourth input."""

ELEMENTWISE = (
    *("exp", "log", "abs", "ceil", "floor", "negf", "reciprocal", "round", "sqrt", "rsqrt", "square", "tanh", "erf"),
    *("add", "sub", "mul", "div", "div_unsigned", "max", "min", "powf", "select", "copy"),
)
"""`linalg.NAME` applies the function NAME to elements at equal positions."""

CONTRACTIONS = {
    "dot": "k, k ->",
    "matvec": "m k, k -> m",
    "vecmat": "k, k n -> n",
    "batch_matvec": "b m k, b k -> b m",
    "batch_vecmat": "b k, b k n -> b n",
    "matmul_transpose_a": "k m, k n -> m n",
    "matmul_transpose_b": "m k, n k -> m n",
    "batch_matmul_transpose_a": "b k m, b k n -> b m n",
    "batch_matmul_transpose_b": "b m k, b n k -> b m n",
    "batch_reduce_matmul": "b m n k : b m k, b k n -> m n",
    "quantized_matmul": "m k, k n, , -> m n",
    "quantized_batch_matmul": "b m k, b k n, , -> b m n",
}

CONVOLUTIONS = {
    "conv_1d": "w+x, x -> w",
    "conv_2d": "h+y w+x, y x -> h w",
    "conv_3d": "d+z h+y w+x, z y x -> d h w",
    "conv_1d_nwc_wcf": "n w+x c, x c f -> n w f",
    "conv_1d_ncw_fcw": "n c w+x, f c x -> n f w",
    "conv_2d_nhwc_hwcf": "n h+y w+x c, y x c f -> n h w f",
    "conv_2d_nhwc_hwcf_q": "n h+y w+x c, y x c f, , -> n h w f",
    "conv_2d_nhwc_fhwc_q": "n h+y w+x c, f y x c, , -> n h w f",
    "conv_2d_nchw_fchw": "n c h+y w+x, f c y x -> n f h w",
    "conv_2d_nchw_fchw_q": "n c h+y w+x, f c y x, , -> n f h w",
    "conv_2d_ngchw_fgchw": "n g c h+y w+x, f g c y x -> n g f h w",
    "conv_2d_ngchw_gfchw": "n g c h+y w+x, g f c y x -> n g f h w",
    "conv_2d_nhwgc_gfhwc": "n h+y w+x g c, g f y x c -> n h w g f",
    "conv_3d_ndhwc_dhwcf": "n d+z h+y w+x c, z y x c f -> n d h w f",
    "conv_3d_ndhwc_dhwcf_q": "n d+z h+y w+x c, z y x c f, , -> n d h w f",
    "conv_3d_ncdhw_fcdhw": "n c d+z h+y w+x, f c z y x -> n f d h w",
    "depthwise_conv_1d_nwc_wc": "n w+x c, x c -> n w c",
    "depthwise_conv_1d_ncw_cw": "n c w+x, c x -> n c w",
    "depthwise_conv_1d_nwc_wcm": "n w+x c, x c m -> n w c m",
    "depthwise_conv_2d_nhwc_hwc": "n h+y w+x c, y x c -> n h w c",
    "depthwise_conv_2d_nhwc_hwc_q": "n h+y w+x c, y x c, , -> n h w c",
    "depthwise_conv_2d_nhwc_hwcm_q": "n h+y w+x c, y x c m, , -> n h w c m",
    "depthwise_conv_2d_nchw_chw": "n c h+y w+x, c y x -> n c h w",
    "depthwise_conv_3d_ndhwc_dhwc": "n d+z h+y w+x c, z y x c -> n d h w c",
    "depthwise_conv_3d_ndhwc_dhwcm": "n d+z h+y w+x c, z y x c m -> n d h w c m",
    "depthwise_conv_3d_ncdhw_cdhw": "n c d+z h+y w+x, c z y x -> n c d h w",
}

_POOLED = {
    "nwc": ("n w+x c, x -> n w c", "sum max max_unsigned min min_unsigned"),
    "ncw": ("n c w+x, x -> n c w", "sum max"),
    "nhwc": ("n h+y w+x c, y x -> n h w c", "max_unsigned min min_unsigned"),
    "nchw": ("n c h+y w+x, y x -> n c h w", "sum max"),
    "ndhwc": ("n d+z h+y w+x c, z y x -> n d h w c", "sum max min"),
}
POOLINGS = {
    f"pooling_{layout}_{function}": (notation, function)
    for layout, (notation, functions) in _POOLED.items()
    for function in functions.split()
}


class _ElementwiseOp(ScalarFunctionOp, ABC):
    """`function` of the elements of all inputs at one position of the output, unless `indexing_maps` says otherwise."""

    cast = opt_prop_def(TypeFnAttr)
    indexing_maps = opt_prop_def(ArrayAttr[AffineMapAttr])

    def loops(self) -> Loops:
        rank = len(shape_of(self.outputs[0]))
        if self.indexing_maps is None:
            return [AffineMap.identity(rank)] * len(self.operands), [PARALLEL] * rank
        return [map.data for map in self.indexing_maps], [PARALLEL] * rank


class _NamedFunctionOp(_ElementwiseOp, ABC):
    @property
    def function(self) -> str:
        return self.name.removeprefix("linalg.")


@irdl_op_definition
class ElementwiseOp(_ElementwiseOp):
    """`kind` of the elements of all inputs."""

    name = "linalg.elementwise"

    kind = prop_def(ElementwiseKindAttr)

    IN_FRONT: ClassVar = ("kind", "indexing_maps")

    @classmethod
    def parse_leading(cls, parser: Parser) -> dict[str, Attribute]:
        """MLIR 24 writes `<exp>`, older ones `kind = #linalg.elementwise_kind<exp>`."""
        begin = parser.pos
        if parser.parse_optional_punctuation("<") is None:
            return {}
        kind = parser.parse_identifier()
        parser.parse_punctuation(">")
        if kind not in ElementwiseKindAttr.CASES:
            parser.raise_error(f"expected one of {', '.join(sorted(ElementwiseKindAttr.CASES))}", begin, parser.pos)
        return {"kind": ElementwiseKindAttr(kind)}

    @property
    def function(self) -> str:
        return self.kind.data


@irdl_op_definition
class ElemwiseUnaryOp(_ElementwiseOp):
    """`fun` of each element, cast to the type of the output before."""

    name = "linalg.elemwise_unary"

    fun = prop_def(UnaryFnAttr, default_value=UnaryFnAttr("exp"))

    @property
    def function(self) -> str:
        return self.fun.data


@irdl_op_definition
class ElemwiseBinaryOp(_ElementwiseOp):
    """`fun` of the elements of both inputs, cast to the type of the output before."""

    name = "linalg.elemwise_binary"

    fun = prop_def(BinaryFnAttr, default_value=BinaryFnAttr("add"))

    @property
    def function(self) -> str:
        return self.fun.data


class SpaceOp(ScalarFunctionOp, ABC):
    """Accumulates over the loops of `SPACE`."""

    SPACE: ClassVar[Space]
    FUNCTION: ClassVar[str]

    cast = opt_prop_def(TypeFnAttr)
    indexing_maps = opt_prop_def(ArrayAttr[AffineMapAttr])
    strides = opt_prop_def(DenseIntElementsAttr)
    dilations = opt_prop_def(DenseIntElementsAttr)

    IN_FRONT: ClassVar = ("indexing_maps",)

    @property
    def function(self) -> str:
        return self.FUNCTION

    def steps(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The strides and the dilations, of each window."""
        strides, dilations = (
            tuple(int(value) for value in given.get_values()) if given is not None else (1,) * self.SPACE.windows
            for given in (self.strides, self.dilations)
        )
        if not len(strides) == len(dilations) == self.SPACE.windows or min((*strides, *dilations), default=1) < 1:
            raise VerifyException(f"{self.name}: takes {self.SPACE.windows} positive strides and dilations")
        return strides, dilations

    def loops(self) -> Loops:
        if self.indexing_maps is not None:
            return [map.data for map in self.indexing_maps], self.SPACE.iterators
        return self.SPACE.maps(*self.steps()), self.SPACE.iterators


@irdl_op_definition
class ContractOp(ScalarFunctionOp):
    """A multiply-add over any `indexing_maps`; loops that the output lacks are reductions."""

    name = "linalg.contract"

    cast = opt_prop_def(TypeFnAttr)
    indexing_maps = prop_def(ArrayAttr[AffineMapAttr])

    IN_FRONT: ClassVar = ("indexing_maps",)

    @property
    def function(self) -> str:
        return MULTIPLY_ADD

    def loops(self) -> Loops:
        maps = [map.data for map in self.indexing_maps]
        kept = maps[-1].used_dims()
        return maps, [PARALLEL if dim in kept else REDUCTION for dim in range(maps[-1].num_dims)]


def _define(name: str, base: type[ScalarFunctionOp], **members: object) -> type[Operation]:
    fields = {
        "name": f"linalg.{name}",
        "__module__": __name__,
        "__doc__": f"`linalg.{name}`.",
        "__annotations__": dict.fromkeys(members, ClassVar),
        **members,
    }
    return irdl_op_definition(type(f"{name}_op", (base,), fields))


def _define_space(name: str, notation: str, function: str) -> type[Operation]:
    return _define(name, SpaceOp, SPACE=space(notation), FUNCTION=function)


def _product(name: str) -> str:
    return MULTIPLY_ADD_OFFSET if name.endswith("_q") or name.startswith("quantized_") else MULTIPLY_ADD


NAMED_OPERATIONS: list[type[Operation]] = [
    ElementwiseOp,
    ElemwiseUnaryOp,
    ElemwiseBinaryOp,
    ContractOp,
    *(_define(name, _NamedFunctionOp) for name in ELEMENTWISE),
    *(
        _define_space(name, notation, _product(name))
        for table in (CONTRACTIONS, CONVOLUTIONS)
        for name, notation in table.items()
    ),
    *(_define_space(name, notation, f"pooled_{function}") for name, (notation, function) in POOLINGS.items()),
]
"""The classes of all operations of the tables."""
