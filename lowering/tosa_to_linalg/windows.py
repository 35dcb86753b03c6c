"""What convolutions and poolings have in common: windows that slide over an image."""

from __future__ import annotations

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect import constant_shape
from ...tosa.dialect.convolution import ConvolutionOp
from ...tosa.dialect.pooling import PoolingOp
from ...tosa.dialect.types import shape_of


def untrimmed(op: ConvolutionOp | PoolingOp) -> SSAValue:
    """The input, or the source of a slice of it that only cuts off what unpadded windows would not read.

    TOSA demands that strides divide the extents, so that importers trim images; linalg may read from a greater one.
    """
    (input, *_), (result, *_) = op.operands, op.results
    slice = input.owner
    if any(op.plain("pad")) or not isinstance(slice, tosa.SliceOp) or DYNAMIC_INDEX in shape_of(result)[1:-1]:
        return input
    start = constant_shape(slice.start)
    source, sliced = shape_of(slice.input1), shape_of(slice.output)
    if start is None or any(start) or (source[0], source[-1]) != (sliced[0], sliced[-1]):
        return input
    return slice.input1
