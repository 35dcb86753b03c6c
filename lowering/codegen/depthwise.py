"""`linalg.depthwise_conv_2d_nhwc_hwcm`, with the padding of its image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from ..dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from ..ir import shape_of
from .arithmetic import i64
from .depthwise_band import Band
from .depthwise_dot import DotDepthwise
from .emit import Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .lanewise import Lanewise, lanewise_tile
from .sliding import Sliding
from .types import I8, I32, Value, bits_of, is_float, memory_type
from .window import Window
from .window_tile import Image, load_lanes, start_of


@dataclass(frozen=True, kw_only=True)
class MultiplyAdd(Lanewise):
    """sums += image * tap. `filter` points at [KH, KW, channels] elements of the result's channels."""

    filter: Value
    filter_element: str
    kernel_width: int
    channels: int

    @property
    def operand(self) -> Value:
        return self.filter

    def reading(self, operand: Value) -> Self:
        return replace(self, filter=operand)

    @property
    def ignores_padding(self) -> bool:
        return self.image.pad_value == 0

    def taps(
        self, f: Function, kh: Value, kw: Value, count: int, channel: Value, mask: Value | None
    ) -> Sequence[Sequence[Value]]:
        tap_bytes = self.channels * bits_of(self.filter_element) // 8
        vector_bytes = self.tile.lanes * bits_of(self.filter_element) // 8
        tap = f.add(f.mul(kh, i64(self.kernel_width)), kw)
        first = f.element_pointer(self.filter, self.filter_element, f.add(f.mul(tap, i64(self.channels)), channel))
        return [
            [
                self.widen(
                    f,
                    load_lanes(
                        f,
                        self.filter_element,
                        f.gep(first, column * tap_bytes + vector * vector_bytes),
                        self.tile.lanes,
                        mask,
                    ),
                )
                for vector in range(self.tile.vectors)
            ]
            for column in range(count)
        ]

    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value:
        assert tap is not None
        return f.fma(image, tap, sums) if is_float(sums.type) else f.add(sums, f.mul(image, tap))


def emit_depthwise(context: KernelContext, root: DepthwiseConv2DNhwcHwcmOp) -> int:
    """Emits a depthwise convolution; returns the bytes of scratch per thread."""
    image = Image.of(context, root.image)
    filter, start = context.tensor(root.window), start_of(context, root.init)
    types = (image.element, memory_type(filter.element), start.type, shape_of(root.window)[3])
    band = Band.of(context.target, image.shape[3], _window(root, image)) if types == (I8, I8, I32, 1) else None
    if band is not None:
        return DotDepthwise(context, Epilogue(context, root), image, band, filter.pointer, start).emit()
    depthwise_over(context, root, image, image.shape[3]).emit()
    return 0


def depthwise_over(context: KernelContext, root: DepthwiseConv2DNhwcHwcmOp, image: Image, channels: int) -> Sliding:
    """What slides the filter of `root` over `image`, which may be a part of all its `channels`."""
    filter, start = context.tensor(root.window), start_of(context, root.init)
    multiplier, window = shape_of(root.window)[3], _window(root, image)
    tile = lanewise_tile(context.target, start.type, image.shape[3], multiplier, window.output[1])
    combine = MultiplyAdd(
        context.target,
        tile,
        image,
        start,
        multiplier > 1,
        filter=filter.pointer,
        filter_element=memory_type(filter.element),
        kernel_width=window.kernel[1],
        channels=channels * multiplier,
    )
    return Sliding(context, Epilogue(context, root), window, image, multiplier, combine, tile)


def _window(root: DepthwiseConv2DNhwcHwcmOp, image: Image) -> Window:
    kernel_height, kernel_width, _, _ = shape_of(root.window)
    _, out_height, out_width, _, _ = shape_of(root.result)
    return Window(
        (image.shape[1], image.shape[2]),
        (out_height, out_width),
        (kernel_height, kernel_width),
        root.stride_values,
        root.dilation_values,
        image.before,
    )
