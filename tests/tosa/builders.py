"""Small modules for tests of the TOSA dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tosaic.tosa import dialect as tosa
from tosaic.tosa.elements import element_type_of
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue


def function(
    arguments: Sequence[Attribute], body: Callable[..., SSAValue | Operation | Sequence[SSAValue]], name: str = "main"
) -> ModuleOp:
    """A module with one function whose block holds what `body` builds from the arguments, in order of dependence."""
    block = Block(arg_types=arguments)
    built = body(*block.args)
    results = [SSAValue.get(built)] if isinstance(built, (SSAValue, Operation)) else list(built)
    _insert(block, results)
    types = [value.type for value in results]
    block.add_op(ReturnOp(*results))
    module = ModuleOp([FuncOp(name, (list(arguments), types), Region(block))])
    module.verify()
    return module


def _insert(block: Block, values: Sequence[SSAValue]) -> None:
    for value in values:
        owner = value.owner
        if isinstance(owner, Operation) and owner.parent is None:
            _insert(block, owner.operands)
            block.add_op(owner)


def tensor(dtype: str, *shape: int) -> TensorType:
    return TensorType(element_type_of(np.dtype(dtype)), shape)


def constant(values: object, dtype: str) -> SSAValue:
    return tosa.ConstOp(np.array(values, dtype=dtype)).output


def zero(dtype: str) -> SSAValue:
    """A zero point, or the shift of a multiplication, of 0."""
    return constant([0], dtype)


def operations(module: ModuleOp) -> list[str]:
    """The names of the operators in a module without constants, in order, less the `tosa.` prefix."""
    names = [operation.name for operation in module.walk() if operation.name.startswith("tosa.")]
    return [name.removeprefix("tosa.") for name in names if name not in ("tosa.const", "tosa.const_shape")]
