"""FULLY_CONNECTED: rows of the input times the transposed weight, as a convolution with a 1 x 1 window.

TOSA 1.0 has no fully connected operator. Of its contractions only the convolution takes weights in the layout of the
file, [channels, depth], together with a bias; so the weights are shared with the file, not transposed into a copy. The
rows lie along the width of one image, the axis along which compilers tile convolutions.
"""

from __future__ import annotations

import tflite
from xdsl.ir import Attribute, SSAValue

from ....tosa import dialect as tosa
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, legalize
from .contraction import Contraction, Rounding
from .shaping import reshape, row_count


@legalize("FULLY_CONNECTED")
def fully_connected(op: Operator, context: Context) -> SSAValue:
    """Input [..., depth] or of any shape that holds rows of `depth` elements, weight [channels, depth]."""
    options = op.options(tflite.FullyConnectedOptions)
    if options.WeightsFormat() != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        context.unsupported("shuffled weights; convert the model again without them")
    x, weight = context.value(op.input(0)), context.value(op.input(1))
    if len(shape_of(weight)) != 2 or DYNAMIC in shape_of(weight):
        context.unsupported(f"weights of shape {shape_of(weight)}; two static extents are needed")
    channels, depth = shape_of(weight)
    rows = row_count(context, x, depth)
    keeps_shape = options.KeepNumDims() and len(shape_of(x)) > 0
    result_shape = (*shape_of(x)[:-1], channels) if keeps_shape else (rows, channels)

    def make(
        x: SSAValue, weight: SSAValue, bias: SSAValue, input_zp: SSAValue, weight_zp: SSAValue, acc_type: Attribute
    ) -> SSAValue:
        convolution = tosa.Conv2DOp(
            x, weight, bias, input_zp, weight_zp, pad=[0] * 4, stride=[1, 1], dilation=[1, 1], acc_type=acc_type
        )
        return context.add(convolution)

    # Rows of [1, 1, rows, depth] have steps of their own.
    rounding = Rounding(axes=(3,), asymmetric=options.AsymmetricQuantizeInputs())
    contraction = Contraction(op, options.FusedActivationFunction(), rounds_once=True, rounding=rounding)
    pixels = reshape(context, x, (1, 1, rows, depth))
    result = contraction.emit(context, pixels, reshape(context, weight, (channels, 1, 1, depth)), make)
    return reshape(context, result, result_shape)
