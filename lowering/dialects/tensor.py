"""The tensor dialect as programs are written in it: xDSL's, with what xDSL 0.74 lacks."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

from xdsl.dialects import tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, IndexType, TensorType, UnitAttr, i64
from xdsl.ir import Attribute, Dialect, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from ...tosa.dialect.types import shape_of
from .linalg.relayout import PackOp, UnpackOp


@irdl_op_definition
class GenerateOp(IRDLOperation):
    """A tensor whose elements the region computes from their position. `sizes` are those that its type leaves open."""

    name = "tensor.generate"

    sizes = var_operand_def(IndexType)
    body = region_def("single_block")
    result = result_def(TensorType)

    traits = traits_def(Pure())
    assembly_format: ClassVar = "$sizes $body attr-dict `:` type($result)"

    def verify_(self) -> None:
        if shape_of(self.result).count(DYNAMIC_INDEX) != len(self.sizes):
            raise VerifyException("tensor.generate: takes one size for each unknown one of the result")
        if [argument.type for argument in self.body.block.args] != [IndexType()] * len(shape_of(self.result)):
            raise VerifyException("tensor.generate: the region takes one index per dimension of the result")


@irdl_op_definition
class GatherOp(IRDLOperation):
    """Slices of `source` at the positions along `gather_dims` that the last dimension of `indices` holds.

    The dimensions gathered have size 1 in the slices, or are left out of the result.
    """

    name = "tensor.gather"

    source = operand_def(TensorType)
    indices = operand_def(TensorType)
    gather_dims = prop_def(DenseArrayBase.constr(i64))
    unique = opt_prop_def(UnitAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    @classmethod
    def parse(cls, parser: Parser) -> GatherOp:
        source = parser.parse_unresolved_operand()
        with parser.in_square_brackets():
            indices = parser.parse_unresolved_operand()
        parser.parse_keyword("gather_dims")
        with parser.in_parens():
            dims = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
        unique = parser.parse_optional_keyword("unique")
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        type = parser.parse_function_type()
        properties: dict[str, Attribute] = {"gather_dims": DenseArrayBase.from_list(i64, dims)}
        if unique:
            properties["unique"] = UnitAttr()
        operands = parser.resolve_operands([source, indices], type.inputs.data, parser.pos)
        return cls.create(
            operands=operands, result_types=type.outputs.data, properties=properties, attributes=attributes
        )

    @property
    def dims(self) -> tuple[int, ...]:
        return tuple(self.gather_dims.get_values())  # pyright: ignore[reportReturnType, reportAttributeAccessIssue]

    def verify_(self) -> None:
        source, indices, result = shape_of(self.source), shape_of(self.indices), shape_of(self.result)
        if not indices or indices[-1] != len(self.dims) or any(not 0 <= dim < len(source) for dim in self.dims):
            raise VerifyException(
                "tensor.gather: the last dimension of the indices must hold one per dimension gathered"
            )
        if len(result) not in (len(indices) - 1 + len(source), len(indices) - 1 + len(source) - len(self.dims)):
            raise VerifyException("tensor.gather: the result has the indices' dimensions and those of a slice")


@irdl_op_definition
class ReshapeOp(IRDLOperation):
    """The same elements in the shape that `shape` holds; xDSL's refuses sizes that are not known."""

    name = "tensor.reshape"

    source = operand_def(TensorType)
    shape = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())
    assembly_format: ClassVar = (
        "$source `(` $shape `)` attr-dict `:` `(` type($source) `,` type($shape) `)` `->` type($result)"
    )

    def verify_(self) -> None:
        counts = [prod(shape) for shape in (shape_of(self.source), shape_of(self.result)) if DYNAMIC_INDEX not in shape]
        if len(set(counts)) > 1:
            raise VerifyException("tensor.reshape: the source and the result must have equally many elements")
        if shape_of(self.shape) != (len(shape_of(self.result)),):
            raise VerifyException("tensor.reshape: the shape must have a size for each dimension of the result")


@irdl_op_definition
class RankOp(IRDLOperation):
    """How many dimensions a tensor has."""

    name = "tensor.rank"

    source = operand_def(TensorType)
    result = result_def(IndexType)

    traits = traits_def(Pure())
    assembly_format: ClassVar = "$source attr-dict `:` type($source)"


@irdl_op_definition
class BitcastOp(IRDLOperation):
    """The same bits as elements of another type of the same width."""

    name = "tensor.bitcast"

    source = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())
    assembly_format: ClassVar = "$source attr-dict `:` type($source) `to` type($result)"

    def verify_(self) -> None:
        if shape_of(self.source) != shape_of(self.result):
            raise VerifyException("tensor.bitcast: only the element type may differ")


class _Syntax(IRDLOperation):
    """A name that is read but never stands in a module: `parse` and `create` make another operation."""

    arguments = var_operand_def()
    res = var_result_def()


@irdl_op_definition
class PackSyntax(_Syntax):
    """The older name of `linalg.pack`."""

    name = "tensor.pack"

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        return PackOp.parse(parser)

    @classmethod
    def create(cls, **parts: Any) -> Any:
        return PackOp.create(**parts)


@irdl_op_definition
class UnpackSyntax(_Syntax):
    """The older name of `linalg.unpack`."""

    name = "tensor.unpack"

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        return UnpackOp.parse(parser)

    @classmethod
    def create(cls, **parts: Any) -> Any:
        return UnpackOp.create(**parts)


@irdl_op_definition
class ExpandShapeSyntax(_Syntax):
    """`tensor.expand_shape`; older programs leave the output shape to the result's type."""

    name = "tensor.expand_shape"

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        begin = parser.pos
        source = parser.parse_unresolved_operand()
        reassociation = parser.parse_attribute()
        sizes: list[SSAValue] = []
        static: list[int] | None = None
        if parser.parse_optional_keyword("output_shape"):
            static = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: _size(parser, sizes))
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        type = parser.parse_type()
        parser.parse_keyword("into")
        result = parser.parse_type()
        if not isinstance(result, TensorType):
            parser.raise_error("expected a tensor type", begin, parser.pos)
        if static is None:
            static = list(result.get_shape())
            if DYNAMIC_INDEX in static:
                parser.raise_error("a result with unknown sizes needs an output_shape", begin, parser.pos)
        operand = parser.resolve_operand(source, type)
        return tensor.ExpandShapeOp(operand, sizes, reassociation, static, result, attributes)  # pyright: ignore[reportArgumentType]

    @classmethod
    def create(cls, **parts: Any) -> Any:
        return tensor.ExpandShapeOp.create(**parts)


def _size(parser: Parser, sizes: list[SSAValue]) -> int:
    """A number, or DYNAMIC_INDEX for a value, which is appended to `sizes`."""
    name = parser.parse_optional_unresolved_operand()
    if name is None:
        return parser.parse_integer(allow_boolean=False, allow_negative=False)
    sizes.append(parser.resolve_operand(name, IndexType()))
    return DYNAMIC_INDEX


_OWN: Sequence[type[Operation]] = (
    GenerateOp,
    GatherOp,
    ReshapeOp,
    RankOp,
    BitcastOp,
    PackSyntax,
    UnpackSyntax,
    ExpandShapeSyntax,
)
_NAMES = {op.name for op in _OWN}

Tensor = Dialect("tensor", [*(op for op in tensor.Tensor.operations if op.name not in _NAMES), *_OWN], [])
