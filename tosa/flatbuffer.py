"""`.tosa` files to modules and back: the TOSA exchange format, in which operators refer to tensors by name.

A region named NAME is `func.func @NAME`; the names of graph inputs and outputs are `ml_program.identifier`. Control
flow and variables are refused: nothing that Tosaic compiles uses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from xdsl.dialects import builtin
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    FunctionType,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    StringAttr,
    TensorType,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from ..runtime import flatbuffer
from ..runtime.errors import MalformedFileError, UnsupportedError
from . import dialect, schema
from .conformance import MAX_RANK, check_conformance
from .dialect.attributes import encode, plain
from .dialect.base import TosaOp
from .dialect.types import ShapeType, element_of, is_float
from .elements import ElementsAttr, numpy_dtype
from .interface import IDENTIFIER

VERSION = schema.Version(1, 0, 0, draft=False)

_OPERATIONS = {cls.name.removeprefix("tosa."): cls for cls in dialect.OPERATIONS}
_REFUSED = {"cond_if", "while_loop", "variable", "variable_write", "variable_read"}
_ELEMENT_TYPES: dict[str, Attribute] = {
    **{name: getattr(builtin, name) for name in ("f32", "f16", "bf16")},
    **{f"i{width}": IntegerType(width) for width in (1, 4, 8, 16, 32, 48, 64)},
}
_INT48_BYTES = 6


def read_flatbuffer(data: bytes | memoryview, name: str = "<bytes>") -> ModuleOp:
    """The module in a `.tosa` file. Raises MalformedFileError with the field, UnsupportedError with all reasons."""
    try:
        graph = flatbuffer.decode(memoryview(data), schema.Graph, schema.IDENTIFIER, size_prefixed=False)
        reasons = sorted(set(_refusals(graph)))
        if reasons:
            raise UnsupportedError(f"{name}: not supported", reasons)
        module = ModuleOp([_GraphReader(region, memoryview(data)).function() for region in graph.regions])
        module.verify()
        check_conformance(module)
    except (MalformedFileError, VerifyException) as error:
        raise MalformedFileError(f"{name}: {str(error).strip().splitlines()[0]}") from None
    return module


def write_flatbuffer(module: ModuleOp) -> bytes:
    """The `.tosa` file of a module; UnsupportedError lists all operations that the format cannot hold."""
    functions = [op for op in module.body.block.ops if isinstance(op, FuncOp)]
    reasons = [
        f"{op.name} in @{function.sym_name.data}"
        for function in functions
        for op in function.body.block.ops
        if op.name.removeprefix("tosa.") not in schema.ATTRIBUTES.keys() - _REFUSED and not isinstance(op, ReturnOp)
    ]
    if reasons:
        raise UnsupportedError("a .tosa file holds TOSA operators only", sorted(set(reasons)))
    dynamic = [
        f"input '{name}' of @{function.sym_name.data} has the type {value.type}"
        for function in functions
        for name, value in zip(
            _read_identifiers(function.arg_attrs, len(function.args), "input"), function.args, strict=True
        )
        if isinstance(value.type, TensorType) and not value.type.has_static_shape()
    ]
    if dynamic:
        raise UnsupportedError("a .tosa file holds fixed shapes only: import with --shape", dynamic)
    regions = tuple(_GraphWriter(function).region() for function in functions)
    return flatbuffer.encode(schema.Graph(VERSION, regions), schema.IDENTIFIER, size_prefixed=False)


def _refusals(graph: schema.Graph) -> Iterator[str]:
    if (graph.version.major, graph.version.minor) != (VERSION.major, VERSION.minor):
        yield f"schema version {graph.version.major}.{graph.version.minor}; 1.0 is read"
    for region in graph.regions:
        if len(region.blocks) != 1:
            yield f"region '{region.name}' of {len(region.blocks)} blocks"
        for block in region.blocks:
            for operator in block.operators:
                known = operator.op < len(schema.OPERATORS) and schema.OPERATORS[operator.op] not in ("", *_REFUSED)
                if not known:
                    mnemonic = schema.OPERATORS[operator.op] if operator.op < len(schema.OPERATORS) else ""
                    yield f"operator {mnemonic or operator.op} (outputs: {', '.join(operator.outputs)})"
            for tensor in block.tensors:
                if tensor.is_unranked:
                    yield f"tensor '{tensor.name}' without a rank"
                if tensor.type >= len(schema.DTYPES) or schema.DTYPES[tensor.type] not in _ELEMENT_TYPES:
                    type = schema.DTYPES[tensor.type] if tensor.type < len(schema.DTYPES) else tensor.type
                    yield f"tensor '{tensor.name}' of type {type}"


class _GraphReader:
    """Turns one region into a function."""

    def __init__(self, region: schema.Region, file: memoryview) -> None:
        (self.graph,) = region.blocks
        self.name = region.name or "main"
        self.file = file
        self.tensors = {tensor.name: tensor for tensor in self.graph.tensors}
        self.shapes = {shape.name: shape for shape in self.graph.shapes}
        self.values: dict[str, SSAValue] = {}

    def function(self) -> FuncOp:
        graph = self.graph
        arguments = [self.type_of(name) for name in graph.inputs]
        block = Block(arg_types=arguments)
        self.values.update(zip(graph.inputs, block.args, strict=True))
        for index, operator in enumerate(graph.operators):
            block.add_op(self.operation(operator, f"operators[{index}] ({schema.OPERATORS[operator.op]})"))
        results = [self.value(name, "outputs") for name in graph.outputs]
        block.add_op(ReturnOp(*results))
        function = FuncOp(self.name, FunctionType.from_lists(arguments, [v.type for v in results]), Region(block))
        function.arg_attrs = _identifiers(graph.inputs)
        function.res_attrs = _identifiers(graph.outputs)
        return function

    def value(self, name: str, where: str) -> SSAValue:
        if name not in self.values:
            raise MalformedFileError(f"{where}: '{name}' is used before anything produces it")
        return self.values[name]

    def type_of(self, name: str) -> Attribute:
        if name in self.shapes:
            return ShapeType(self.shapes[name].rank)
        if name not in self.tensors:
            raise MalformedFileError(f"'{name}' is neither in tensors nor in shapes")
        tensor = self.tensors[name]
        return TensorType(_ELEMENT_TYPES[schema.DTYPES[tensor.type]], tensor.shape)

    def operation(self, operator: schema.Operator, where: str) -> Operation:
        mnemonic = schema.OPERATORS[operator.op]
        record = operator.attribute or schema.ATTRIBUTES[mnemonic]()
        if not isinstance(record, schema.ATTRIBUTES[mnemonic]):
            raise MalformedFileError(f"{where}: its attribute is that of {type(record).__name__}")
        for name in operator.outputs:
            if name in self.values:
                raise MalformedFileError(f"{where}: '{name}' is produced twice")
        operands = [self.value(name, where) for name in operator.inputs]
        cls = _OPERATIONS[mnemonic]
        if mnemonic in ("const", "const_shape"):
            properties: dict[str, Attribute] = {"values": self.constant(operator, where)}
        else:
            properties = dict(self.properties(cls, record, operands, where))
        operation = cls.create(
            operands=operands, result_types=[self.type_of(name) for name in operator.outputs], properties=properties
        )
        self.values.update(zip(operator.outputs, operation.results, strict=True))
        return operation

    def constant(self, operator: schema.Operator, where: str) -> ElementsAttr:
        if len(operator.outputs) != 1:
            raise MalformedFileError(f"{where}: a constant has one output, got {len(operator.outputs)}")
        (name,) = operator.outputs
        if name in self.shapes:
            shape = self.shapes[name]
            type = TensorType(builtin.IndexType(), [shape.rank])
            return ElementsAttr.from_array(_unpack(shape.data, type, f"shape '{name}'"), type)
        type = self.type_of(name)
        assert isinstance(type, TensorType)
        tensor = self.tensors[name]
        data = tensor.data
        if tensor.offset > 1:
            if tensor.offset + tensor.size > len(self.file):
                raise MalformedFileError(f"tensor '{name}': its data at {tensor.offset} lies outside of the file")
            data = self.file[tensor.offset : tensor.offset + tensor.size]
        return ElementsAttr.from_array(_unpack(data, type, f"tensor '{name}'"), type)

    def properties(
        self, cls: type[TosaOp], record: Any, operands: list[SSAValue], where: str
    ) -> Iterator[tuple[str, Attribute]]:
        """The attributes in `record` that the dialect has too."""
        known = cls.get_irdl_definition().properties
        for name in (field.name for field in flatbuffer.fields_of(type(record)) if field.name in known):
            value = getattr(record, name)
            keywords = schema.DTYPES if name == "acc_type" else schema.KEYWORDS.get(name)
            if keywords is not None:
                if value >= len(keywords) or (name == "acc_type" and keywords[value] not in _ELEMENT_TYPES):
                    raise MalformedFileError(f"{where}: {name} has the unknown value {value}")
                value = _ELEMENT_TYPES[keywords[value]] if name == "acc_type" else keywords[value]
                if not value:
                    continue
            elif name in ("min_val", "max_val"):
                if not operands:
                    raise MalformedFileError(f"{where}: has no input")
                element = element_of(operands[0])
                bound = _unpack(value, TensorType(element, [1]), where)[0].item()
                value = FloatAttr(bound, element) if is_float(element) else IntegerAttr(bound, element)  # pyright: ignore[reportArgumentType, reportCallIssue]
            elif isinstance(value, memoryview):
                value = bytes(value).decode("latin-1")
            yield name, encode(name, value)


class _GraphWriter:
    """Turns one function into a region."""

    def __init__(self, function: FuncOp) -> None:
        self.function = function
        self.names: dict[SSAValue, str] = {}
        self.tensors: list[schema.Tensor] = []
        self.shapes: list[schema.Shape] = []

    def region(self) -> schema.Region:
        function = self.function
        block = function.body.block
        terminator = block.last_op
        assert isinstance(terminator, ReturnOp)
        results = _read_identifiers(function.res_attrs, len(terminator.operands), "output")
        for value, name in zip(
            block.args, _read_identifiers(function.arg_attrs, len(block.args), "input"), strict=True
        ):
            self.declare(value, name, None)
        wanted = dict(zip(terminator.operands, results, strict=True))
        operators = [self.operator(op, wanted) for op in block.ops if op is not terminator]
        graph = schema.BasicBlock(
            name=function.sym_name.data,
            operators=tuple(operators),
            tensors=tuple(self.tensors),
            inputs=tuple(self.names[value] for value in block.args),
            outputs=tuple(self.names[value] for value in terminator.operands),
            shapes=tuple(self.shapes),
        )
        return schema.Region(function.sym_name.data, (graph,))

    def operator(self, op: Operation, wanted: dict[SSAValue, str]) -> schema.Operator:
        assert isinstance(op, TosaOp)
        mnemonic = op.name.removeprefix("tosa.")
        values = op.properties.get("values") if mnemonic in ("const", "const_shape") else None
        for result in op.results:
            self.declare(result, wanted.get(result), values)
        record = schema.ATTRIBUTES[mnemonic]
        fields = {
            field.name: self.attribute(op, field.name, field.kind)
            for field in flatbuffer.fields_of(record)
            if op.plain(field.name) is not None
        }
        return schema.Operator(
            op=schema.OPERATORS.index(mnemonic),
            attribute=record(**fields),
            inputs=tuple(self.names[value] for value in op.operands),
            outputs=tuple(self.names[value] for value in op.results),
        )

    def attribute(self, op: TosaOp, name: str, kind: Any) -> Any:
        value = op.plain(name)
        if name == "acc_type":
            return schema.DTYPES.index(str(value))
        if name in schema.KEYWORDS:
            return schema.KEYWORDS[name].index(value)
        if name in ("min_val", "max_val"):
            bound = op.properties[name]
            assert isinstance(bound, FloatAttr | IntegerAttr)
            return _pack(np.array([bound.value.data], numpy_dtype(bound.type)), TensorType(bound.type, [1]))
        return memoryview(value.encode("latin-1")) if kind is memoryview else value

    def declare(self, value: SSAValue, name: str | None, values: Attribute | None) -> None:
        """Give `value` a name that no other has, and list it among the tensors or shapes."""
        taken = set(self.names.values())
        name = name if name is not None and name not in taken else f"{name or 'value'}:{len(taken)}"
        self.names[value] = name
        data = _pack(values.array, values.type) if isinstance(values, ElementsAttr) else schema.NO_DATA
        if isinstance(value.type, ShapeType):
            self.shapes.append(schema.Shape(name, value.type.rank.data, data))
            return
        assert isinstance(value.type, TensorType)
        type = schema.DTYPES.index(str(value.type.get_element_type()))
        self.tensors.append(schema.Tensor(name, tuple(value.type.get_shape()), type, data))


def _identifiers(names: Iterable[str]) -> ArrayAttr[DictionaryAttr]:
    return ArrayAttr(DictionaryAttr({IDENTIFIER: StringAttr(name)}) for name in names)


def _read_identifiers(attributes: ArrayAttr[DictionaryAttr] | None, count: int, kind: str) -> list[str]:
    found = attributes.data if attributes is not None else [DictionaryAttr({})] * count
    names = []
    for index, dictionary in enumerate(found):
        identifier = dictionary.data.get(IDENTIFIER)
        names.append(plain(identifier) if identifier is not None else f"{kind}_{index}")
    return names


def _unpack(data: memoryview, type: TensorType, where: str) -> np.ndarray[Any, Any]:
    """Elements as the format stores them: little endian, i1 in a byte each, i4 two to a byte, i48 in six bytes."""
    shape, element = tuple(type.get_shape()), type.get_element_type()
    if min(shape, default=1) < 0:
        raise MalformedFileError(f"{where}: a constant of dynamic shape {shape}")
    if len(shape) > MAX_RANK:
        raise MalformedFileError(f"{where}: a constant of {len(shape)} dimensions, the format has {MAX_RANK} at most")
    count = int(np.prod(shape, dtype=object))
    width = element.width.data if isinstance(element, IntegerType) else 0
    bits = {4: 4, 48: 48}.get(width, 8 * numpy_dtype(element).itemsize)
    if len(data) < (count * bits + 7) // 8:
        raise MalformedFileError(f"{where}: {len(data)} bytes for {count} elements of {element}")
    stored = np.frombuffer(data, np.uint8)
    if width == 4:
        halves = np.stack([stored << 4, stored], axis=-1).reshape(-1)[:count]
        return (halves.view(np.int8) >> 4).reshape(shape)
    if width == 48:
        wide = np.zeros((count, 8), np.uint8)
        wide[:, 2:] = stored[: count * _INT48_BYTES].reshape(count, _INT48_BYTES)
        return (wide.view("<i8") >> 16).reshape(shape)
    if width == 1:
        return (stored[:count] != 0).reshape(shape)
    return stored[: count * bits // 8].view(numpy_dtype(element)).reshape(shape)


def _pack(array: np.ndarray[Any, Any], type: TensorType) -> memoryview:
    """The inverse of `_unpack`."""
    element = type.get_element_type()
    width = element.width.data if isinstance(element, IntegerType) else 0
    flat = np.ascontiguousarray(array).reshape(-1)
    if width == 4:
        nibbles = np.zeros(flat.size + flat.size % 2, np.uint8)
        nibbles[: flat.size] = flat.view(np.uint8) & 15
        flat = nibbles[::2] | nibbles[1::2] << 4
    elif width == 48:
        flat = np.ascontiguousarray(flat.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :_INT48_BYTES]).reshape(-1)
    return memoryview(flat.view(np.uint8).data) if flat.size else schema.NO_DATA
