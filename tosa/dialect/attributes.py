"""Attributes of the dialect, and how plain Python values become them.

An attribute name has one representation in all of TOSA (`pad` is always `array<i64>`, `axis` always `i32`), so one
table serves every constructor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from xdsl.dialects.builtin import (
    BoolAttr,
    DenseArrayBase,
    IntegerAttr,
    StringAttr,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from ..elements import ElementsAttr

FALSE = BoolAttr.from_bool(False)


class KeywordAttr(Data[str]):
    """One of `keywords`: written `#tosa.name<KEYWORD>` in generic form and as the bare keyword in custom form."""

    keywords: ClassVar[tuple[str, ...]]

    def verify(self) -> None:
        if self.data not in self.keywords:
            raise VerifyException(f"'{self.data}' is not one of {', '.join(self.keywords)}")

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{self.data}>")

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> str:
        with parser.in_angle_brackets():
            return cls.checked(parser, parser.parse_identifier()).data

    @classmethod
    def checked(cls, parser: AttrParser, keyword: str) -> Self:
        """The attribute for a keyword that was just parsed."""
        if keyword not in cls.keywords:
            parser.raise_error(f"'{keyword}' is not one of {', '.join(cls.keywords)}")
        return cls(keyword)


@irdl_attr_definition
class NanModeAttr(KeywordAttr):
    name = "tosa.nan_mode"
    keywords = ("PROPAGATE", "IGNORE")


@irdl_attr_definition
class RoundingModeAttr(KeywordAttr):
    name = "tosa.rounding_mode"
    keywords = ("SINGLE_ROUND", "INEXACT_ROUND", "DOUBLE_ROUND")


@irdl_attr_definition
class ResizeModeAttr(KeywordAttr):
    name = "tosa.resize_mode"
    keywords = ("NEAREST_NEIGHBOR", "BILINEAR")


KEYWORD_ATTRIBUTES: dict[str, type[KeywordAttr]] = {
    "nan_mode": NanModeAttr,
    "rounding_mode": RoundingModeAttr,
    "mode": ResizeModeAttr,
}


def _i64_array(values: Any) -> Attribute:
    return DenseArrayBase.from_list(i64, [int(value) for value in values])


def _i32_array(values: Any) -> Attribute:
    return DenseArrayBase.from_list(i32, [int(value) for value in values])


def _boolean(value: Any) -> Attribute:
    return BoolAttr.from_bool(bool(value))


def _elements(value: Any) -> Attribute:
    return ElementsAttr.from_array(np.asarray(value))


_ENCODERS: dict[str, Callable[[Any], Attribute]] = {
    **dict.fromkeys(("pad", "out_pad", "stride", "dilation", "kernel"), _i64_array),
    "perms": _i32_array,
    "axis": lambda value: IntegerAttr(int(value), i32),
    **dict.fromkeys(
        ("round", "inverse", "local_bound", "scale32", "per_channel", "input_unsigned", "output_unsigned"), _boolean
    ),
    **dict.fromkeys(("values", "initial_value"), _elements),
    **dict.fromkeys(("operator_name", "domain_name", "implementation_attrs", "name", "sym_name"), StringAttr),
    **KEYWORD_ATTRIBUTES,
}


def encode(name: str, value: Any) -> Attribute:
    """The attribute for `value` where an operator has an attribute `name`; an attribute passes through."""
    return value if isinstance(value, Attribute) else _ENCODERS[name](value)


def plain(attribute: Attribute) -> Any:
    """The Python value of an attribute: int, float, bool, str, tuple of ints or array; a type stays a type."""
    match attribute:
        case IntegerAttr(type=type, value=value):
            return bool(value.data) if type == i1 else value.data
        case DenseArrayBase():
            return tuple(item.value.data for item in attribute.iter_attrs())
        case ElementsAttr():
            return attribute.array
        case KeywordAttr() | StringAttr():
            return attribute.data
        case _:
            return attribute
