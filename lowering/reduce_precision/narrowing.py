"""Giving values of dispatches a narrow type: rounded where they are computed, widened where they are read."""

from __future__ import annotations

from typing import cast

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, FloatAttr, TensorType, UnitAttr, f16, f32
from xdsl.dialects.func import FuncOp
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import EmptyOp, PadOp
from xdsl.ir import Block, BlockArgument, Operation, OpResult, Region, SSAValue
from xdsl.rewriter import Rewriter

from ...tosa.elements import numpy_dtype
from ..attention import is_product
from ..dialects.dispatch import RegionOp, YieldOp
from ..dialects.linalg import PlainContraction
from ..dialects.scalar import FLUSHES_SUBNORMALS
from ..ir import identity_generic, padding_value, regions, tensor_type
from ..sizes import Sizes
from .storage import MOVES, VIEWS, contracts_floats, is_elementwise_result, narrow_results


class Narrowing:
    """Rewrites one function for results and operands of the element type `narrow`."""

    def __init__(self, function: FuncOp, narrow: AnyFloat) -> None:
        self.function, self.narrow = function, narrow
        self.sizes = Sizes()
        self.rounded: dict[tuple[SSAValue, Block], SSAValue] = {}

    def run(self) -> None:
        results = narrow_results(self.function)
        for region in regions(self.function):
            products = [op for op in region.body.block.ops if is_product(op)]  # their bodies will widen factors
            for argument, value in zip(list(region.body.block.args), region.inputs, strict=True):
                if argument.type != value.type:
                    self._read_narrow(argument)
            for op in region.body.block.ops:
                if contracts_floats(op):
                    self._round_operands(region, cast(PlainContraction, op))
                elif op in products:
                    self._round_factors(region, cast(GenericOp, op))
            for index, result in enumerate(list(region.outputs)):
                if result in results:
                    self._store_narrow(region, index)

    def _type(self, value: SSAValue) -> TensorType:
        return TensorType(self.narrow, tensor_type(value).get_shape())

    # Reading

    def _read_narrow(self, value: SSAValue) -> None:
        """Make `value`, in a region, narrow: bodies widen it, what moves it is narrow as well."""
        value = Rewriter.replace_value_with_new_type(value, self._type(value))
        for use in list(value.uses):
            op = use.operation
            if isinstance(op, GenericOp):
                _widen_argument(op, use.index, self.narrow)
            elif isinstance(op, MOVES) and tensor_type(op.results[0]).get_element_type() != self.narrow:
                if isinstance(op, PadOp):
                    self._round_padding(op)
                self._read_narrow(op.results[0])

    def _round_padding(self, pad: PadOp) -> None:
        constant = padding_value(pad)
        assert isinstance(constant, FloatAttr)
        value = float(np.asarray(constant.value.data).astype(numpy_dtype(self.narrow)))
        block = pad.region.block
        narrow = arith.ConstantOp(FloatAttr(value, self.narrow))
        terminator = cast(Operation, block.last_op)
        block.insert_op_before(narrow, terminator)
        terminator.operands[0] = narrow.result

    # Contractions

    def _round_operands(self, region: RegionOp, root: PlainContraction) -> None:
        for operand in root.inputs:
            while isinstance(operand, OpResult):
                operand = cast(PadOp, operand.op).source
            argument = cast(BlockArgument, operand)
            if tensor_type(argument).get_element_type() != self.narrow:
                region.operands[argument.index] = self._round(region.inputs[argument.index], region)
                self._read_narrow(argument)

    def _round_factors(self, region: RegionOp, product: GenericOp) -> None:
        for factor in list(product.inputs):
            if tensor_type(factor).get_element_type() != f32:
                continue
            if isinstance(factor, BlockArgument):
                region.operands[factor.index] = self._round(region.inputs[factor.index], region)
                self._read_narrow(factor)
            elif is_elementwise_result(factor):
                computed = cast(OpResult, factor)
                generic = cast(GenericOp, computed.op)
                self._round_result(generic, computed.index)
                for use in list(generic.res[computed.index].uses):
                    _widen_argument(cast(GenericOp, use.operation), use.index, self.narrow)

    def _round(self, value: SSAValue, reader: RegionOp) -> SSAValue:
        """`value` rounded by a region of its own in front of `reader`, or of the first that asked for it."""
        parent = reader.parent
        assert parent is not None
        if (value, parent) not in self.rounded:
            source = value.owner
            if isinstance(source, VIEWS):
                step: Operation = source.clone({source.src: self._round(source.src, reader)})
                Rewriter.replace_value_with_new_type(step.results[0], self._type(value))
            else:
                step = self._rounding(value)
            parent.insert_op_before(step, reader)
            self.rounded[value, parent] = step.results[0]
        return self.rounded[value, parent]

    def _rounding(self, value: SSAValue) -> RegionOp:
        """A region that does nothing but round `value`."""
        dims = self.sizes.dynamic(value)
        known = dict.fromkeys(dims)
        block = Block(arg_types=[value.type, *(dim.type for dim in known)])
        inside = dict(zip(known, block.args[1:], strict=True))
        empty, generic = identity_generic(block.args[0], [inside[dim] for dim in dims])
        block.add_ops([empty, generic, YieldOp(generic.res[0])])
        self._round_result(generic, 0)
        return RegionOp([value, *known], [self._type(value)], Region(block), dims)

    # Results

    def _store_narrow(self, region: RegionOp, index: int) -> None:
        value = region.yielded.values[index]
        if tensor_type(value).get_element_type() == f32:
            if not is_elementwise_result(value):
                empty, generic = identity_generic(value)
                region.body.block.insert_ops_before([empty, generic], region.yielded)
                region.yielded.operands[index] = value = generic.res[0]
            assert isinstance(value, OpResult)
            self._round_result(cast(GenericOp, value.op), value.index)
        self._retype_outside(region.outputs[index])

    def _round_result(self, generic: GenericOp, index: int) -> None:
        """Let `generic` yield its result `index` narrow, rounded unless it was just widened."""
        body = generic.body.block
        terminator = cast(Operation, body.last_op)
        value = terminator.operands[index]
        if isinstance(value.owner, arith.ExtFOp) and value.owner.input.type == self.narrow:
            terminator.operands[index] = value.owner.input
            if not value.uses:
                Rewriter.erase_op(value.owner)
        else:
            if value.type == f16:
                wide = arith.ExtFOp(value, f32)
                body.insert_op_before(wide, terminator)
                value = wide.result
            rounded = arith.TruncFOp(value, self.narrow)
            rounded.attributes[FLUSHES_SUBNORMALS] = UnitAttr()
            body.insert_op_before(rounded, terminator)
            terminator.operands[index] = rounded.result
        init = generic.outputs[index]
        Rewriter.replace_value_with_new_type(body.args[len(generic.inputs) + index], self.narrow)
        empty = EmptyOp(cast(EmptyOp, init.owner).operands, self._type(init))
        cast(Block, generic.parent).insert_op_before(empty, generic)
        generic.operands[len(generic.inputs) + index] = empty.tensor
        if not init.uses:
            Rewriter.erase_op(cast(Operation, init.owner))
        Rewriter.replace_value_with_new_type(generic.res[index], self._type(init))

    def _retype_outside(self, value: SSAValue) -> None:
        value = Rewriter.replace_value_with_new_type(value, self._type(value))
        for use in list(value.uses):
            if isinstance(use.operation, VIEWS):
                self._retype_outside(use.operation.result)


def _widen_argument(generic: GenericOp, index: int, narrow: AnyFloat) -> None:
    """Let the body of `generic` take its input `index` narrow and compute with it widened."""
    argument = generic.body.block.args[index]
    argument = Rewriter.replace_value_with_new_type(argument, narrow)
    if argument.uses:
        wide = arith.ExtFOp(argument, f32)
        first = generic.body.block.first_op
        assert first is not None
        generic.body.block.insert_op_before(wide, first)
        argument.replace_uses_with_if(wide.result, lambda use: use.operation is not wide)
