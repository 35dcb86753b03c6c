"""What every TOSA operator shares: construction from plain values, one custom syntax, verification, its meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, ArrayAttr, FunctionType, IntegerAttr, IntegerType, NoneAttr, i64
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import IRDLOperation
from xdsl.parser import Parser
from xdsl.traits import ConstantLike
from xdsl.utils.exceptions import VerifyException

from ..elements import ElementsAttr
from .attributes import KEYWORD_ATTRIBUTES, encode, plain
from .types import compatible, element_of, merge_dimension, shape_of

Array: TypeAlias = np.ndarray[Any, Any]


def constant(value: SSAValue) -> Array | None:
    """The elements of `value` if a `tosa.const` or `tosa.const_shape` produced it."""
    owner = value.owner
    if isinstance(owner, Operation) and owner.has_trait(ConstantLike):
        values = owner.properties.get("values")
        if isinstance(values, ElementsAttr):
            return values.array
    return None


def constant_shape(value: SSAValue) -> tuple[int, ...] | None:
    """The extents in `value` if it is a constant `!tosa.shape`."""
    array = constant(value)
    return None if array is None else tuple(array.tolist())


class TosaOp(IRDLOperation):
    """Base of all operators.

    Construction takes the operands in the order of the specification, then the attributes, as plain Python values:
    `ReduceSumOp(x, axis=1)`. Result types are inferred unless `result_types` is given.
    """

    def __init__(
        self,
        *arguments: Any,
        result_types: Sequence[Attribute | Sequence[Attribute]] | None = None,
        regions: Sequence[Region] = (),
        attributes: Mapping[str, Attribute] | None = None,
        **named: Any,
    ) -> None:
        definition = self.get_irdl_definition()
        operand_names = [name for name, _ in definition.operands]
        names = [*operand_names, *definition.properties]
        if len(arguments) > len(names):
            raise TypeError(f"{self.name} takes {names}, got {len(arguments)} positional arguments")
        given = dict(zip(names, arguments, strict=False))
        if unknown := [name for name in named if name not in names or name in given]:
            raise TypeError(f"{self.name} takes {names}; unknown or given twice: {unknown}")
        given |= named
        if missing := [name for name in operand_names if name not in given]:
            raise TypeError(f"{self.name} needs operands {missing}")
        properties = {name: encode(name, given[name]) for name in definition.properties if given.get(name) is not None}
        super().__init__(
            operands=[given[name] for name in operand_names],
            properties=properties,
            result_types=[NoneAttr()] * len(definition.results) if result_types is None else result_types,
            regions=regions,
            attributes=attributes,
        )
        if result_types is None:
            self.refresh_types()

    def infer(self) -> Sequence[Attribute]:
        """Result types that follow from operands and attributes; raises VerifyException where these disagree."""
        raise NotImplementedError(f"{self.name} needs explicit result_types")

    def refresh_types(self) -> None:
        """Set the result types to what `infer` derives now."""
        for result, type in zip(self.results, self.infer(), strict=True):
            result._type = type  # pyright: ignore[reportPrivateUsage]: xDSL offers no setter

    def plain(self, name: str) -> Any:
        """The attribute `name` as a Python value, its default if it is absent."""
        attribute = self.properties.get(name)
        if attribute is None:
            attribute = self.get_irdl_definition().properties[name].default_value
        return None if attribute is None else plain(attribute)

    def verify_(self) -> None:
        for index, (expected, result) in enumerate(zip(self.infer(), self.results, strict=True)):
            if not compatible(expected, result.type):
                self.fail(f"result {index} is {result.type} but its operands make it {expected}")

    def fail(self, reason: str) -> NoReturn:
        """Raise VerifyException for this operation."""
        raise VerifyException(f"{self.name}: {reason}")

    def unify(self, what: str, *extents: int) -> int:
        """The extent that `extents`, of which some may be dynamic, have in common; `what` names them in the error."""
        extent = merge_dimension(*extents)
        if extent is None:
            self.fail(f"{what} differ: {' and '.join(map(str, extents))}")
        return extent

    def check_zero_point(self, zero_point: SSAValue, element: Attribute, name: str) -> None:
        """A zero point has one element of the type it belongs to; only that of i8 may differ from 0."""
        shape = shape_of(zero_point)
        if element_of(zero_point) != element or len(shape) != 1 or shape[0] not in (1, DYNAMIC_INDEX):
            self.fail(f"{name} must have one element of type {element}, got {zero_point.type}")
        value = constant(zero_point)
        narrow = isinstance(element, IntegerType) and element.width.data == 8
        if value is not None and not narrow and value.any():
            self.fail(f"{name} must be 0 for {element}, got {value.item()}")

    def meaning(self, *operands: Array) -> Array | Sequence[Array]:
        """The results for numpy operands, as the TOSA 1.0 specification defines them.

        Float results may come in a wider type: `evaluate` rounds them once to the result type.
        """
        raise NotImplementedError(f"{self.name} cannot be evaluated on the host")

    @classmethod
    def parse(cls, parser: Parser) -> TosaOp:
        """`operands attributes : (types) -> types`, where an attribute stands in braces or as `name(value)`."""
        operands = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        position = parser.pos
        properties, attributes = _parse_attributes(parser, cls)
        parser.parse_punctuation(":")
        function_type = parser.parse_type()
        if not isinstance(function_type, FunctionType):
            parser.raise_error(f"expected the function type of {cls.name}")
        values = parser.resolve_operands(operands or [], function_type.inputs.data, position)
        return cls.create(
            operands=values,
            result_types=function_type.outputs.data,
            properties=properties,
            attributes=attributes,
        )


def _untyped(value: Attribute) -> Any:
    """Bare numbers and lists of them, to which the attribute's name gives the type; anything else stays."""
    if isinstance(value, ArrayAttr):
        return [plain(item) for item in value.data]
    return plain(value) if isinstance(value, IntegerAttr) and value.type == i64 else value


def _parse_attributes(parser: Parser, cls: type[TosaOp]) -> tuple[dict[str, Attribute], dict[str, Attribute]]:
    """The properties and discardable attributes between operands and type.

    Two spellings exist: MLIR 22 prints `{axis = 1 : i32, nan_mode = IGNORE}`, later versions
    `axis(1) nan_mode<IGNORE> {discardable}`.
    """
    known = cls.get_irdl_definition().properties
    properties: dict[str, Attribute] = {}
    attributes: dict[str, Attribute] = {}

    def parse_entry() -> None:
        name = parser.parse_identifier_or_str_literal()
        parser.parse_punctuation("=")
        keyword = KEYWORD_ATTRIBUTES.get(name)
        # A keyword may also stand in its generic form, `#tosa.nan_mode<IGNORE>`.
        if name in known and keyword is not None and (text := parser.parse_optional_identifier()) is not None:
            value: Attribute = keyword.checked(parser, text)
        else:
            value = parser.parse_attribute()
        (properties if name in known else attributes)[name] = value

    while (name := parser.parse_optional_identifier()) is not None:
        if name not in known:
            parser.raise_error(f"{cls.name} has no attribute '{name}'")
        if keyword := KEYWORD_ATTRIBUTES.get(name):
            with parser.in_angle_brackets():
                properties[name] = keyword.checked(parser, parser.parse_identifier())
        else:
            with parser.in_parens():
                value = parser.parse_attribute()
            properties[name] = encode(name, _untyped(value))
    parser.parse_optional_comma_separated_list(parser.Delimiter.BRACES, parse_entry)
    return properties, attributes
