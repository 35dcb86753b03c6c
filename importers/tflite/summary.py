"""What a model consists of, counted: for people, and for whoever wants to know whether it can be imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.ir import Attribute, Operation, SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect.types import shape_of
from ..registry import DYNAMIC
from .importer import select_signatures, try_import
from .model import Model, Operator, Tensor


@dataclass(frozen=True)
class TensorSummary:
    """An input or output as the user sees it; -1 in `shape` is dynamic."""

    name: str
    type_name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SignatureSummary:
    """A function of the model, by the names that its users give."""

    name: str
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]


@dataclass(frozen=True)
class Summary:
    """`macs` are multiply-accumulates of one inference, dynamic dimensions counted as 1."""

    source: str
    signatures: tuple[SignatureSummary, ...]
    operator_counts: Counter[str]
    operator_macs: Counter[str]
    weight_bytes: int
    """Bytes of the distinct constants, as the file stores them (sparse ones expanded)."""
    unsupported: list[str]


def summarize(model: Model, signature: str | None, shapes: Mapping[str, Sequence[int]]) -> Summary:
    """Count everything that the selected signatures use. Raises what `try_import` raises."""
    counts: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    constants: dict[tuple[int, int], int] = {}

    def observe(operator: Operator, made: list[Operation]) -> None:
        counts[operator.name] += 1
        macs[operator.name] += sum(multiply_accumulates(operation) for operation in made)
        for tensor in operator.inputs:
            if tensor is not None and tensor.data is not None:
                constants[tensor.data.__array_interface__["data"][0], tensor.data.nbytes] = tensor.data.nbytes

    result = try_import(model, signature, shapes, observe)
    signatures = tuple(
        SignatureSummary(
            entry.name,
            _tensors(entry.subgraph.inputs, entry.input_names, function.function_type.inputs),
            _tensors(entry.subgraph.outputs, entry.output_names, function.function_type.outputs),
        )
        for entry, function in zip(select_signatures(model, signature), result.functions, strict=True)
    )
    return Summary(model.source, signatures, counts, macs, sum(constants.values()), result.unsupported)


def _tensors(tensors: Sequence[Tensor], names: Sequence[str], types: Iterable[Attribute]) -> tuple[TensorSummary, ...]:
    return tuple(
        TensorSummary(name, tensor.type_name, tuple(max(extent, DYNAMIC) for extent in shape_of(type)))
        for tensor, name, type in zip(tensors, names, types, strict=True)
    )


def multiply_accumulates(operation: Operation) -> int:
    """Multiply-accumulates of a contraction, 0 of any other operation; dynamic dimensions count as 1."""
    match operation:
        case tosa.Conv2DOp() | tosa.Conv3DOp():
            return _elements(operation.output) * _elements(operation.weight) // max(_shape(operation.weight)[0], 1)
        case tosa.DepthwiseConv2DOp():
            return _elements(operation.output) * prod(_shape(operation.weight)[:2])
        case tosa.TransposeConv2DOp():
            return _elements(operation.input) * _elements(operation.weight) // max(_shape(operation.weight)[3], 1)
        case tosa.MatMulOp():
            return _elements(operation.output) * _shape(operation.a)[2]
        case _:
            return 0


def _elements(value: SSAValue) -> int:
    return prod(_shape(value))


def _shape(value: SSAValue) -> list[int]:
    return [max(extent, 1) for extent in shape_of(value)]
