"""Two-dimensional Fourier transforms of batches [N,H,W] (TOSA 1.0, extension EXT-FFT)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, BoolAttr, TensorType
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from .attributes import FALSE
from .base import Array, TosaOp
from .types import element_of, ranked


@irdl_op_definition
class FFT2DOp(TosaOp):
    """The complex transform of each [H,W] plane, real and imaginary part apart; neither direction is normalised."""

    name = "tosa.fft2d"
    traits = traits_def(Pure())

    input_real = operand_def(TensorType)
    input_imag = operand_def(TensorType)
    inverse = prop_def(BoolAttr)
    local_bound = prop_def(BoolAttr, default_value=FALSE)
    output_real = result_def(TensorType)
    output_imag = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        ranked(self.input_real, 3, "input_real")
        if self.input_real.type != self.input_imag.type:
            self.fail(
                f"input_real and input_imag must have one type, got {self.input_real.type}, {self.input_imag.type}"
            )
        return [self.input_real.type, self.input_imag.type]

    def meaning(self, *operands: Array) -> Sequence[Array]:
        values = operands[0].astype(np.float64) + 1j * operands[1].astype(np.float64)
        transformed = np.fft.ifft2(values, norm="forward") if self.plain("inverse") else np.fft.fft2(values)
        return [transformed.real, transformed.imag]


@irdl_op_definition
class RFFT2DOp(TosaOp):
    """The transform of real planes: the first W/2+1 columns, which determine the others."""

    name = "tosa.rfft2d"
    traits = traits_def(Pure())

    input_real = operand_def(TensorType)
    local_bound = prop_def(BoolAttr, default_value=FALSE)
    output_real = result_def(TensorType)
    output_imag = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        batch, height, width = ranked(self.input_real, 3, "input_real")
        half = DYNAMIC_INDEX if width == DYNAMIC_INDEX else width // 2 + 1
        type = TensorType(element_of(self.input_real), [batch, height, half])
        return [type, type]

    def meaning(self, *operands: Array) -> Sequence[Array]:
        transformed = np.fft.rfft2(operands[0].astype(np.float64))
        return [transformed.real, transformed.imag]
