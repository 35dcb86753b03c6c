"""Calls are replaced by what they call, and functions that nobody outside can call go."""

from __future__ import annotations

from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from ...runtime.errors import UnsupportedError
from ...tosa.source import described
from ..ir import erase

_SUMMARY = "the program cannot be compiled:"


def inline_calls(module: ModuleOp) -> None:
    """Rewrite `module` in place. Raises UnsupportedError for recursion and for functions that have no body."""
    functions = {op.sym_name.data: op for op in module.body.block.ops if isinstance(op, func.FuncOp)}
    done: set[str] = set()
    for name in functions:
        _inline(name, functions, done, [])
    for function in functions.values():
        if function.sym_visibility == StringAttr("private"):
            erase(function)


def _inline(name: str, functions: dict[str, func.FuncOp], done: set[str], active: list[str]) -> None:
    """Replace all calls in the function `name`, those in what it calls first; `active` are its callers."""
    if name in done:
        return
    for op in list(functions[name].walk()):
        if not isinstance(op, func.CallOp):
            continue
        callee = op.callee.string_value()
        if callee in (*active, name):
            raise UnsupportedError(_SUMMARY, [f"{described(op)}: @{callee} calls itself"])
        function = functions.get(callee)
        if function is None or function.is_declaration:
            raise UnsupportedError(_SUMMARY, [f"{described(op)}: the program has no body of @{callee}"])
        _inline(callee, functions, done, [*active, name])
        _replace(op, function)
    done.add(name)


def _replace(call: func.CallOp, function: func.FuncOp) -> None:
    signature = function.function_type
    if list(signature.inputs) != list(call.operand_types) or list(signature.outputs) != list(call.result_types):
        raise UnsupportedError(_SUMMARY, [f"{described(call)}: the types are not those of @{function.sym_name.data}"])
    values: dict[SSAValue, SSAValue] = dict(zip(function.body.block.args, call.operands, strict=True))
    for inner in function.body.block.ops:
        if isinstance(inner, func.ReturnOp):
            for result, value in zip(call.results, inner.operands, strict=True):
                result.replace_all_uses_with(values.get(value, value))
            break
        copy = inner.clone(values)
        Rewriter.insert_op(copy, InsertPoint.before(call))
    erase(call)
