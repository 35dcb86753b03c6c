"""Verification finds what a phase broke, however it did, and looks at nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from tosaic.lowering import tosa_to_linalg
from tosaic.lowering.verification import Verifier
from tosaic.tosa import dialect as tosa
from xdsl.dialects.arith import AddfOp, ConstantOp
from xdsl.dialects.builtin import ArrayAttr, FloatAttr, FunctionType, ModuleOp, TensorType, f32, i1, i32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.dialects.linalg.ops import GenericOp, YieldOp
from xdsl.ir import Operation
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.utils.exceptions import VerifyException

from .programs import Program

AnyOperation = TypeVar("AnyOperation", bound=Operation)


def sum_of_two() -> ModuleOp:
    """A function of one generic that adds its argument, f32 [1, 2], to itself."""
    program = Program(np.float32, (1, 2))
    module = program.finish(program.add(tosa.AddOp(program.inputs[0], program.inputs[0])))
    tosa_to_linalg.run(module)
    return module


def find(module: ModuleOp, kind: type[AnyOperation]) -> AnyOperation:
    return next(op for op in module.walk() if isinstance(op, kind))


def drop_a_property(module: ModuleOp) -> None:
    del find(module, GenericOp).properties["iterator_types"]


def change_a_property(module: ModuleOp) -> None:
    generic = find(module, GenericOp)
    generic.indexing_maps = ArrayAttr(generic.indexing_maps.data[1:])


def change_the_type_of_an_argument(module: ModuleOp) -> None:
    Rewriter.replace_value_with_new_type(find(module, GenericOp).body.block.args[0], i32)


def change_the_type_of_an_operand(module: ModuleOp) -> None:
    Rewriter.replace_value_with_new_type(find(module, AddfOp).result, i1)


def change_what_the_function_returns(module: ModuleOp) -> None:
    function = find(module, FuncOp)
    inputs = function.function_type.inputs
    function.properties["function_type"] = FunctionType.from_lists([*inputs], [TensorType(f32, [3])])


def add_a_broken_operation(module: ModuleOp) -> None:
    constant = ConstantOp(FloatAttr(1.0, f32))
    constant.properties.clear()
    Rewriter.insert_op(constant, InsertPoint.before(find(module, AddfOp)))


def add_after_the_terminator(module: ModuleOp) -> None:
    find(module, GenericOp).body.block.add_op(ConstantOp(FloatAttr(1.0, f32)))


def remove_the_terminator(module: ModuleOp) -> None:
    block = find(module, GenericOp).body.block
    for op in reversed(list(block.ops)):
        op.detach()
        op.erase()


def use_before_definition(module: ModuleOp) -> None:
    generic = find(module, GenericOp)
    returned = find(module, ReturnOp)
    empty = generic.outputs[0].owner
    assert isinstance(empty, Operation)
    empty.detach()
    Rewriter.insert_op(empty, InsertPoint.before(returned))


BREAKAGES = [
    drop_a_property,
    change_a_property,
    change_the_type_of_an_argument,
    change_the_type_of_an_operand,
    change_what_the_function_returns,
    add_a_broken_operation,
    add_after_the_terminator,
    remove_the_terminator,
    use_before_definition,
]


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_what_a_later_phase_breaks_is_found(breakage: Callable[[ModuleOp], None]) -> None:
    module, verifier = sum_of_two(), Verifier()
    verifier.verify(module)
    verifier.verify(module)
    breakage(module)
    with pytest.raises(VerifyException):
        verifier.verify(module)
    with pytest.raises(VerifyException):
        verifier.verify(module)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the operations verified, as they are."""
    names: list[str] = []
    original = Operation.verify

    def verify(op: Operation, verify_nested_ops: bool = True) -> None:
        names.append(op.name)
        original(op, verify_nested_ops)

    monkeypatch.setattr(Operation, "verify", verify)
    return names


def test_only_what_changed_is_verified_again(verified: list[str]) -> None:
    module, verifier = sum_of_two(), Verifier()
    verified.clear()
    verifier.verify(module)
    assert sorted(verified) == sorted(op.name for op in module.walk())
    verified.clear()
    verifier.verify(module)
    assert verified == []
    yielded = find(module, YieldOp)
    yielded.operands = [find(module, GenericOp).body.block.args[0]]
    verifier.verify(module)
    assert verified == ["linalg.yield", "linalg.generic", "func.func", "builtin.module"]
