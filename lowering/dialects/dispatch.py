"""The dispatch dialect: units of work that one device runs as one kernel, and where they run."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ArrayAttr, IntAttr, StringAttr
from xdsl.ir import Attribute, Block, Dialect, ParametrizedAttribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    lazy_traits_def,
    opt_prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import HasParent, IsolatedFromAbove, IsTerminator, Pure, SingleBlockImplicitTerminator
from xdsl.utils.exceptions import VerifyException

from ...runtime.artifact import Space


@irdl_attr_definition
class BufferAttr(ParametrizedAttribute):
    """Where a tensor lies: `offset` bytes into "arena", "constants", or the `index`-th "input" or "output".

    The record of the artifact that it becomes is `tosaic.runtime.artifact.BufferReference`.
    """

    name = "dispatch.buffer"

    space: StringAttr
    index: IntAttr
    offset: IntAttr

    @staticmethod
    def of(space: Space, index: int, offset: int) -> BufferAttr:
        return BufferAttr(StringAttr(space), IntAttr(index), IntAttr(offset))


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a dispatch region; its operands are the results of the dispatch."""

    name = "dispatch.yield"

    values = var_operand_def()

    traits = lazy_traits_def(lambda: (IsTerminator(), HasParent(RegionOp), Pure()))

    def __init__(self, *values: SSAValue) -> None:
        super().__init__(operands=[values])


@irdl_op_definition
class RegionOp(IRDLOperation):
    """One dispatch: tensors in, tensors out, nothing captured from around it.

    The body holds at most one root (a contraction, convolution, pooling or reduction), the element-wise producers
    folded into it and the one `linalg.generic` into which its element-wise consumers were fused.
    `device` is set by the assign-devices phase, `buffers` (of the operands, then of the results) by plan-memory.
    """

    name = "dispatch.region"

    inputs = var_operand_def()
    outputs = var_result_def()
    body = region_def("single_block")
    device = opt_prop_def(StringAttr)
    buffers = opt_prop_def(ArrayAttr[BufferAttr])

    traits = traits_def(IsolatedFromAbove(), Pure(), SingleBlockImplicitTerminator(YieldOp))

    def __init__(
        self, inputs: Sequence[SSAValue], result_types: Sequence[Attribute], body: Region | None = None
    ) -> None:
        if body is None:
            body = Region(Block(arg_types=[value.type for value in inputs]))
        super().__init__(operands=[inputs], result_types=[result_types], regions=[body])

    @property
    def yielded(self) -> YieldOp:
        terminator = self.body.block.last_op
        assert isinstance(terminator, YieldOp)
        return terminator

    def verify_(self) -> None:
        arguments = self.body.block.args
        if [argument.type for argument in arguments] != [value.type for value in self.inputs]:
            raise VerifyException("dispatch.region: block arguments must have the types of the operands")
        if [value.type for value in self.yielded.values] != [result.type for result in self.outputs]:
            raise VerifyException("dispatch.region: dispatch.yield must have the types of the results")
        if self.buffers is not None and len(self.buffers) != len(self.inputs) + len(self.outputs):
            raise VerifyException("dispatch.region: buffers must name one place per operand and result")


Dispatch = Dialect("dispatch", [RegionOp, YieldOp], [BufferAttr])
