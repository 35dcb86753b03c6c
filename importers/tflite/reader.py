"""Bytes of a .tflite file -> verified, typed views of it (`model.py`), with constants as views of the mapped file.

Two steps: `verifier.py` proves that the FlatBuffer can be followed; here the values are checked: indices, dimensions,
buffer sizes, quantisation. What remains after that is a question of what an operator means, not of whether it can be
read. Order and uniqueness of the values are checked by `dataflow.py`.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from xdsl.dialects.builtin import NoneAttr

from ...runtime.errors import ArgumentError, MalformedFileError
from .accessors import integers, present, text, vector
from .dataflow import check_dataflow
from .errors import FieldError
from .model import Array, Model, Operator, Signature, Subgraph, Tensor, distinct_names
from .quantization_reader import read_quantization
from .sparsity import densify
from .types import TYPE_NAMES, TYPES
from .verifier import Verifier

SCHEMA_VERSION = 3

_OPERATOR_NAMES = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
_OPTIONS_NAMES = {value: name for name, value in vars(tflite.BuiltinOptions).items() if isinstance(value, int)}
_TYPED_BY_OPERANDS = {"ADD", "SUB", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"}
"""Operators whose kernels give the result the type of the operands, whatever the file declares: old files do not."""

# No tensor of a model that can run has more bytes; keeps every later product of dimensions in 64 bits.
_MAX_TENSOR_BYTES = 1 << 44
_MAX_RANK = 16


def read_model(source: str | Path | bytes) -> Model:
    """Read and verify a model; `source` is a path, which is mapped, or the bytes of a file.

    Raises MalformedFileError, naming the field and its byte position, or ArgumentError where there is no such file.
    """
    data, name = _map(source)
    verifier = Verifier(data)
    try:
        verifier.verify()
        return _Reader(data).model(name, verifier.locate)
    except FieldError as error:
        position = verifier.locate(error.path) if error.position is None and error.path else error.position
        raise MalformedFileError(f"{name}: {FieldError(error.path, error.problem, position)}") from None


def _map(source: str | Path | bytes) -> tuple[memoryview, str]:
    if isinstance(source, bytes):
        return memoryview(source), "model"
    try:
        with open(source, "rb") as file:
            if file.seek(0, 2) == 0:
                return memoryview(b""), str(source)
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), str(source)
    except OSError as error:
        raise ArgumentError(f"cannot read {source}: {error.strerror}") from None


class _Reader:
    """Builds the views of one verified file."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._model = tflite.Model.GetRootAs(data)
        self._buffers: dict[int, Array] = {}

    def model(self, name: str, locate: Callable[[str], int | None]) -> Model:
        if self._model.Version() != SCHEMA_VERSION:
            raise FieldError("version", f"schema version {self._model.Version()}, not {SCHEMA_VERSION}")
        if self._model.SubgraphsLength() == 0:
            raise FieldError("subgraphs", "the model has no subgraph")
        subgraphs = tuple(self._subgraph(index) for index in range(self._model.SubgraphsLength()))
        signatures = tuple(self._signature(i, subgraphs) for i in range(self._model.SignatureDefsLength()))
        for i, signature in enumerate(signatures):
            if any(signature.name == other.name for other in signatures[:i]):
                raise FieldError(f"signature_defs[{i}].signature_key", f"the name '{signature.name}' occurs twice")
        return Model(name, subgraphs, signatures, locate)

    # Subgraphs

    def _subgraph(self, index: int) -> Subgraph:
        path = f"subgraphs[{index}]"
        graph = present(self._model.Subgraphs(index))
        inputs = integers(graph.InputsAsNumpy())
        outputs = integers(graph.OutputsAsNumpy())
        types = self._types(graph, path)
        not_constant = set(inputs)
        for position in range(graph.OperatorsLength()):
            operator = present(graph.Operators(position))
            not_constant.update(integers(operator.OutputsAsNumpy()))
        tensors = tuple(
            self._tensor(tensor, i, f"{path}.tensors[{i}]", types[i], i not in not_constant, i in inputs)
            for i, tensor in enumerate(present(graph.Tensors(i)) for i in range(graph.TensorsLength()))
        )
        subgraph = Subgraph(
            index,
            text(graph.Name()),
            path,
            _select(tensors, inputs, f"{path}.inputs"),
            _select(tensors, outputs, f"{path}.outputs"),
            tuple(
                self._operator(present(graph.Operators(i)), i, path, tensors) for i in range(graph.OperatorsLength())
            ),
        )
        check_dataflow(subgraph)
        return subgraph

    def _types(self, graph: tflite.SubGraph, path: str) -> list[int]:
        """The type of each tensor: as declared, except for what `_TYPED_BY_OPERANDS` compute."""
        types = [present(graph.Tensors(i)).Type() for i in range(graph.TensorsLength())]
        for position in range(graph.OperatorsLength()):
            operator = present(graph.Operators(position))
            ends = [integers(side)[:1] for side in (operator.InputsAsNumpy(), operator.OutputsAsNumpy())]
            if self._operator_name(operator, f"{path}.operators[{position}]") not in _TYPED_BY_OPERANDS:
                continue
            if all(0 <= index < len(types) for end in ends for index in end) and all(ends):
                types[ends[1][0]] = types[ends[0][0]]
        return types

    def _signature(self, index: int, subgraphs: tuple[Subgraph, ...]) -> Signature:
        path = f"signature_defs[{index}]"
        definition = present(self._model.SignatureDefs(index))
        if definition.SubgraphIndex() >= len(subgraphs):
            raise FieldError(f"{path}.subgraph_index", f"there is no subgraph {definition.SubgraphIndex()}")
        subgraph = subgraphs[definition.SubgraphIndex()]
        names = []
        for side, tensors in (("Inputs", subgraph.inputs), ("Outputs", subgraph.outputs)):
            by_index: dict[int, str] = {}
            for i in range(getattr(definition, f"{side}Length")()):
                entry = present(getattr(definition, side)(i))
                if all(tensor.index != entry.TensorIndex() for tensor in tensors):
                    where = f"{path}.{side.lower()}[{i}].tensor_index"
                    raise FieldError(where, f"tensor {entry.TensorIndex()} is none of the subgraph's {side.lower()}")
                by_index[entry.TensorIndex()] = text(entry.Name())
            names.append(
                distinct_names([by_index.get(t.index, t.name) for t in tensors], side.lower().removesuffix("s"))
            )
        return Signature(text(definition.SignatureKey()), subgraph, names[0], names[1])

    # Operators

    def _operator(self, operator: tflite.Operator, index: int, graph: str, tensors: tuple[Tensor, ...]) -> Operator:
        path = f"{graph}.operators[{index}]"
        name = self._operator_name(operator, path)
        inputs = tuple(
            None if i == -1 else _select(tensors, (i,), f"{path}.inputs", position)[0]
            for position, i in enumerate(integers(operator.InputsAsNumpy()))
        )
        outputs = integers(operator.OutputsAsNumpy())
        tag = operator.BuiltinOptionsType()
        options_type = _OPTIONS_NAMES.get(tag, f"options of type {tag}")
        options = operator.BuiltinOptions()
        return Operator(
            index,
            name,
            path,
            present(self._model.OperatorCodes(operator.OpcodeIndex())).Version(),
            inputs,
            _select(tensors, outputs, f"{path}.outputs"),
            None if options is None or options_type == "NONE" else options_type,
            options,
        )

    def _operator_name(self, operator: tflite.Operator, path: str) -> str:
        if operator.OpcodeIndex() >= self._model.OperatorCodesLength():
            raise FieldError(f"{path}.opcode_index", f"there is no operator code {operator.OpcodeIndex()}")
        code = present(self._model.OperatorCodes(operator.OpcodeIndex()))
        # Codes above 127 do not fit the old byte field, which then holds a placeholder of 127.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _OPERATOR_NAMES.get(number, f"BUILTIN_{number}")
        return f"CUSTOM:{text(code.CustomCode())}" if name == "CUSTOM" else name

    # Tensors

    def _tensor(
        self, tensor: tflite.Tensor, index: int, path: str, type: int, may_be_constant: bool, is_input: bool
    ) -> Tensor:
        name = text(tensor.Name())
        type_name = TYPE_NAMES.get(type, f"type {type} of a newer schema")
        info = TYPES.get(type_name)
        shape = self._shape(tensor, path, info.dtype.itemsize if info else 1)
        if tensor.Buffer() >= max(self._model.BuffersLength(), 1):
            raise FieldError(f"{path}.buffer", f"there is no buffer {tensor.Buffer()}")
        data = None
        if info is not None and may_be_constant and not tensor.IsVariable():
            data = self._constant(tensor, shape, info.dtype, type_name, path)
        return Tensor(
            index=index,
            name=name,
            path=path,
            shape=shape,
            type_name=type_name,
            element_type=info.element_type if info else NoneAttr(),
            quantization=read_quantization(tensor.Quantization(), shape, type_name, path),
            data=data,
            # A variable that is an input too is written before each inference: an ordinary value.
            is_variable=tensor.IsVariable() and not is_input,
        )

    def _shape(self, tensor: tflite.Tensor, path: str, itemsize: int) -> tuple[int, ...]:
        shape = integers(tensor.ShapeAsNumpy())
        signature = integers(tensor.ShapeSignatureAsNumpy())
        if len(shape) > _MAX_RANK:
            raise FieldError(f"{path}.shape", f"{len(shape)} dimensions; no operator takes more than {_MAX_RANK}")
        total = itemsize
        for i, dim in enumerate(shape):
            if dim < 0:
                raise FieldError(f"{path}.shape[{i}]", f"negative dimension {dim}")
            total *= max(dim, 1)
            if total > _MAX_TENSOR_BYTES:
                raise FieldError(f"{path}.shape[{i}]", f"dimensions {list(shape)} overflow")
        if signature and len(signature) != len(shape):
            raise FieldError(f"{path}.shape_signature", f"{len(signature)} dimensions, but the shape has {len(shape)}")
        for i, dim in enumerate(signature):
            if dim not in (-1, shape[i]):
                raise FieldError(f"{path}.shape_signature[{i}]", f"{dim} is neither -1 nor the dimension {shape[i]}")
        return signature or shape

    def _constant(
        self, tensor: tflite.Tensor, shape: tuple[int, ...], dtype: np.dtype[Any], type_name: str, path: str
    ) -> Array | None:
        """The elements of a tensor that nothing computes, or None where the file holds none (see `check_dataflow`)."""
        raw = self._buffer(tensor.Buffer())
        if raw.size == 0:
            return np.zeros(shape, dtype) if math.prod(shape) == 0 else None
        if -1 in shape:
            raise FieldError(f"{path}.shape_signature", "a constant cannot have a dynamic dimension")
        sparsity = tensor.Sparsity()
        count = math.prod(shape)
        stored = (count + 1) // 2 if type_name == "INT4" else count * dtype.itemsize
        if sparsity is None and raw.size != stored:
            raise FieldError(
                f"{path}.buffer", f"{raw.size} bytes for {list(shape)} of {type_name}, which take {stored}"
            )
        if type_name == "INT4":
            elements = np.stack([raw << 4, raw], -1).reshape(-1)[:count].view(np.int8) >> 4
        elif raw.size % dtype.itemsize:
            raise FieldError(f"{path}.buffer", f"{raw.size} bytes are not a whole number of {type_name} elements")
        elif type_name == "BOOL":
            elements = raw != 0
        elif type_name == "UINT8":
            elements = (raw ^ np.uint8(0x80)).view(np.int8)
        else:
            elements = raw.view(dtype)
        if sparsity is not None:
            return densify(elements, shape, sparsity, f"{path}.sparsity")
        return elements.reshape(shape)

    def _buffer(self, index: int) -> Array:
        """The bytes of a buffer: in the FlatBuffer, or behind it in files that exceed its 2 GiB."""
        if index >= self._model.BuffersLength():
            return np.empty(0, np.uint8)
        if index not in self._buffers:
            buffer = present(self._model.Buffers(index))
            # Offsets 0 and 1 are placeholders of the schema for "in the FlatBuffer".
            if buffer.Offset() > 1:
                offset, size = buffer.Offset(), buffer.Size()
                if offset + size > len(self._data):
                    problem = f"bytes {offset} to {offset + size} of a file of {len(self._data)} bytes"
                    raise FieldError(f"buffers[{index}].offset", problem)
                self._buffers[index] = np.frombuffer(self._data, np.uint8, size, offset)
            else:
                self._buffers[index] = vector(buffer.DataAsNumpy())
        return self._buffers[index]


def _select(tensors: Sequence[Tensor], indices: Sequence[int], path: str, position: int = 0) -> tuple[Tensor, ...]:
    for i, index in enumerate(indices, position):
        if not 0 <= index < len(tensors):
            raise FieldError(f"{path}[{i}]", f"there is no tensor {index}: the subgraph has {len(tensors)}")
    return tuple(tensors[index] for index in indices)
