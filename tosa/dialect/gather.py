"""Gather and scatter along the middle dimension of [N,K,C] (TOSA 1.0)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from .base import Array, TosaOp
from .types import element_of, ranked


class IndexedOp(TosaOp):
    """Reads or writes places along the middle dimension that the second operand, i32 [N,W], gives."""

    traits = traits_def(Pure())

    def check_bounds(self, indices: Array, extent: int) -> None:
        """The specification leaves indices outside of the tensor undefined; numpy would count them from the end."""
        if indices.size and not (indices.min() >= 0 and indices.max() < extent):
            self.fail(f"indices reach from {indices.min()} to {indices.max()}, outside of 0 to {extent - 1}")

    def check_indices(self) -> None:
        if element_of(self.operands[1]) != i32:
            self.fail(f"indices must be i32, got {self.operands[1].type}")


@irdl_op_definition
class GatherOp(IndexedOp):
    """output[n,w,c] = values[n, indices[n,w], c]"""

    name = "tosa.gather"

    values = operand_def(TensorType)
    indices = operand_def(TensorType)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        batch, _, channels = ranked(self.values, 3, "values")
        index_batch, width = ranked(self.indices, 2, "indices")
        self.check_indices()
        batch = self.unify("batches of values and indices", batch, index_batch)
        return [TensorType(element_of(self.values), [batch, width, channels])]

    def meaning(self, *operands: Array) -> Array:
        values, indices = operands
        self.check_bounds(indices, values.shape[1])
        return values[np.arange(values.shape[0])[:, None], indices]


@irdl_op_definition
class ScatterOp(IndexedOp):
    """A copy of values_in in which output[n, indices[n,w], c] = input[n,w,c]; no index occurs twice."""

    name = "tosa.scatter"

    values_in = operand_def(TensorType)
    indices = operand_def(TensorType)
    input = operand_def(TensorType)
    values_out = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        batch, extent, channels = ranked(self.values_in, 3, "values_in")
        index_batch, width = ranked(self.indices, 2, "indices")
        input_batch, input_width, input_channels = ranked(self.input, 3, "input")
        self.check_indices()
        batch = self.unify("batches of values_in, indices and input", batch, index_batch, input_batch)
        self.unify("widths of indices and input", width, input_width)
        channels = self.unify("channels of values_in and input", channels, input_channels)
        if element_of(self.input) != element_of(self.values_in):
            self.fail(f"values_in and input must have one element type, got {self.values_in.type}, {self.input.type}")
        return [TensorType(element_of(self.values_in), [batch, extent, channels])]

    def meaning(self, *operands: Array) -> Array:
        values_in, indices, values = operands
        self.check_bounds(indices, values_in.shape[1])
        result = values_in.copy()
        result[np.arange(result.shape[0])[:, None], indices] = values
        return result
