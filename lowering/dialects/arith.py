"""The arith dialect as programs are written in it: xDSL's, with constants and conversions of whole tensors.

xDSL 0.74 has comparisons, selections and conversions of scalars only. Here each of these names stands for a syntax: on
scalars it makes xDSL's operation, on tensors a `LiftedOp`, which normalize-linalg turns into a `linalg.generic`. A
constant tensor becomes a `tosa.const`, which is what every phase knows.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, ClassVar, cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, IntegerAttr, LocationAttr, TensorType, i1, i64
from xdsl.ir import Attribute, Block, Dialect, Operation, Region, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, traits_def, var_operand_def, var_result_def
from xdsl.parser import Parser
from xdsl.traits import Pure

from ...tosa.dialect import ConstOp
from ...tosa.elements import ElementsAttr
from ...tosa.text import elements_from_dense


class _Syntax(IRDLOperation):
    """A name that is read but never stands in a module: `parse` and `create` make another operation."""

    arguments = var_operand_def()
    res = var_result_def()


@irdl_op_definition
class ConstantSyntax(_Syntax):
    """`arith.constant`: a scalar, or a tensor."""

    name = "arith.constant"

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        attributes = parser.parse_optional_attr_dict()
        return _constant(parser.parse_attribute(), attributes, None)

    @classmethod
    def create(
        cls,
        *,
        operands: Sequence[SSAValue] = (),
        result_types: Sequence[Attribute] = (),
        properties: Mapping[str, Attribute] | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        successors: Sequence[Block] = (),
        regions: Sequence[Region] = (),
        location: LocationAttr | None = None,
    ) -> Any:
        given = {**(attributes or {}), **(properties or {})}
        if "value" not in given:
            raise ValueError("arith.constant lacks its value")
        return _constant(given.pop("value"), given, location)


def _constant(value: Attribute, attributes: dict[str, Attribute], location: LocationAttr | None) -> Operation:
    if isinstance(value, DenseIntOrFPElementsAttr) and isinstance(value.type, TensorType):
        value = elements_from_dense(value, value.type)
    op = ConstOp(value) if isinstance(value, ElementsAttr) else arith.ConstantOp(cast(IntegerAttr, value))
    op.attributes |= attributes
    if location is not None:
        op.location = location
    return op


class LiftedOp(_Syntax):
    """`SCALAR` applied to the elements of tensors of one shape (a condition of `arith.select` may be a scalar).

    Its attributes, the predicate of a comparison among them, are those of the scalar operation.
    """

    traits = traits_def(Pure())

    SCALAR: ClassVar[type[Operation]]

    @classmethod
    def create(
        cls,
        *,
        operands: Sequence[SSAValue] = (),
        result_types: Sequence[Attribute] = (),
        properties: Mapping[str, Attribute] | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        successors: Sequence[Block] = (),
        regions: Sequence[Region] = (),
        location: LocationAttr | None = None,
    ) -> Any:
        lifted = any(isinstance(type, TensorType) for type in result_types)
        make = super().create if lifted else cls.SCALAR.create
        if lifted:
            attributes, properties = {**(attributes or {}), **(properties or {})}, {}
        return make(
            operands=operands,
            result_types=result_types,
            properties=properties or {},
            attributes=attributes or {},
            successors=successors,
            regions=regions,
            location=location,
        )

    @classmethod
    def make(cls, operands: Sequence[SSAValue], result: Attribute, attributes: Mapping[str, Attribute]) -> Any:
        """The scalar or the lifted operation, its own properties found among `attributes`."""
        own = cls.own_properties()
        return cls.create(
            operands=operands,
            result_types=[result],
            properties={key: value for key, value in attributes.items() if key in own},
            attributes={key: value for key, value in attributes.items() if key not in own},
        )

    @classmethod
    def own_properties(cls) -> Container[str]:
        """The names of what the scalar operation has."""
        return cast("type[IRDLOperation]", cls.SCALAR).get_irdl_definition().properties

    def discardable_attributes(self) -> dict[str, Attribute]:
        """What programs put on the operation that says nothing of what it computes."""
        return {key: value for key, value in self.attributes.items() if key not in self.own_properties()}

    def scalar(self, operands: Sequence[SSAValue], result: Attribute) -> Operation:
        """The operation on elements."""
        properties = {key: value for key, value in self.attributes.items() if key in self.own_properties()}
        return self.SCALAR.create(operands=operands, result_types=[result], properties=properties)


class _ConversionSyntax(LiftedOp):
    """`%x : from to to`."""

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        operand = parser.parse_unresolved_operand()
        parser.parse_optional_keyword("to_nearest_even")  # the rounding mode that is the default
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        source = parser.parse_type()
        parser.parse_keyword("to")
        return cls.make([parser.resolve_operand(operand, source)], parser.parse_type(), attributes)


class _ComparisonSyntax(LiftedOp):
    """`predicate, %a, %b : type`."""

    PREDICATES: ClassVar[Sequence[str]]

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        begin = parser.pos
        word = parser.parse_identifier()
        if word not in cls.PREDICATES:
            parser.raise_error(f"expected a predicate: {', '.join(cls.PREDICATES)}", begin, parser.pos)
        parser.parse_punctuation(",")
        lhs = parser.parse_unresolved_operand()
        parser.parse_punctuation(",")
        rhs = parser.parse_unresolved_operand()
        attributes: dict[str, Attribute] = {"predicate": IntegerAttr(cls.PREDICATES.index(word), i64)}
        if parser.parse_optional_keyword("fastmath"):
            attributes["fastmath"] = arith.FastMathFlagsAttr(cast(Any, arith.FastMathFlagsAttr.parse_parameter(parser)))
        attributes |= parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        type = parser.parse_type()
        operands = [parser.resolve_operand(operand, type) for operand in (lhs, rhs)]
        result = TensorType(i1, type.get_shape()) if isinstance(type, TensorType) else i1
        return cls.make(operands, result, attributes)


@irdl_op_definition
class SelectSyntax(LiftedOp):
    """`%condition, %a, %b : type`, with the type of the condition in front where that is a tensor."""

    name = "arith.select"
    SCALAR: ClassVar = arith.SelectOp

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        names = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
        if len(names) != 3:
            parser.raise_error("expected a condition and two values")
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        condition, type = i1, parser.parse_type()
        if parser.parse_optional_punctuation(","):
            condition, type = type, parser.parse_type()
        operands = [
            parser.resolve_operand(name, kind) for name, kind in zip(names, (condition, type, type), strict=True)
        ]
        return cls.make(operands, type, attributes)


def _define(base: type[LiftedOp], scalar: type[Operation], **members: object) -> type[Operation]:
    fields = {
        "name": scalar.name,
        "__module__": __name__,
        "__doc__": f"`{scalar.name}` of scalars or tensors.",
        "__annotations__": dict.fromkeys(("SCALAR", *members), ClassVar),
        "SCALAR": scalar,
        **members,
    }
    return irdl_op_definition(type(f"{scalar.__name__}Syntax", (base,), fields))


_SYNTAXES: list[type[Operation]] = [
    ConstantSyntax,
    SelectSyntax,
    _define(_ComparisonSyntax, arith.CmpiOp, PREDICATES=tuple(arith.CMPI_COMPARISON_OPERATIONS)),
    _define(_ComparisonSyntax, arith.CmpfOp, PREDICATES=tuple(arith.CMPF_COMPARISON_OPERATIONS)),
    *(
        _define(_ConversionSyntax, scalar)
        for scalar in (
            arith.ExtFOp,
            arith.TruncFOp,
            arith.ExtSIOp,
            arith.ExtUIOp,
            arith.TruncIOp,
            arith.SIToFPOp,
            arith.UIToFPOp,
            arith.FPToSIOp,
            arith.FPToUIOp,
            arith.IndexCastOp,
            arith.BitcastOp,
        )
    ),
]
_NAMES = {op.name for op in _SYNTAXES}

Arith = Dialect(
    "arith",
    [op for op in arith.Arith.operations if op.name not in _NAMES] + _SYNTAXES,
    list(arith.Arith.attributes),
)
