"""What every level of the lowering means: evaluation of functions and operations with numpy.

It is the oracle of the phases' numerical-equivalence tests and runs the constant evaluation. The numerics are those of
`tosaic.runtime.reference`, into whose records `translation` turns the IR; TOSA's operators mean what `tosaic.tosa`
says. Understood are func, scf, tensor, linalg (named, generic, pack, unpack), `tiled`, `encoding` (sets and unsets
change no value), `dispatch`, transfers, and, on scalars and tensors, arith and math.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from ...runtime.errors import ArgumentError
from ...runtime.reference import Array, Scope, evaluate_block, evaluate_operation
from .translation import Translation, translate_functions

__all__ = ["Array", "evaluate", "evaluate_op"]


def evaluate(module: ModuleOp, function: str, inputs: Sequence[Array]) -> list[Array]:
    """The results of `function` of `module` for `inputs`, one array per argument.

    Raises `ArgumentError` for an unknown function, a wrong number of inputs and sizes that do not fit each other, and
    `NotImplementedError` for an operation that has no meaning here.
    """
    functions = translate_functions(module, function)
    if function not in functions:
        raise ArgumentError(f"the module has no function {function!r}")
    block = functions[function]
    if len(inputs) != len(block.arguments):
        raise ArgumentError(f"{function!r} takes {len(block.arguments)} inputs, got {len(inputs)}")
    return list(evaluate_block(block, inputs, Scope(functions=functions)))


def evaluate_op(
    operation: Operation, operands: Sequence[Array], captured: Mapping[SSAValue, Array] | None = None
) -> Sequence[Array]:
    """The results of one operation. `captured` holds the values from outside that its regions use, if any."""
    translation = Translation()
    record = translation.operation(operation)
    scope = Scope({translation.number(value): array for value, array in (captured or {}).items()})
    return evaluate_operation(record, operands, scope)
