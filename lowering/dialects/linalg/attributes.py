"""The enumerations that named linalg operations carry: how to cast, and which scalar function to apply."""

from __future__ import annotations

from typing import ClassVar

from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer


class _EnumAttr(Data[str]):
    """One keyword of `CASES`, between angle brackets."""

    CASES: ClassVar[frozenset[str]]

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> str:
        with parser.in_angle_brackets():
            word = parser.parse_identifier()
            if word not in cls.CASES:
                parser.raise_error(f"expected one of {', '.join(sorted(cls.CASES))}")
            return word

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.data)


_UNARY = frozenset(
    "exp log abs ceil floor negf reciprocal round sqrt rsqrt square tanh erf".split()  # noqa: SIM905
)
_BINARY = frozenset(
    "add sub mul div div_unsigned max_signed min_signed max_unsigned min_unsigned powf".split()  # noqa: SIM905
)


@irdl_attr_definition
class TypeFnAttr(_EnumAttr):
    """How integers are cast to the type of the result."""

    name = "linalg.type_fn"
    CASES: ClassVar = frozenset({"cast_signed", "cast_unsigned"})


@irdl_attr_definition
class UnaryFnAttr(_EnumAttr):
    """The function of `linalg.elemwise_unary`."""

    name = "linalg.unary_fn"
    CASES: ClassVar = _UNARY


@irdl_attr_definition
class BinaryFnAttr(_EnumAttr):
    """The function of `linalg.elemwise_binary`."""

    name = "linalg.binary_fn"
    CASES: ClassVar = _BINARY


@irdl_attr_definition
class ElementwiseKindAttr(_EnumAttr):
    """The function of `linalg.elementwise`."""

    name = "linalg.elementwise_kind"
    CASES: ClassVar = _UNARY | _BINARY | {"select"}
