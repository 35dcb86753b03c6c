"""Types of the dialect: `!tosa.shape<N>`, and small helpers to read and build tensor types."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IntAttr,
    IntegerType,
    TensorType,
)
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

I48 = IntegerType(48)
"""What products of 16-bit activations accumulate in."""

FLOAT_TYPES = (Float16Type, BFloat16Type, Float32Type, Float64Type)


@irdl_attr_definition
class ShapeType(ParametrizedAttribute, TypeAttribute):
    """`!tosa.shape<N>`: a list of N extents, strides or paddings that is an operand of an operator."""

    name = "tosa.shape"

    rank: IntAttr

    def __init__(self, rank: int | IntAttr) -> None:
        super().__init__(IntAttr(rank) if isinstance(rank, int) else rank)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            return [IntAttr(parser.parse_integer(allow_boolean=False, allow_negative=False))]

    def print_parameters(self, printer: Printer) -> None:
        printer.print_string(f"<{self.rank.data}>")


def tensor_type(value: SSAValue | Attribute) -> TensorType:
    """The ranked tensor type of a value; anything else does not verify."""
    type = value.type if isinstance(value, SSAValue) else value
    if not isinstance(type, TensorType):
        raise VerifyException(f"expected a ranked tensor, got {type}")
    return type


def shape_of(value: SSAValue | Attribute) -> tuple[int, ...]:
    """The extents of a tensor; a dynamic one is DYNAMIC_INDEX."""
    return tuple(tensor_type(value).get_shape())


def element_of(value: SSAValue | Attribute) -> Attribute:
    """The element type of a tensor."""
    return tensor_type(value).get_element_type()


def ranked(value: SSAValue, rank: int, name: str) -> tuple[int, ...]:
    """The extents of a tensor that must have `rank` dimensions."""
    shape = shape_of(value)
    if len(shape) != rank:
        raise VerifyException(f"{name} must have rank {rank}, got {value.type}")
    return shape


def is_float(type: Attribute) -> bool:
    return isinstance(type, FLOAT_TYPES)


def merge_dimension(*extents: int) -> int | None:
    """The extent that all of `extents` may have: the static one, DYNAMIC_INDEX if none is, None if two disagree."""
    static = {extent for extent in extents if extent != DYNAMIC_INDEX}
    if len(static) > 1:
        return None
    return static.pop() if static else DYNAMIC_INDEX


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """TOSA broadcasting: equal ranks, and per dimension equal extents or 1 (specification, section 1.9.3)."""
    if len({len(shape) for shape in shapes}) > 1:
        raise VerifyException(f"operands must have the same rank, got shapes {', '.join(map(str, shapes))}")
    result: list[int] = []
    for extents in zip(*shapes, strict=True):
        wide = [extent for extent in extents if extent != 1]
        extent = merge_dimension(*wide) if wide else 1
        if extent is None:
            raise VerifyException(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        result.append(extent)
    return tuple(result)


def compatible(expected: Attribute, actual: Attribute) -> bool:
    """Whether a value of type `actual` may stand where shape inference derived `expected`."""
    if not isinstance(expected, TensorType) or not isinstance(actual, TensorType):
        return expected == actual
    if expected.get_element_type() != actual.get_element_type() or expected.get_num_dims() != actual.get_num_dims():
        return False
    pairs = zip(expected.get_shape(), actual.get_shape(), strict=True)
    return all(merge_dimension(left, right) is not None for left, right in pairs)
