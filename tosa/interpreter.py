"""Runs a TOSA module on the host through the meanings of its operators: the oracle of every test of lowering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from ..runtime.errors import ArgumentError, UnsupportedError
from .dialect import CondIfOp, TosaOp, VariableOp, VariableReadOp, VariableWriteOp, WhileLoopOp, YieldOp
from .dialect.types import is_float
from .elements import numpy_dtype

Array: TypeAlias = np.ndarray[Any, Any]


def evaluate(module: ModuleOp, function: str, inputs: Sequence[Array], float64: bool = False) -> list[Array]:
    """The results of `function` for `inputs`.

    Integers are exact. Floating point is computed in the type of each operator (half precision in f32, rounded once per
    operator), or with `float64` all in f64 without rounding. Variables begin at their initial values on every call.
    """
    functions = {op.sym_name.data: op for op in module.ops if isinstance(op, FuncOp)}
    if function not in functions:
        raise ArgumentError(f"no function @{function}; the module has {', '.join(functions) or 'none'}")
    block = functions[function].body.block
    if len(inputs) != len(block.args):
        raise ArgumentError(f"@{function} takes {len(block.args)} inputs, got {len(inputs)}")
    interpreter = _Interpreter(float64)
    for operation in module.ops:
        if isinstance(operation, VariableOp) and operation.initial_value is not None:
            interpreter.variables[operation.sym_name.data] = operation.initial_value.array
    for argument, array in zip(block.args, inputs, strict=True):
        expected = numpy_dtype(_tensor(argument).get_element_type())
        if array.dtype != expected:
            raise ArgumentError(f"@{function} takes {argument.type}, got an array of {array.dtype}")
    return interpreter.run(block, inputs)


def evaluate_operation(operation: TosaOp, operands: Sequence[Array], float64: bool = False) -> list[Array]:
    """The results of one operator, each rounded once to its type."""
    wide = [_widened(operand, float64) for operand in operands]
    with np.errstate(all="ignore"):
        results = operation.meaning(*wide)
        results = results if isinstance(results, (list, tuple)) else [results]
        return [
            np.asarray(array).astype(_result_dtype(result.type, float64), copy=False)
            for array, result in zip(results, operation.results, strict=True)
        ]


def _tensor(value: SSAValue) -> TensorType:
    assert isinstance(value.type, TensorType)
    return value.type


def _widened(array: Array, float64: bool) -> Array:
    """Half precision is computed in f32; ml_dtypes' bfloat16 is of kind V."""
    if array.dtype.kind in "fV" and (float64 or array.dtype.itemsize < 4):
        return array.astype(np.float64 if float64 else np.float32, copy=False)
    return array


def _result_dtype(type: Attribute, float64: bool) -> np.dtype[Any]:
    if not isinstance(type, TensorType):
        return np.dtype(np.int64)  # !tosa.shape
    element = type.get_element_type()
    return np.dtype(np.float64) if float64 and is_float(element) else numpy_dtype(element)


class _Interpreter:
    def __init__(self, float64: bool) -> None:
        self.float64 = float64
        self.values: dict[SSAValue, Array] = {}
        self.variables: dict[str, Array] = {}

    def run(self, block: Block, arguments: Sequence[Array]) -> list[Array]:
        """The operands of the terminator of `block`."""
        self.values.update(zip(block.args, arguments, strict=True))
        for operation in block.ops:
            operands = [self.values[operand] for operand in operation.operands]
            if isinstance(operation, (ReturnOp, YieldOp)):
                return operands
            self.values.update(zip(operation.results, self.results(operation, operands), strict=True))
        raise ValueError("block without terminator")

    def results(self, operation: Operation, operands: list[Array]) -> Sequence[Array]:
        match operation:
            case CondIfOp():
                graph = operation.then_graph if operands[0].item() else operation.else_graph
                return self.run(graph.block, operands[1:] if graph.block.args else [])
            case WhileLoopOp():
                while self.run(operation.cond_graph.block, operands)[0].item():
                    operands = self.run(operation.body_graph.block, operands)
                return operands
            case VariableReadOp():
                return [self.variables[operation.variable_name.data]]
            case VariableWriteOp():
                self.variables[operation.variable_name.data] = operands[0]
                return []
            case TosaOp():
                return evaluate_operation(operation, operands, self.float64)
            case _:
                raise UnsupportedError("cannot evaluate on the host", [operation.name])
