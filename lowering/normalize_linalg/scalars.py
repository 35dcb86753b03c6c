"""Scalars at the edge of a program: arguments and results become tensors without dimensions."""

from __future__ import annotations

from xdsl.dialects import func, tensor
from xdsl.dialects.builtin import FunctionType, TensorType
from xdsl.rewriter import InsertPoint, Rewriter


def lift_scalars(function: func.FuncOp) -> None:
    """Change the signature of `function` in place: what is read of an argument is what it holds."""
    block = function.body.block
    for argument in list(block.args):
        if isinstance(argument.type, TensorType):
            continue
        type = argument.type
        argument = Rewriter.replace_value_with_new_type(argument, TensorType(type, []))
        extract = tensor.ExtractOp(argument, [], type)
        extract.result.name_hint = argument.name_hint
        argument.replace_all_uses_with(extract.result)
        extract.operands[0] = argument
        Rewriter.insert_op(extract, InsertPoint.at_start(block))
    terminator = block.last_op
    assert isinstance(terminator, func.ReturnOp)
    for index, value in enumerate(terminator.operands):
        if not isinstance(value.type, TensorType):
            lifted = tensor.FromElementsOp(value, result_type=TensorType(value.type, []))
            lifted.location = terminator.location
            Rewriter.insert_op(lifted, InsertPoint.before(terminator))
            terminator.operands[index] = lifted.result
    function.function_type = FunctionType.from_lists(
        [argument.type for argument in block.args], [value.type for value in terminator.operands]
    )
