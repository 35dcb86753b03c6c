"""A verified TFLite model -> a TOSA module: one function per signature, one legalisation per operator.

The form of the module: `builtin.module` with one `func.func @NAME` per signature ("main" where a model has none), whose
arguments and results carry `ml_program.identifier = "name"`. Types are inferred by the TOSA operations from the
arguments' types, so a `--shape` reaches every result; the file's own result shapes are not trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    UnitAttr,
    UnrealizedConversionCastOp,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from ...runtime.errors import ArgumentError, MalformedFileError, UnsupportedError
from ...tosa.interface import IDENTIFIER, UNSIGNED
from ..registry import DYNAMIC, Unsupported, shape_of, tensor_type
from . import boundary
from .errors import FieldError
from .legalization import Context, legalize
from .model import Model, Operator, Signature, Tensor, distinct_names
from .ops import load_legalizations

_MAX_ELEMENTS = 1 << 44
"""Of a result; what exceeds this is no model but damage, and later products of extents shall fit 64 bits."""

Shape = Sequence[int]
Shapes = Mapping[str, Shape] | Sequence[Shape]
"""Shapes of inputs, by name or for all inputs of the model in order; -1 leaves a dimension dynamic."""

Observer = Callable[[Operator, list[Operation]], None]
"""Told, for each operator, which TOSA operations it became."""

# What a legalisation raises for operands that do not fit together: the dialect's verifiers, and numpy or the numeric
# types where the operands of a damaged file have values that its kernels would refuse.
_REFUSALS = (VerifyException, ValueError, ArithmeticError, IndexError)


@dataclass(frozen=True)
class Import:
    """What became of a model: complete only where nothing is `unsupported`."""

    functions: list[FuncOp]
    unsupported: list[str]
    """Every operator or input that cannot be expressed, with its tensors, the reason and what would help."""


def import_signatures(model: Model, signature: str | None, shapes: Shapes) -> ModuleOp:
    """The module of all signatures of `model`, or of the one called `signature`.

    Raises UnsupportedError listing all operators that cannot be expressed, MalformedFileError for operands that do not
    fit together, ArgumentError for unknown names or shapes that the model cannot take.
    """
    result = try_import(model, signature, shapes)
    if result.unsupported:
        count = len(result.unsupported)
        raise UnsupportedError(f"{model.source}: {count} unsupported operator{'s' * (count > 1)}", result.unsupported)
    return ModuleOp(list(result.functions))


def try_import(
    model: Model, signature: str | None = None, shapes: Shapes = (), observer: Observer = lambda operator, made: None
) -> Import:
    """Import as far as possible: placeholders stand for the results of unsupported operators."""
    load_legalizations()
    signatures = select_signatures(model, signature)
    by_name = _shapes_by_name(signatures, shapes)
    unsupported: dict[str, None] = {}
    functions: list[FuncOp] = []
    for entry in signatures:
        try:
            functions.append(_import_function(entry, by_name, unsupported, observer))
        except FieldError as error:
            position = model.locate(error.path) if error.path else None
            message = f"{model.source}: {FieldError(error.path, error.problem, position)}"
            if by_name:
                raise ArgumentError(f"the model does not work with the given shapes: {message}") from error
            raise MalformedFileError(message) from error
    return Import(functions, list(unsupported))


def select_signatures(model: Model, name: str | None) -> tuple[Signature, ...]:
    """The signatures to import; a model without any gets one called "main" with its tensors' names."""
    signatures = model.signatures
    if not signatures:
        main = model.subgraphs[0]
        inputs = distinct_names([tensor.name for tensor in main.inputs], "input")
        outputs = distinct_names([tensor.name for tensor in main.outputs], "output")
        signatures = (Signature("main", main, inputs, outputs),)
    if name is None:
        return signatures
    if chosen := tuple(signature for signature in signatures if signature.name == name):
        return chosen
    known = ", ".join(f"'{signature.name}'" for signature in signatures)
    raise ArgumentError(f"{model.source} has no signature '{name}': it has {known}")


def _shapes_by_name(signatures: Sequence[Signature], shapes: Shapes) -> Mapping[str, Shape]:
    """The shapes that differ from what the model declares, by the name of the input."""
    declared = {
        alias: tensor.shape
        for signature in signatures
        for tensor, name in zip(signature.subgraph.inputs, signature.input_names, strict=True)
        for alias in (tensor.name, name)
    }
    if not isinstance(shapes, Mapping):
        names = signatures[0].input_names
        if shapes and len(shapes) != len(names):
            raise ArgumentError(f"{len(shapes)} shapes for {len(names)} inputs")
        shapes = dict(zip(names, shapes, strict=False))
    for name in shapes:
        if name not in declared:
            inputs = ", ".join(f"'{n}'" for signature in signatures for n in signature.input_names)
            raise ArgumentError(f"there is no input '{name}' to give a shape: the inputs are {inputs}")
    return {name: shape for name, shape in shapes.items() if tuple(shape) != declared[name]}


def _import_function(
    signature: Signature, shapes: Mapping[str, Shape], unsupported: dict[str, None], observer: Observer
) -> FuncOp:
    graph = signature.subgraph
    block = Block()
    context = Context(block)
    for tensor, name in zip(graph.inputs, signature.input_names, strict=True):
        if not tensor.representable:
            unsupported[f"input '{name}': its type {tensor.type_name} does not exist in TOSA"] = None
        given = shapes.get(name, shapes.get(tensor.name))
        argument = block.insert_arg(
            tensor_type(boundary.element_type(tensor), _input_shape(tensor, name, given)), len(block.args)
        )
        context.bind(tensor, boundary.enter(context, tensor, argument))
    for operator in graph.operators:
        previous = block.last_op
        _import_operator(operator, context, unsupported)
        made = _operations_after(block, previous)
        _verify(operator, made)
        observer(operator, made)
    results: list[SSAValue] = []
    for tensor, name in zip(graph.outputs, signature.output_names, strict=True):
        if not tensor.representable:
            unsupported[f"output '{name}': its type {tensor.type_name} does not exist in TOSA"] = None
            context.bind(tensor, _placeholder(context, tensor))
        results.append(boundary.leave(context, tensor, context.value(tensor)))
    block.add_op(ReturnOp(*results))
    return FuncOp(
        signature.name,
        ([argument.type for argument in block.args], [result.type for result in results]),
        Region(block),
        arg_attrs=_identifiers(graph.inputs, signature.input_names),
        res_attrs=_identifiers(graph.outputs, signature.output_names),
    )


def _input_shape(tensor: Tensor, name: str, given: Shape | None) -> tuple[int, ...]:
    if given is None or not tensor.representable:
        return tensor.shape
    shape = tuple(int(dim) for dim in given)
    if any(dim < 1 and dim != DYNAMIC for dim in shape):
        raise ArgumentError(f"the shape {list(shape)} for input '{name}' has a dimension below 1")
    return shape


def _identifiers(tensors: Sequence[Tensor], names: Sequence[str]) -> ArrayAttr[DictionaryAttr]:
    """The attributes by which users name inputs and outputs; `unsigned` marks i8 values that users see as uint8."""
    entries: list[DictionaryAttr] = []
    for tensor, name in zip(tensors, names, strict=True):
        attributes: dict[str, Attribute] = {IDENTIFIER: StringAttr(name)}
        if tensor.unsigned:
            attributes[UNSIGNED] = UnitAttr()
        entries.append(DictionaryAttr(attributes))
    return ArrayAttr(entries)


def _import_operator(operator: Operator, context: Context, unsupported: dict[str, None]) -> None:
    """Legalise one operator; where it is unsupported, note that and go on with placeholders for its results."""
    try:
        values = _legalize(operator, context)
        for tensor, value in zip(operator.outputs, values, strict=True):
            _check_result(operator, tensor, value)
    except Unsupported as reason:
        unsupported[f"{_describe(operator)}: {reason}"] = None
        values = [_placeholder(context, tensor) for tensor in operator.outputs]
    for tensor, value in zip(operator.outputs, values, strict=True):
        context.bind(tensor, value)


def _legalize(operator: Operator, context: Context) -> list[SSAValue]:
    legalization = legalize.get(operator.name)
    if legalization is None:
        raise Unsupported("no legalisation to TOSA is registered for it")
    for tensor in (*operator.inputs, *operator.outputs):
        if tensor is not None and not tensor.representable:
            kind = "a variable" if tensor.is_variable else f"of type {tensor.type_name}"
            raise Unsupported(f"tensor '{tensor.name}' is {kind}, which TOSA does not have")
    try:
        values = legalization(operator, context)
    except _REFUSALS as error:
        raise FieldError(operator.path, f"{_describe(operator)}: {_one_line(error)}") from error
    values = [values] if isinstance(values, SSAValue) else list(values)
    if len(values) != len(operator.outputs):
        raise FieldError(
            f"{operator.path}.outputs", f"{operator.name} has {len(operator.outputs)} results, not {len(values)}"
        )
    return values


def _verify(operator: Operator, made: Sequence[Operation]) -> None:
    """Verify the operations that `operator` became, while it is known whose they are."""
    try:
        for operation in made:
            operation.verify()
    except VerifyException as error:
        raise FieldError(operator.path, f"{_describe(operator)}: {_one_line(error)}") from error


def _operations_after(block: Block, previous: Operation | None) -> list[Operation]:
    """What was appended behind `previous`, which used to be the last operation."""
    made: list[Operation] = []
    operation = block.first_op if previous is None else previous.next_op
    while operation is not None:
        made.append(operation)
        operation = operation.next_op
    return made


def _placeholder(context: Context, tensor: Tensor) -> SSAValue:
    """Stands for the result of an unsupported operator, so that those after it are looked at too."""
    return context.add(UnrealizedConversionCastOp.get([], [tensor_type(boundary.element_type(tensor), tensor.shape)]))


def _check_result(operator: Operator, tensor: Tensor, value: SSAValue) -> None:
    type = value.type
    assert isinstance(type, TensorType)
    if type.get_element_type() != tensor.element_type:
        problem = f"{_describe(operator)}: '{tensor.name}' is declared {tensor.type_name} but computed as {type}"
        raise FieldError(operator.path, problem)
    shape = shape_of(value)
    if any(dim < DYNAMIC for dim in shape) or abs(prod(shape)) > _MAX_ELEMENTS:
        raise FieldError(operator.path, f"{_describe(operator)}: '{tensor.name}' would have the type {type}")


def _describe(operator: Operator) -> str:
    inputs = ", ".join(f"'{tensor.name}'" for tensor in operator.inputs if tensor is not None)
    outputs = ", ".join(f"'{tensor.name}'" for tensor in operator.outputs)
    return f"{operator.name}({inputs}) -> {outputs}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
