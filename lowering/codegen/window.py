"""How a window slides over an image, and which padding the region around it folds in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, IntegerType
from xdsl.dialects.tensor import PadOp, YieldOp
from xdsl.ir import OpResult, SSAValue

from ...runtime.errors import UnsupportedError


@dataclass(frozen=True)
class Window:
    """(vertical, horizontal) extents of an image, of the result and of the window, and how it moves.

    `before` is the padding above and on the left; what lies beyond the image on any side counts as padding.
    """

    image: tuple[int, int]
    output: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    before: tuple[int, int]

    def span(self, axis: int) -> int:
        """Pixels from the first to the last tap, both included."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1

    def reaches_out(self, axis: int) -> bool:
        """Whether some window leaves the image along `axis`."""
        last = (self.output[axis] - 1) * self.strides[axis] - self.before[axis] + self.span(axis) - 1
        return self.before[axis] > 0 or last >= self.image[axis]

    @property
    def is_pointwise(self) -> bool:
        """Whether output pixel i reads exactly image pixel i."""
        return self.kernel == (1, 1) and self.strides == (1, 1) and self.image == self.output and self.before == (0, 0)


def integers(attribute: DenseArrayBase) -> list[int]:
    """The elements of an array attribute of integers."""
    return [int(value) for value in cast("DenseArrayBase[IntegerType]", attribute).get_values()]


def pair(attribute: DenseArrayBase) -> tuple[int, int]:
    vertical, horizontal = integers(attribute)
    return vertical, horizontal


def unpadded(image: SSAValue) -> tuple[SSAValue, tuple[int, int], int | float]:
    """(image, rows above and columns left of it, their value) of an image that the region itself pads, if it does."""
    if not isinstance(image, OpResult) or not isinstance(image.op, PadOp):
        return image, (0, 0), 0
    pad = image.op
    low, high = integers(pad.static_low), integers(pad.static_high)
    if any((low[0], high[0], low[3], high[3])):
        raise UnsupportedError("no code can be generated", [f"padding {low}, {high} of batches or channels"])
    return pad.source, (low[1], low[2]), _filler(pad)


def _filler(pad: PadOp) -> int | float:
    terminator = pad.region.block.last_op
    assert isinstance(terminator, YieldOp)
    constant = terminator.operands[0].owner
    if isinstance(constant, ConstantOp) and isinstance(constant.value, IntegerAttr | FloatAttr):
        return constant.value.value.data
    raise UnsupportedError("no code can be generated", ["padding with a value that is not constant"])
