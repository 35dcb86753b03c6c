"""Typed views of a verified TFLite model: tensors with zero-copy data, operators with typed options.

They hold nothing that has not been checked by `verifier.py` and `reader.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from flatbuffers.table import Table
from xdsl.dialects.builtin import NoneAttr
from xdsl.ir import Attribute

from ..registry import Unsupported
from .errors import FieldError

Array = np.ndarray[Any, Any]

# A FlatBuffer table without fields: a vtable of 4 bytes, then the table, which points 4 bytes back to it.
_EMPTY_TABLE = Table(struct.pack("<HHi", 4, 4, 4), 4)


class OptionsTable(Protocol):
    """What the table classes of the `tflite` package have in common."""

    def Init(self, buf: Any, pos: int) -> None: ...


OptionsT = TypeVar("OptionsT", bound=OptionsTable)


@dataclass(frozen=True, slots=True)
class Quantization:
    """real = scale[c] * (quantised - zero_point[c]), where c is the index along `axis`, or 0 per tensor."""

    scale: Array
    """float32, one per channel along `axis` or exactly one; positive and finite."""

    zero_point: Array
    """int64, as many as `scale`."""

    axis: int
    """`quantized_dimension` of the file; meaningful only where there are several scales."""

    @property
    def per_channel(self) -> bool:
        return self.scale.size > 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a subgraph, as the file declares it."""

    index: int
    name: str
    path: str
    """Where it is in the file, such as `subgraphs[0].tensors[17]`: what error messages name."""

    shape: tuple[int, ...]
    """As declared; -1 where `shape_signature` leaves a dimension open. See `Context.shape_of` for the real one."""

    type_name: str
    """The schema's name in TensorType, such as FLOAT32."""

    element_type: Attribute
    """The MLIR type of one element: f32, i8, i32... uint8 and int4 have i8; NoneAttr where TOSA has no such type."""

    quantization: Quantization | None
    """None where the tensor is not quantised. Of uint8 tensors, the zero point of their int8 form."""

    data: Array | None
    """The elements of a constant: a read-only view of the mapped file in the declared shape; None if computed."""

    is_variable: bool = False
    """It keeps its value from one inference to the next."""

    @property
    def unsigned(self) -> bool:
        """The file declares uint8: values here are `uint8 - 128` in int8."""
        return self.type_name == "UINT8"

    @property
    def representable(self) -> bool:
        """TOSA has a type for it, and it is an ordinary value: not a variable, string, resource..."""
        return not self.is_variable and not isinstance(self.element_type, NoneAttr)

    @property
    def scale(self) -> float:
        """The scale of a tensor that must be quantised per tensor."""
        return float(self._per_tensor().scale[0])

    @property
    def zero_point(self) -> int:
        """The zero point of a tensor that must be quantised per tensor."""
        return int(self._per_tensor().zero_point[0])

    def _per_tensor(self) -> Quantization:
        if self.quantization is None:
            raise FieldError(f"{self.path}.quantization", f"tensor '{self.name}' needs a scale")
        if self.quantization.per_channel:
            raise Unsupported(f"'{self.name}' has one scale per channel; one for the whole tensor is supported here")
        return self.quantization


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a subgraph."""

    index: int
    name: str
    """The schema's name in BuiltinOperator, such as CONV_2D, or `CUSTOM:name`."""

    path: str
    """Where it is in the file, such as `subgraphs[0].operators[12]`."""

    version: int
    inputs: tuple[Tensor | None, ...]
    """Operands; None where an optional one is left out (index -1)."""

    outputs: tuple[Tensor, ...]
    options_type: str | None
    """The name of the options table that the file carries, such as `Conv2DOptions`."""

    options_table: Table | None = field(repr=False)
    """Where those options are stored; see `options`."""

    def input(self, position: int) -> Tensor:
        """The operand at `position`, which must be there."""
        tensor = self.optional_input(position)
        if tensor is None:
            raise FieldError(f"{self.path}.inputs", f"{self.name} lacks operand {position}")
        return tensor

    def optional_input(self, position: int) -> Tensor | None:
        """The operand at `position`, or None where it was left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def output(self, position: int = 0) -> Tensor:
        """The result at `position`, which must be there."""
        if position >= len(self.outputs):
            raise FieldError(f"{self.path}.outputs", f"{self.name} lacks result {position}")
        return self.outputs[position]

    def options(self, table: type[OptionsT]) -> OptionsT:
        """The options as the `tflite` package's table class, such as `op.options(tflite.Conv2DOptions).StrideH()`.

        A file may leave out options whose fields all have their default: then an empty table is returned.
        Raises FieldError where the file carries another table than this operator has.
        """
        if self.options_type not in (None, table.__name__):
            problem = f"{self.name} carries {self.options_type}, not {table.__name__}"
            raise FieldError(f"{self.path}.builtin_options", problem)
        options = table()
        stored = _EMPTY_TABLE if self.options_table is None else self.options_table
        options.Init(stored.Bytes, stored.Pos)
        return options


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A function: operators in execution order between input and output tensors."""

    index: int
    name: str
    path: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...]


def distinct_names(names: Sequence[str], kind: str) -> tuple[str, ...]:
    """`names`, by which users tell inputs or outputs apart: one that is empty or taken gets its position instead."""
    distinct: list[str] = []
    for position, name in enumerate(names):
        taken = not name or name in distinct
        distinct.append(f"{name or kind}_{position}" if taken else name)
    return tuple(distinct)


@dataclass(frozen=True, slots=True)
class Signature:
    """A named entry point. Its `input_names` and `output_names` go with the subgraph's inputs and outputs, in order."""

    name: str
    subgraph: Subgraph
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A verified model."""

    source: str
    """The path of the file, for messages."""

    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    locate: Callable[[str], int | None] = field(repr=False)
    """The byte position of a field, from its path (see `Verifier.locate`)."""
