"""What makes a region strips: a product, an element-wise generic and a depthwise convolution of what they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import PadOp
from xdsl.ir import Operation

from .dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from .dialects.tiled import Conv2DOp, MatmulOp


@dataclass(frozen=True)
class Strips:
    """`expand` makes the channels of each pixel, `activate` finishes them, `depthwise` slides over them.

    A convolution that expands has its filter in one panel, and reads padded rows of its image.
    """

    expand: MatmulOp | Conv2DOp
    activate: GenericOp
    depthwise: DepthwiseConv2DNhwcHwcmOp

    @staticmethod
    def of(operations: Iterable[Operation]) -> Strips | None:
        """Those of a region whose `operations`, initial values and constants left out, are strips."""
        match [op for op in operations if not isinstance(op, PadOp)]:
            case [
                (MatmulOp() | Conv2DOp()) as expand,
                GenericOp() as activate,
                DepthwiseConv2DNhwcHwcmOp() as depthwise,
                *_,
            ]:
                return Strips(expand, activate, depthwise)
        return None
