"""What a record must look like, operation by operation: proved before one of an artifact is ever evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .elementwise import FLOAT_FUNCTIONS, INTEGER_FUNCTIONS
from .maps import OPERATORS
from .structured import FUNCTIONS

_ELEMENT = re.compile(r"f64|f32|f16|bf16|index|i([1-9]|[1-5][0-9]|6[0-4])")
_MOST_DIMS = 32
"""Dimensions of a numpy array."""

Test: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True)
class Form:
    """The least and greatest number of operands, the attributes with what each must be, and the number of blocks."""

    operands: tuple[int, int]
    attributes: Mapping[str, Test] = field(default_factory=dict)
    blocks: int = 0


def is_element(value: Any) -> bool:
    """A type that numpy arrays can hold, as MLIR spells it."""
    return isinstance(value, str) and _ELEMENT.fullmatch(value) is not None


def is_integer(value: Any) -> bool:
    return type(value) is int and -(1 << 63) <= value < 1 << 63


def is_size(value: Any) -> bool:
    return is_integer(value) and value >= 0


def is_list_of(test: Test) -> Test:
    return lambda value: isinstance(value, list) and len(value) <= 1 << 16 and all(map(test, value))


def is_optional(test: Test) -> Test:
    return lambda value: value is None or test(value)


def is_one_of(values: frozenset[str]) -> Test:
    return lambda value: isinstance(value, str) and value in values


def _is_expression(value: Any, dims: int) -> bool:
    if is_integer(value):
        return True
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        return False
    operator, *parts = value
    if operator == "d":
        return len(parts) == 1 and is_size(parts[0]) and parts[0] < dims
    return operator in OPERATORS and len(parts) == 2 and all(_is_expression(part, dims) for part in parts)


def _is_map(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not is_size(value[0]) or value[0] > _MOST_DIMS:
        return False
    return is_list_of(lambda result: _is_expression(result, value[0]))(value[1])


def _is_number(value: Any) -> bool:
    return is_integer(value) or type(value) in (float, bool)


def _is_positive(value: Any) -> bool:
    return is_integer(value) and value > 0


def _is_bool(value: Any) -> bool:
    return type(value) is bool


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_SIZES = is_list_of(is_size)
_MAYBE_SIZES = is_list_of(is_optional(is_size))
_INTEGERS = is_list_of(is_optional(is_integer))
_GROUPS = is_list_of(_SIZES)
_LOOPS: Mapping[str, Test] = {
    "maps": is_list_of(_is_map),
    "iterators": is_list_of(is_one_of(frozenset({"parallel", "reduction"}))),
}
_STRUCTURED: Mapping[str, Test] = {
    **_LOOPS,
    "function": is_one_of(FUNCTIONS),
    "unsigned": _is_bool,
    "elements": is_list_of(is_element),
}
_WINDOW: Mapping[str, Test] = {"strides": is_list_of(_is_positive), "dilations": is_list_of(_is_positive)}
_RELAYOUT: Mapping[str, Test] = {"positions": _SIZES, "tiles": is_list_of(is_optional(_is_positive)), "outer": _SIZES}
_FOUR_SIZES: Test = lambda value: _SIZES(value) and len(value) == 4  # noqa: E731
_TILED_CONVOLUTION: Mapping[str, Test] = {
    **_WINDOW,
    "kernel": _SIZES,
    "pad": _FOUR_SIZES,
    "pad_value": _is_number,
    "lhs_offset": is_integer,
}
_SLICE: Mapping[str, Test] = {"offsets": _INTEGERS, "sizes": _MAYBE_SIZES, "strides": _INTEGERS}
_ANY = 1 << 16

_CASTS = ("extf", "truncf", "sitofp", "uitofp", "fptosi", "fptoui", "extsi", "extui", "trunci", "index_cast")
_SAME = ("encoding.set_encoding", "encoding.unset_encoding", "tensor.cast", "arith.bitcast", "tensor.bitcast")

FORMS: dict[str, Form] = {
    **{name: Form((count, count)) for name, count in (INTEGER_FUNCTIONS | FLOAT_FUNCTIONS).items()},
    **{f"arith.{name}": Form((1, 1), {"element": is_element}) for name in (*_CASTS, "index_castui")},
    **{name: Form((1, 1)) for name in _SAME},
    "arith.constant": Form((0, 0), {"value": _is_number}),
    "arith.select": Form((3, 3)),
    "arith.cmpi": Form((2, 2), {"predicate": lambda value: is_size(value) and value < 10, "element": is_element}),
    "arith.cmpf": Form((2, 2), {"predicate": lambda value: is_size(value) and value < 16}),
    "arith.addui_extended": Form((2, 2)),
    "arith.mulsi_extended": Form((2, 2)),
    "arith.mului_extended": Form((2, 2)),
    "tosa.apply_scale": Form((3, 3), {"double_round": _is_bool}),
    "tosa.const": Form((0, 0), {"offset": is_size}),
    "linalg.generic": Form((1, _ANY), _LOOPS, 1),
    "linalg.index": Form((0, 0), {"dim": lambda value: is_size(value) and value < _MOST_DIMS}),
    "linalg.structured": Form((1, _ANY), _STRUCTURED),
    "linalg.matmul": Form((3, 3), _STRUCTURED),
    "linalg.batch_matmul": Form((3, 3), _STRUCTURED),
    "linalg.mmt4d": Form((3, 3)),
    "linalg.batch_mmt4d": Form((3, 3)),
    "linalg.conv_2d_nhwc_fhwc": Form((3, 3), _WINDOW),
    "linalg.depthwise_conv_2d_nhwc_hwcm": Form((3, 3), _WINDOW),
    "linalg.pooling_nhwc_max": Form((3, 3), _WINDOW),
    "linalg.pooling_nhwc_sum": Form((3, 3), _WINDOW),
    "linalg.softmax": Form((2, 2), {"dimension": is_size}),
    "linalg.fill": Form((2, 2)),
    "linalg.pack": Form((2, _ANY), {**_RELAYOUT, "padded": _is_bool}),
    "linalg.unpack": Form((2, _ANY), _RELAYOUT),
    "tiled.matmul": Form((2, 3), {"columns": is_optional(is_size), "lhs_offset": is_integer}),
    "tiled.conv_2d": Form((2, 2), _TILED_CONVOLUTION),
    "tensor.empty": Form((0, _ANY)),
    "tensor.splat": Form((1, _ANY)),
    "tensor.from_elements": Form((0, _ANY)),
    "tensor.generate": Form((0, _ANY), blocks=1),
    "tensor.dim": Form((2, 2)),
    "tensor.rank": Form((1, 1)),
    "tensor.extract": Form((1, _ANY)),
    "tensor.insert": Form((2, _ANY)),
    "tensor.gather": Form((2, 2), {"dims": _SIZES}),
    "tensor.collapse_shape": Form((1, 1), {"groups": _GROUPS}),
    "tensor.expand_shape": Form((1, _ANY), {"groups": _GROUPS, "shape": _MAYBE_SIZES}),
    "tensor.reshape": Form((2, 2)),
    "tensor.concat": Form((1, _ANY), {"dim": is_size}),
    "tensor.extract_slice": Form((1, _ANY), _SLICE),
    "tensor.insert_slice": Form((2, _ANY), _SLICE),
    "tensor.pad": Form((1, _ANY), {"low": _MAYBE_SIZES, "high": _MAYBE_SIZES}, 1),
    "dispatch.region": Form((0, _ANY), blocks=1),
}
"""Every operation that a segment may hold."""
