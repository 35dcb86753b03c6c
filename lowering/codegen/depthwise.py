"""`linalg.depthwise_conv_2d_nhwc_hwcm`, with the padding of its image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from ..ir import shape_of
from ..target import Target
from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .product import widen
from .sliding import Sliding, load_lanes, start_of
from .types import Value, bits_of, is_float, memory_type
from .window import Window, unpadded


@dataclass(frozen=True)
class MultiplyAdd:
    """sums += image * filter tap, both widened to the type of the sums. `filter` points at [KH * KW, channels]."""

    target: Target
    start: Value
    filter: Value
    element: str
    channels: int

    def taps(
        self, f: Function, first: Value, count: int, channel: Value, lanes: int, mask: Value | None
    ) -> Sequence[Value]:
        size = bits_of(self.element) // 8
        row = f.gep(self.filter, f.mul(f.add(f.mul(first, i64(self.channels)), channel), i64(size)))
        loads = [
            load_lanes(f, self.element, f.gep(row, tap * self.channels * size), lanes, mask) for tap in range(count)
        ]
        return [self.image(f, tap) for tap in loads]

    def image(self, f: Function, loaded: Value) -> Value:
        return widen(f, self.target, loaded, self.start.type)

    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value:
        assert tap is not None
        if is_float(sums.type):
            return f.fma(image, tap, sums)
        return f.add(sums, f.mul(image, tap))


def emit_depthwise(context: KernelContext, root: DepthwiseConv2DNhwcHwcmOp) -> int:
    """Emits a depthwise convolution; it needs no scratch."""
    source, before, pad_value = unpadded(root.image)
    image, filter = context.tensor(source), context.tensor(root.window)
    images, height, width, channels = image.shape
    kernel_height, kernel_width, _, multiplier = filter.shape
    _, out_height, out_width, _, _ = shape_of(root.result)
    window = Window(
        (height, width),
        (out_height, out_width),
        (kernel_height, kernel_width),
        root.stride_values,
        root.dilation_values,
        before,
    )
    combine = MultiplyAdd(
        context.target,
        start_of(context, root.init),
        filter.pointer,
        memory_type(filter.element),
        channels * multiplier,
    )
    Sliding(
        context,
        Epilogue(context, root),
        window,
        image.pointer,
        memory_type(image.element),
        images,
        channels,
        multiplier,
        pad_value,
        combine,
    ).emit()
    return 0
