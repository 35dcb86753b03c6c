"""Named operations that normalize-linalg turns into others: how they are written, and their loops.

MLIR writes all of them alike. What differs is the iteration space, which subclasses tell by `loops`, and what happens
at a point of it: a scalar function applied to an element of every operand, or the operation's own region.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, LocationAttr, TensorType, i32, i64
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import YieldOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import AttrSizedOperandSegments, IRDLOperation, region_def, traits_def, var_operand_def, var_result_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from .attributes import TypeFnAttr
from .base import loop_extents, without_memo

Loops = tuple[Sequence[AffineMap], Sequence[IteratorTypeAttr]]
"""The map of each operand from the iteration space, and the kinds of its dimensions."""


class StructuredOp(IRDLOperation, ABC):
    """A function of elements of `inputs`, and of `outputs` where it reduces, written over `outputs`."""

    inputs = var_operand_def()
    outputs = var_operand_def(TensorType)
    res = var_result_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(Pure())

    IN_FRONT: ClassVar[tuple[str, ...]] = ()
    """Properties written `name = value` in front of the operands."""

    IN_PARENTHESES: ClassVar[str | None] = None
    """A property, an integer, written `name(value)` in front of the operands."""

    BEHIND: ClassVar[str | None] = None
    """A list of integers written `name = [...]` behind the operands."""

    TYPES_RESULTS: ClassVar[bool] = True
    """Whether the types of the results are written; else they are those of the outputs."""

    @abstractmethod
    def loops(self) -> Loops:
        """Raises VerifyException where operands and properties disagree."""

    @property
    def unsigned(self) -> bool:
        """Whether integers are cast as unsigned ones."""
        return self.get_attr_or_prop("cast") == TypeFnAttr("cast_unsigned")

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
    ) -> Self:
        """As always, but for what MLIR's generic form has or lacks.

        The region is dropped where it repeats what the name says. Operations of one kind of segments only have no
        `operandSegmentSizes`.
        """
        properties = dict(properties or {})
        if "operandSegmentSizes" not in properties and "operandSegmentSizes" not in (attributes or {}):
            outputs = cls.outputs_among(len(operands))
            properties["operandSegmentSizes"] = DenseArrayBase.from_list(i32, [len(operands) - outputs, outputs])
        return super().create(
            operands=operands,
            result_types=result_types,
            properties=properties,
            attributes=without_memo(attributes),
            successors=successors,
            regions=regions if cls.get_irdl_definition().regions else (),
            location=location,
        )

    @classmethod
    def outputs_among(cls, operands: int) -> int:
        """How many of so many operands are outputs, where nothing else tells."""
        return 1

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        attributes = cls.parse_leading(parser)
        for name in cls.IN_FRONT:
            if parser.parse_optional_keyword(name):
                parser.parse_punctuation("=")
                attributes[name] = parser.parse_attribute()
        if not issubclass(cls, RegionOp):  # there, a brace begins the shorthand
            attributes |= parser.parse_optional_properties_dict() | parser.parse_optional_attr_dict()
        if cls.IN_PARENTHESES:
            parser.parse_keyword(cls.IN_PARENTHESES)
            with parser.in_parens():
                attributes[cls.IN_PARENTHESES] = IntegerAttr(parser.parse_integer(), i64)
        shorthand = cls.parse_shorthand(parser)
        inputs, outputs = (parse_operands(parser, keyword) for keyword in ("ins", "outs"))
        if cls.BEHIND:
            parser.parse_keyword(cls.BEHIND)
            parser.parse_punctuation("=")
            values = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
            attributes[cls.BEHIND] = DenseArrayBase.from_list(i64, values)
        regions = cls.parse_regions(parser, shorthand, inputs, outputs)
        attributes |= parser.parse_optional_attr_dict()
        types = parse_types(parser) if cls.TYPES_RESULTS else [value.type for value in outputs]
        known = cls.get_irdl_definition().properties
        return cls.build(
            operands=[inputs, outputs],
            result_types=[types],
            properties={name: value for name, value in attributes.items() if name in known},
            attributes={name: value for name, value in attributes.items() if name not in known},
            regions=regions,
        )

    @classmethod
    def parse_leading(cls, parser: Parser) -> dict[str, Attribute]:
        """Properties without a name in front of all others."""
        return {}

    @classmethod
    def parse_shorthand(cls, parser: Parser) -> Callable[[Sequence[SSAValue]], Operation] | None:
        """`{ operation }` between the name and the operands, where it may stand for a region."""

    @classmethod
    def parse_regions(cls, parser: Parser, shorthand: Any, inputs: Any, outputs: Any) -> list[Region]:
        """What follows the operands."""
        return []

    def print(self, printer: Printer) -> None:
        known = {**self.properties}
        known.pop("operandSegmentSizes", None)
        for name in self.IN_FRONT:
            if name in known:
                printer.print_string(f" {name} = ")
                printer.print_attribute(known.pop(name))
        behind = known.pop(self.BEHIND, None) if self.BEHIND else None
        if self.IN_PARENTHESES and isinstance(value := known.pop(self.IN_PARENTHESES, None), IntegerAttr):
            printer.print_string(f" {self.IN_PARENTHESES}({value.value.data})")
        if not isinstance(self, RegionOp):
            printer.print_op_attributes({**known, **self.attributes})
        for keyword, values in (("ins", self.inputs), ("outs", self.outputs)):
            if values:
                printer.print_string(f" {keyword}(")
                printer.print_list(values, printer.print_ssa_value)
                printer.print_string(" : ")
                printer.print_list(values.types, printer.print_attribute)
                printer.print_string(")")
        if isinstance(behind, DenseArrayBase):
            printer.print_string(f" {self.BEHIND} = [")
            printer.print_list(behind.get_values(), lambda value: printer.print_string(str(value)))
            printer.print_string("]")
        for region in self.regions:
            printer.print_string(" (")
            printer.print_list(region.block.args, printer.print_block_argument)
            printer.print_string(") ")
            printer.print_region(region, print_entry_block_args=False)
        if isinstance(self, RegionOp):
            printer.print_op_attributes({**known, **self.attributes})
        if self.TYPES_RESULTS and self.res:
            printer.print_string(" -> ")
            if len(self.res) == 1:
                printer.print_attribute(self.res[0].type)
            else:
                with printer.in_parens():
                    printer.print_list(self.res.types, printer.print_attribute)

    def verify_(self) -> None:
        if len(self.outputs) == 0:
            raise VerifyException(f"{self.name}: has no output operand")
        maps, iterators = self.loops()
        if len(maps) != len(self.operands):
            raise VerifyException(f"{self.name}: has {len(self.operands)} operands, expected {len(maps)}")
        loop_extents(self, maps, len(iterators))
        if [result.type for result in self.res] != [value.type for value in self.outputs]:
            raise VerifyException(f"{self.name}: the results must have the types of the output operands")


class ScalarFunctionOp(StructuredOp, ABC):
    """A structured operation whose name, or a property, says which function to apply."""

    @property
    @abstractmethod
    def function(self) -> str:
        """A key of `normalize_linalg.scalar_functions`."""


class RegionOp(StructuredOp, ABC):
    """A structured operation with a region, for which `{ operation }` in front of the operands may stand.

    The region has an argument for each input and for each output; `linalg.map` may leave the latter out.
    """

    body = region_def("single_block")

    TYPES_RESULTS: ClassVar = False

    INIT_FIRST: ClassVar[bool]
    """Whether the shorthand takes the output's element in front of the inputs' ones; else it takes only the latter."""

    @classmethod
    def parse_shorthand(cls, parser: Parser) -> Callable[[Sequence[SSAValue]], Operation] | None:
        if not parser.parse_optional_punctuation("{"):
            return None
        name = parser.parse_identifier()
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation("}")
        op_type = parser._get_op_by_name(name)  # pyright: ignore[reportPrivateUsage]
        properties = op_type.get_irdl_definition().properties if issubclass(op_type, IRDLOperation) else {}

        def make(operands: Sequence[SSAValue]) -> Operation:
            return op_type.create(
                operands=operands,
                result_types=[operands[0].type],
                properties={key: value for key, value in attributes.items() if key in properties},
                attributes={key: value for key, value in attributes.items() if key not in properties},
            )

        return make

    @classmethod
    def parse_regions(
        cls,
        parser: Parser,
        shorthand: Callable[[Sequence[SSAValue]], Operation] | None,
        inputs: Sequence[SSAValue],
        outputs: Sequence[SSAValue],
    ) -> list[Region]:
        if shorthand is None:
            arguments = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
            return [parser.parse_region(arguments)]
        block = Block(arg_types=[_element_type(value) for value in (*inputs, *outputs)])
        count = len(inputs)
        elements = [*block.args[count:], *block.args[:count]] if cls.INIT_FIRST else block.args[:count]
        operation = shorthand(elements)
        block.add_ops([operation, YieldOp(*operation.results)])
        return [Region(block)]


def _element_type(value: SSAValue) -> Attribute:
    return value.type.get_element_type() if isinstance(value.type, TensorType) else value.type


def parse_operands(parser: Parser, keyword: str) -> Sequence[SSAValue]:
    """`keyword(%a, %b : type, type)`; none where it is not there."""
    position = parser.pos
    if not parser.parse_optional_keyword(keyword):
        return []
    with parser.in_parens():
        names = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
    return parser.resolve_operands(names, types, position)


def parse_types(parser: Parser) -> Sequence[Attribute]:
    """`-> type` or `-> (type, type)`; none where it is not there."""
    if not parser.parse_optional_punctuation("->"):
        return []
    types = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
    return [parser.parse_type()] if types is None else types
