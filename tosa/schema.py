"""The TOSA exchange format as records: `tosa.fbs`, schema 1.0, one record per table, one line per operator.

Source: schema/tosa.fbs of the TOSA serialization library (identifier "TOSA"). Operators and their attribute tables are
numbered alike there, so one ordered list gives both the `Op` enumeration and the `Attribute` union. Attributes are
named as in the MLIR dialect, which is how the schema names them too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any

from ..runtime.flatbuffer import Blob, Bool, Int32, OneOf, UInt32, UInt64

IDENTIFIER = b"TOSA"

NO_DATA = memoryview(b"")

DTYPES = (
    "unknown", "i1", "i4", "i8", "i16", "i32", "i48", "f32", "f16", "bf16", "shape",
    "f8E4M3FN", "f8E5M2", "f6E2M3FN", "f6E3M2FN", "f4E2M1FN", "f8E8M0FNU", "i64", "mxint8",
)  # fmt: skip
"""MLIR's name of each value of the `DType` enumeration."""

KEYWORDS = {
    "nan_mode": ("", "PROPAGATE", "IGNORE"),
    "rounding_mode": ("", "SINGLE_ROUND", "INEXACT_ROUND", "DOUBLE_ROUND"),
    "mode": ("", "NEAREST_NEIGHBOR", "BILINEAR"),
}
"""The keywords of the dialect that each value of an enumeration stands for; 0 is "unknown"."""

_FIELDS: dict[str, tuple[Any, Any]] = {
    "ints": (tuple[Int32, ...], ()),
    "int": (Int32, 0),
    "bool": (Bool, False),
    "enum": (UInt32, 0),  # all enumerations of the schema are uint32
    "bytes": (Blob, NO_DATA),
    "text": (str, ""),
}

_OPERATORS = """
argmax axis:int nan_mode:enum
avg_pool2d kernel:ints stride:ints pad:ints acc_type:enum
conv2d pad:ints stride:ints dilation:ints local_bound:bool acc_type:enum
conv3d pad:ints stride:ints dilation:ints local_bound:bool acc_type:enum
depthwise_conv2d pad:ints stride:ints dilation:ints local_bound:bool acc_type:enum
fft2d inverse:bool local_bound:bool
matmul
max_pool2d kernel:ints stride:ints pad:ints nan_mode:enum
rfft2d local_bound:bool
transpose_conv2d out_pad:ints stride:ints local_bound:bool acc_type:enum
clamp min_val:bytes max_val:bytes nan_mode:enum
erf
sigmoid
tanh
add
arithmetic_right_shift round:bool
bitwise_and
bitwise_or
bitwise_xor
intdiv
logical_and
logical_left_shift
logical_right_shift
logical_or
logical_xor
maximum nan_mode:enum
minimum nan_mode:enum
mul
pow
sub
table
abs
bitwise_not
ceil
clz
cos
exp
floor
log
logical_not
negate
reciprocal
rsqrt
sin
select
equal
greater
greater_equal
reduce_all axis:int
reduce_any axis:int
reduce_max axis:int nan_mode:enum
reduce_min axis:int nan_mode:enum
reduce_product axis:int
reduce_sum axis:int
concat axis:int
pad
reshape
reverse axis:int
slice
tile
transpose perms:ints
gather
scatter
resize mode:enum
cast
rescale scale32:bool rounding_mode:enum per_channel:bool input_unsigned:bool output_unsigned:bool
const
identity
custom operator_name:text domain_name:text implementation_attrs:bytes
cond_if then_graph:text else_graph:text
while_loop cond_graph:text body_graph:text
variable
variable_write
variable_read
const_shape
"""


def _attribute_record(line: str) -> tuple[str, type]:
    operator, *fields = line.split()
    members = []
    for name, kind in (item.split(":") for item in fields):
        hint, default = _FIELDS[kind]
        members.append((name, hint, field(default=default)))
    return operator, make_dataclass(f"{operator}_attribute", members, frozen=True)


ATTRIBUTES = dict(_attribute_record(line) for line in _OPERATORS.strip().splitlines())
"""The attribute record of each operator, by its name in the dialect, in the order of the `Op` enumeration."""

OPERATORS = ("", *ATTRIBUTES)
"""The operator that each value of the `Op` enumeration stands for; 0 is "unknown"."""


@dataclass(frozen=True)
class Tensor:
    """`data` is empty unless the tensor is a constant; tensors of a model beyond 2 GB use `offset` and `size`."""

    name: str
    shape: tuple[Int32, ...] = ()
    type: UInt32 = 0
    data: Blob = NO_DATA
    variable: Bool = False
    is_unranked: Bool = False
    variable_name: str = ""
    offset: UInt64 = 0
    size: UInt64 = 0


@dataclass(frozen=True)
class Shape:
    """A `!tosa.shape` value; `data` is int64 extents."""

    name: str
    rank: UInt32 = 0
    data: Blob = NO_DATA


@dataclass(frozen=True)
class Operator:
    op: UInt32
    attribute: Annotated[Any, OneOf(tuple(ATTRIBUTES.values()))] = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class BasicBlock:
    name: str = ""
    operators: tuple[Operator, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Region:
    name: str = ""
    blocks: tuple[BasicBlock, ...] = ()


@dataclass(frozen=True)
class Version:
    major: Int32 = -1
    minor: Int32 = -1
    patch: Int32 = -1
    draft: Bool = True


@dataclass(frozen=True)
class Graph:
    version: Version
    regions: tuple[Region, ...] = ()
