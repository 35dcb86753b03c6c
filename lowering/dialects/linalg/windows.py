"""Operations that slide a window over an image: the convolutions and poolings that have kernels of their own."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import DenseIntElementsAttr, TensorType, i64
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.irdl import irdl_op_definition, opt_prop_def
from xdsl.utils.exceptions import VerifyException

from ....tosa.dialect.types import shape_of
from .base import PARALLEL, REDUCTION, NamedOp, affine_map, dims


def _pair(values: Sequence[int]) -> DenseIntElementsAttr:
    return DenseIntElementsAttr.from_list(TensorType(i64, [2]), list(values))


_ONES = _pair((1, 1))


class WindowOp(NamedOp, ABC):
    """An operation that slides a window over the two spatial dimensions of `image` [N, H, W, C], unpadded.

    `strides` and `dilations` are (vertical, horizontal), in elements of the image; 1 where a program leaves them out.
    """

    strides = opt_prop_def(DenseIntElementsAttr)
    dilations = opt_prop_def(DenseIntElementsAttr)

    def __init__(
        self,
        image: SSAValue | Operation,
        window: SSAValue | Operation,
        init: SSAValue | Operation,
        *,
        strides: Sequence[int],
        dilations: Sequence[int] = (1, 1),
    ) -> None:
        super().__init__(image, window, init)
        self.set_steps(strides, dilations)

    def set_steps(self, strides: Sequence[int], dilations: Sequence[int]) -> None:
        """Vertical and horizontal ones."""
        given = {"strides": _pair(strides), "dilations": _pair(dilations)}
        self.properties = {**{key: value for key, value in self.properties.items() if key not in given}, **given}

    @property
    def image(self) -> SSAValue:
        return self.inputs[0]

    @property
    def window(self) -> SSAValue:
        """The filter; for poolings a tensor whose shape alone matters: [KH, KW]."""
        return self.inputs[1]

    @property
    def stride_values(self) -> tuple[int, int]:
        vertical, horizontal = (self.strides or _ONES).get_values()
        return int(vertical), int(horizontal)

    @property
    def dilation_values(self) -> tuple[int, int]:
        vertical, horizontal = (self.dilations or _ONES).get_values()
        return int(vertical), int(horizontal)

    def _window_position(
        self, oh: AffineExpr, ow: AffineExpr, kh: AffineExpr, kw: AffineExpr
    ) -> tuple[AffineExpr, AffineExpr]:
        """The row and column of the image that tap (kh, kw) of output (oh, ow) reads."""
        (stride_h, stride_w), (dilation_h, dilation_w) = self.stride_values, self.dilation_values
        return oh * stride_h + kh * dilation_h, ow * stride_w + kw * dilation_w

    def verify_(self) -> None:
        if min(*self.stride_values, *self.dilation_values) < 1:
            raise VerifyException(f"{self.name}: strides and dilations must be positive")
        super().verify_()
        extents = self.iteration_sizes()
        image_map, *_ = self.indexing_maps_of_operands()
        if min(extents) < 1:
            return
        reached = image_map.eval([extent - 1 for extent in extents], [])
        for axis, (last, size) in enumerate(zip(reached, shape_of(self.image), strict=True)):
            if 0 <= size <= last:
                raise VerifyException(f"{self.name}: reads index {last} of image dimension {axis} of size {size}")


@irdl_op_definition
class Conv2DNhwcFhwcOp(WindowOp):
    """init[n, oh, ow, f] += image[n, oh*stride + kh*dilation, ow*.. + kw*.., c] * filter[f, kh, kw, c]."""

    name = "linalg.conv_2d_nhwc_fhwc"

    ITERATORS: ClassVar = (PARALLEL,) * 4 + (REDUCTION,) * 3

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        n, oh, ow, f, kh, kw, c = dims(7)
        row, column = self._window_position(oh, ow, kh, kw)
        return affine_map(7, n, row, column, c), affine_map(7, f, kh, kw, c), affine_map(7, n, oh, ow, f)


@irdl_op_definition
class DepthwiseConv2DNhwcHwcmOp(WindowOp):
    """init[n, oh, ow, c, m] += image[n, oh*stride + kh*dilation, ow*.. + kw*.., c] * filter[kh, kw, c, m]."""

    name = "linalg.depthwise_conv_2d_nhwc_hwcm"

    ITERATORS: ClassVar = (PARALLEL,) * 5 + (REDUCTION,) * 2

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        n, oh, ow, c, m, kh, kw = dims(7)
        row, column = self._window_position(oh, ow, kh, kw)
        return affine_map(7, n, row, column, c), affine_map(7, kh, kw, c, m), affine_map(7, n, oh, ow, c, m)


class _PoolingOp(WindowOp, ABC):
    """Combines init[n, oh, ow, c] with every element of the window; the second input gives the window's shape."""

    ITERATORS: ClassVar = (PARALLEL,) * 4 + (REDUCTION,) * 2

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        n, oh, ow, c, kh, kw = dims(6)
        row, column = self._window_position(oh, ow, kh, kw)
        return affine_map(6, n, row, column, c), affine_map(6, kh, kw), affine_map(6, n, oh, ow, c)


@irdl_op_definition
class PoolingNhwcMaxOp(_PoolingOp):
    """The maximum (signed; NaN propagates)."""

    name = "linalg.pooling_nhwc_max"


@irdl_op_definition
class PoolingNhwcSumOp(_PoolingOp):
    """The sum, each element first widened to the type of `init`."""

    name = "linalg.pooling_nhwc_sum"
