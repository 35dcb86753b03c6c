"""The dispatch dialect: units of work that one device runs as one kernel, and where they run."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    IndexType,
    IntAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    TensorType,
)
from xdsl.ir import Attribute, Block, Dialect, Operation, ParametrizedAttribute, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    lazy_traits_def,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import HasParent, IsolatedFromAbove, IsTerminator, Pure, SingleBlockImplicitTerminator
from xdsl.utils.exceptions import VerifyException

from ...runtime.artifact import Space


@irdl_attr_definition
class BufferAttr(ParametrizedAttribute):
    """Where a tensor lies: `offset` bytes into "arena", "constants", or the `index`-th "input" or "output".

    With a `slot` (not -1) the entry of that number in the segment's scalar table is added to the offset. The record of
    the artifact that it becomes is `tosaic.runtime.artifact.BufferReference`.
    """

    name = "dispatch.buffer"

    space: StringAttr
    index: IntAttr
    offset: IntAttr
    slot: IntAttr

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            numbers = [self.index.data, self.offset.data] + [self.slot.data] * (self.slot.data >= 0)
            printer.print_string(", ".join([f'"{self.space.data}"', *map(str, numbers)]))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            space = parser.parse_str_literal()
            numbers = []
            while parser.parse_optional_punctuation(","):
                numbers.append(IntAttr(parser.parse_integer(allow_negative=False)))
            if len(numbers) not in (2, 3):
                parser.raise_error("expected the space, an index, an offset and perhaps a slot")
        return [StringAttr(space), *numbers, *[IntAttr(-1)] * (3 - len(numbers))]

    @staticmethod
    def of(space: Space, index: int, offset: int, slot: int = -1) -> BufferAttr:
        return BufferAttr(StringAttr(space), IntAttr(index), IntAttr(offset), IntAttr(slot))


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a dispatch region or segment; its operands are the results."""

    name = "dispatch.yield"

    values = var_operand_def()

    traits = lazy_traits_def(lambda: (IsTerminator(), HasParent(RegionOp, SegmentOp), Pure()))

    def __init__(self, *values: SSAValue) -> None:
        super().__init__(operands=[values])


def dynamic_dims(types: Sequence[Attribute]) -> int:
    """How many sizes of the tensor types among `types` are not known: the `?` in their spelling."""
    return sum(list(type.get_shape()).count(DYNAMIC_INDEX) for type in types if isinstance(type, TensorType))


@irdl_op_definition
class RegionOp(IRDLOperation):
    """One dispatch: tensors and scalars in, tensors out, nothing captured from around it.

    The body holds at most one root (a contraction, convolution, pooling or reduction), the element-wise producers
    folded into it and the one `linalg.generic` into which its element-wise consumers were fused; an attention, strips
    and rows (see there) are more. The operands are
    `inputs`, which the block's arguments stand for, and then `result_dims`: one index for each unknown size of the
    result types, in order.
    `device` is set by the assign-devices phase, `buffers` (of the tensor operands, then of the results) by plan-memory.
    """

    name = "dispatch.region"

    arguments = var_operand_def()
    outputs = var_result_def(TensorType)
    body = region_def("single_block")
    device = opt_prop_def(StringAttr)
    buffers = opt_prop_def(ArrayAttr[BufferAttr])

    traits = traits_def(IsolatedFromAbove(), Pure(), SingleBlockImplicitTerminator(YieldOp))

    def __init__(
        self,
        inputs: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        body: Region | None = None,
        result_dims: Sequence[SSAValue] = (),
    ) -> None:
        if body is None:
            body = Region(Block(arg_types=[value.type for value in inputs]))
        super().__init__(operands=[[*inputs, *result_dims]], result_types=[result_types], regions=[body])

    @property
    def inputs(self) -> Sequence[SSAValue]:
        return self.operands[: len(self.operands) - dynamic_dims(self.result_types)]

    @property
    def result_dims(self) -> Sequence[SSAValue]:
        return self.operands[len(self.operands) - dynamic_dims(self.result_types) :]

    @property
    def yielded(self) -> YieldOp:
        terminator = self.body.block.last_op
        assert isinstance(terminator, YieldOp)
        return terminator

    @property
    def tensors(self) -> list[SSAValue]:
        """The operands that lie in memory."""
        return [value for value in self.inputs if isinstance(value.type, TensorType)]

    def set_inputs(self, inputs: Sequence[SSAValue]) -> None:
        """Replace all inputs; the caller keeps the block's arguments in step."""
        self.operands = [*inputs, *self.result_dims]

    def verify_(self) -> None:
        _verify_body(self, self.inputs, self.yielded)
        if self.buffers is not None and len(self.buffers) != len(self.tensors) + len(self.outputs):
            raise VerifyException("dispatch.region: buffers must name one place per tensor operand and result")


@irdl_op_definition
class SegmentOp(IRDLOperation):
    """Consecutive dispatches of one device, which it runs in one call.

    The body holds regions, views and constants; its block's arguments are `inputs`, then `scalars`. A call hands over a
    table of 64-bit scalars: one for each unknown size of the inputs' types, in order, then `scalars`, whose bits fill
    the low bytes. Inside, `tensor.dim` of an argument is its entry of the table; all other arithmetic on sizes stays
    outside. `result_dims` are as those of a region. plan-memory sets `arena_bytes`, or gives the operand `arena_size`
    where sizes are unknown.
    """

    name = "dispatch.segment"

    inputs = var_operand_def(TensorType)
    scalars = var_operand_def()
    result_dims = var_operand_def(IndexType)
    arena_size = opt_operand_def(IndexType)
    outputs = var_result_def(TensorType)
    body = region_def("single_block")
    device = prop_def(StringAttr)
    arena_bytes = opt_prop_def(IntegerAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(IsolatedFromAbove(), Pure(), SingleBlockImplicitTerminator(YieldOp))

    def __init__(
        self,
        inputs: Sequence[SSAValue],
        scalars: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        result_dims: Sequence[SSAValue],
        device: str,
        body: Region,
    ) -> None:
        super().__init__(
            operands=[inputs, scalars, result_dims, []],
            result_types=[result_types],
            regions=[body],
            properties={"device": StringAttr(device)},
        )

    @property
    def yielded(self) -> YieldOp:
        terminator = self.body.block.last_op
        assert isinstance(terminator, YieldOp)
        return terminator

    def verify_(self) -> None:
        _verify_body(self, [*self.inputs, *self.scalars], self.yielded)
        if self.arena_size is not None and self.arena_bytes is not None:
            raise VerifyException("dispatch.segment: the arena's size is known or it is an operand, not both")


@irdl_op_definition
class CheckOp(IRDLOperation):
    """The host goes on only if `condition` holds; else the call fails with `message`, {} in it being `values` in order.

    form-dispatches puts one where operations take sizes for equal, or indices for valid, that only a call knows: what
    devices run relies on it.
    """

    name = "dispatch.check"

    condition = operand_def(IntegerType(1))
    values = var_operand_def(IndexType)
    message = prop_def(StringAttr)

    assembly_format = "$condition `,` $message (`,` $values^)? attr-dict"

    def __init__(self, condition: SSAValue | Operation, values: Sequence[SSAValue], message: str) -> None:
        super().__init__(operands=[condition, values], properties={"message": StringAttr(message)})

    def verify_(self) -> None:
        if self.message.data.count("{}") != len(self.values):
            raise VerifyException("dispatch.check: the message must have a {} for each value")


def _verify_body(op: RegionOp | SegmentOp, inputs: Sequence[SSAValue], yielded: YieldOp) -> None:
    arguments = op.body.block.args
    if [argument.type for argument in arguments] != [value.type for value in inputs]:
        raise VerifyException(f"{op.name}: block arguments must have the types of the operands")
    if [value.type for value in yielded.values] != [result.type for result in op.outputs]:
        raise VerifyException(f"{op.name}: dispatch.yield must have the types of the results")
    if any(value.type != IndexType() for value in op.result_dims) or len(op.result_dims) != dynamic_dims(
        op.result_types
    ):
        raise VerifyException(f"{op.name}: result_dims must name one index per unknown size of the results")


Dispatch = Dialect("dispatch", [RegionOp, SegmentOp, CheckOp, YieldOp], [BufferAttr])
