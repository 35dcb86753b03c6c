"""Data-tiling encodings: what a tensor is for, kept apart from how a device lays it out.

`EncodingAttr` is the target-independent form (which operand of which contraction a tensor is); a target's resolver
turns it into `LayoutAttr`, a concrete tiling, or into nothing where the target wants rows. After IREE's data tiling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    IntAttr,
    StringAttr,
    TensorType,
    i64,
)
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    result_def,
    traits_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

LHS, RHS, RESULT = 0, 1, 2
"""The values of `EncodingAttr.operand_index`."""

UNKNOWN = -1
"""An iteration size that only a call knows; `?` in print."""

DATA_TILING = "encoding.data_tiling"
"""Discardable attribute of a contraction: false keeps it in rows, true tiles it where the target would rather not."""

TILE_SIZES = "encoding.tile_sizes"
"""Discardable attribute of a contraction, array<i64: m0, n0, k0>: the tile that every device has to use for it."""

MULTIPLY_TYPE = "encoding.multiply_type"
"""Discardable attribute of a contraction of f32: tf32, if devices may round both sides to it as they multiply them."""

CONSTANT_RHS = "constant_rhs"
"""The hint that compile time packs the right side: no call pays for it."""

_T = TypeVar("_T")


def with_sides_exchanged(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """The attributes of a contraction for one whose sides change places: rows of its tiles become columns."""
    exchanged = dict(attributes)
    tile = attributes.get(TILE_SIZES)
    if isinstance(tile, DenseArrayBase) and len(tile) == 3:
        m0, n0, k0 = (int(size) for size in tile.get_values())
        exchanged[TILE_SIZES] = DenseArrayBase.from_list(i64, [n0, m0, k0])
    return exchanged


@irdl_attr_definition
class EncodingAttr(ParametrizedAttribute):
    """Operand `operand_index` of a contraction, in words that no target owns.

    `op_type` is "matmul" or "conv_2d"; `element_types` are those of (lhs, rhs, result); `user_indexing_maps` are the
    maps of the three operands over the iteration space and `iteration_sizes` its extents.
    `tensor_map` leads from the iteration space to the dimensions of this very tensor: the operand's own map, which is
    not printed, or less for what is broadcast over the operand (a bias over the result). The right side of a conv_2d is
    held as the matrix [F, KH*KW*C]: its `tensor_map` is still that of the filter [F, KH, KW, C].
    `hints` are what the program asks of every device (`data_tiling` and `tile_sizes`) or lets it do (`multiply_type`),
    see the attributes of these names, and what is known of the operands (`constant_rhs`).
    """

    name = "encoding.encoding"

    operand_index: IntAttr
    op_type: StringAttr
    element_types: ArrayAttr[Attribute]
    user_indexing_maps: ArrayAttr[AffineMapAttr]
    iteration_sizes: ArrayAttr[IntAttr]
    tensor_map: AffineMapAttr
    hints: DictionaryAttr

    def for_operand(self, operand_index: int) -> EncodingAttr:
        """The encoding of another operand of the same contraction."""
        return self._with(operand_index, self.user_indexing_maps.data[operand_index])

    def read_through(self, map: AffineMapAttr) -> EncodingAttr:
        """The encoding of a tensor that is read by `map` where one of this encoding is computed element by element."""
        return self._with(self.operand_index.data, AffineMapAttr(map.data.compose(self.tensor_map.data)))

    def _with(self, operand_index: int, tensor_map: AffineMapAttr) -> EncodingAttr:
        return EncodingAttr(
            IntAttr(operand_index),
            self.op_type,
            self.element_types,
            self.user_indexing_maps,
            self.iteration_sizes,
            tensor_map,
            self.hints,
        )

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"operand_index = {self.operand_index.data}, op_type = {self.op_type.data}")
            _print_list(printer, "element_types", self.element_types)
            _print_list(printer, "user_indexing_maps", self.user_indexing_maps)
            _print_list(printer, "iteration_sizes", self.iteration_sizes)
            if self.tensor_map != self.user_indexing_maps.data[self.operand_index.data]:
                printer.print_string(", tensor_map = ")
                printer.print_attribute(self.tensor_map)
            if self.hints.data:
                printer.print_string(", hints = ")
                printer.print_attribute(self.hints)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            parser.parse_keyword("operand_index")
            parser.parse_punctuation("=")
            index = parser.parse_integer(allow_negative=False)
            parser.parse_punctuation(",")
            parser.parse_keyword("op_type")
            parser.parse_punctuation("=")
            op_type = StringAttr(parser.parse_identifier())
            parser.parse_punctuation(",")
            elements = ArrayAttr(_parse_list(parser, "element_types", parser.parse_type))
            parser.parse_punctuation(",")
            maps = ArrayAttr(_parse_list(parser, "user_indexing_maps", lambda: _parse_map(parser)))
            parser.parse_punctuation(",")
            sizes = ArrayAttr(_parse_list(parser, "iteration_sizes", lambda: _parse_size(parser)))
            if index >= len(maps):
                parser.raise_error("operand_index must be that of one of the maps")
            tensor_map, hints = maps.data[index], DictionaryAttr({})
            while parser.parse_optional_punctuation(","):
                if parser.parse_optional_keyword("tensor_map"):
                    parser.parse_punctuation("=")
                    tensor_map = _parse_map(parser)
                else:
                    parser.parse_keyword("hints")
                    parser.parse_punctuation("=")
                    hints = DictionaryAttr(parser.parse_optional_dictionary_attr_dict())
        return [IntAttr(index), op_type, elements, maps, sizes, tensor_map, hints]


@irdl_attr_definition
class LayoutAttr(ParametrizedAttribute):
    """A concrete tiling as `linalg.pack` does it: dimension `inner_dims_pos[i]` in tiles of `inner_tiles[i]`.

    The outer dimensions are permuted by `outer_dims_perm`; without tiles it is a transposition. Until materialisation a
    tensor<..., layout> keeps its logical shape.
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

    def print_parameters(self, printer: Printer) -> None:
        parts = [
            f"{name} = [{', '.join(str(number.data) for number in part)}]"
            for name, part in (
                ("inner_dims_pos", self.inner_dims_pos),
                ("inner_tiles", self.inner_tiles),
                ("outer_dims_perm", self.outer_dims_perm),
            )
        ]
        with printer.in_angle_brackets():
            printer.print_string(", ".join(parts))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            parts = []
            for name in ("inner_dims_pos", "inner_tiles", "outer_dims_perm"):
                if parts:
                    parser.parse_punctuation(",")
                parts.append(ArrayAttr(_parse_list(parser, name, lambda: _parse_size(parser))))
        return parts


def _print_list(printer: Printer, name: str, values: Iterable[Attribute]) -> None:
    printer.print_string(f", {name} = [")
    printer.print_list(values, lambda value: _print_element(printer, value))
    printer.print_string("]")


def _print_element(printer: Printer, value: Attribute) -> None:
    if isinstance(value, IntAttr):
        printer.print_string("?" if value.data == UNKNOWN else str(value.data))
    else:
        printer.print_attribute(value)


def _parse_list(parser: AttrParser, name: str, parse_one: Callable[[], _T]) -> list[_T]:
    parser.parse_keyword(name)
    parser.parse_punctuation("=")
    return parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parse_one)


def _parse_map(parser: AttrParser) -> AffineMapAttr:
    attribute = parser.parse_attribute()
    if not isinstance(attribute, AffineMapAttr):
        parser.raise_error("expected an affine map")
    return attribute


def _parse_size(parser: AttrParser) -> IntAttr:
    if parser.parse_optional_punctuation("?"):
        return IntAttr(UNKNOWN)
    return IntAttr(parser.parse_integer(allow_negative=False))


class _CastEncodingOp(IRDLOperation):
    source = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())

    assembly_format = "$source attr-dict `:` type($source) `->` type($result)"

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

    name = "encoding.set_encoding"


@irdl_op_definition
class UnsetOp(_CastEncodingOp):
    """Brings an encoded tensor back to rows."""

    name = "encoding.unset_encoding"


Encoding = Dialect("encoding", [SetOp, UnsetOp], [EncodingAttr, LayoutAttr])
