"""The compiler's IR as the records that `tosaic.runtime.reference` evaluates."""

from __future__ import annotations

import itertools
from functools import cache
from typing import cast

from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, TensorType
from xdsl.dialects.linalg.ops import FillOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from ...runtime.reference import records
from ...runtime.reference.records import ValueType
from ..dialects.linalg.structured import RegionOp
from .attributes import attributes_of


class Translation:
    """Numbers the values of one function, and turns its operations into records."""

    def __init__(self) -> None:
        self._numbers: dict[SSAValue, int] = {}
        self._next = itertools.count()

    def number(self, value: SSAValue) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = next(self._next)
        return number

    def block(self, block: Block) -> records.Block:
        arguments = [self.number(argument) for argument in block.args]
        return records.Block(arguments, [self.operation(operation) for operation in block.ops])

    def operation(self, operation: Operation) -> records.Operation:
        name, attributes = attributes_of(operation)
        regions = () if isinstance(operation, FillOp) else operation.regions  # its region only repeats what it does
        blocks = [self.block(block) for region in regions for block in region.blocks]
        if isinstance(operation, RegionOp):  # of a linalg.map; its body may leave out the output's element
            missing = len(operation.operands) - len(blocks[0].arguments)
            blocks[0].arguments = [*blocks[0].arguments, *itertools.islice(self._next, missing)]
        return records.Operation(
            name,
            [self.number(operand) for operand in operation.operands],
            [self.number(result) for result in operation.results],
            [value_type(result.type) for result in operation.results],
            attributes,
            blocks,
        )


@cache
def value_type(type: Attribute) -> ValueType:
    """A tensor type or the type of a scalar."""
    if isinstance(type, TensorType):
        tensor = cast("TensorType[Attribute]", type)
        shape = tuple(None if size == DYNAMIC_INDEX else size for size in tensor.get_shape())
        return ValueType(str(tensor.get_element_type()), shape)
    return ValueType(str(type), None)


def translate_functions(module: ModuleOp, name: str) -> dict[str, records.Block]:
    """The function `name` of `module` and all that it calls, as far as they have bodies."""
    functions = {op.sym_name.data: op for op in module.ops if isinstance(op, func.FuncOp) and not op.is_declaration}
    translated: dict[str, records.Block] = {}
    wanted = [name]
    for name in wanted:  # grows while it is walked
        function = functions.get(name)
        if function is not None and name not in translated:
            translated[name] = Translation().block(function.body.block)
            wanted += [op.callee.string_value() for op in function.walk() if isinstance(op, func.CallOp)]
    return translated
