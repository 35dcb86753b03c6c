"""`linalg.depthwise_conv_2d_nhwc_hwcm` on a GPU, with the padding of its image.

Per element of the result a 3x3 window multiplies nine times, and moves at least one element in and one out: an A100
moves 8 bytes of f32 in the time of about 50 multiply-adds, so that memory is all that counts. What a thread's
rectangle of pixels reads twice, and how far it fills the GPU, is weighed in `strip`.
"""

from __future__ import annotations

from ...dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from ...ir import shape_of
from ..depthwise import MultiplyAdd
from ..epilogue import Epilogue
from ..kernel import Grid, KernelContext
from ..types import memory_type
from ..window_tile import Image, Tile, start_of
from .sliding import Sliding, window_of
from .sliding_dot import WORD, SlidingDot, multiplies_rows
from .strip import choose_strip


def emit_depthwise(context: KernelContext, root: DepthwiseConv2DNhwcHwcmOp) -> Grid:
    """Emits a depthwise convolution."""
    image, start, filter = Image.of(context, root.image), start_of(context, root.init), context.tensor(root.window)
    multiplier, channels = shape_of(root.window)[3], image.shape[3]
    window = window_of(root, image)
    run = channels if multiplier == 1 else multiplier
    element = memory_type(filter.element)
    dots = multiplies_rows(window, image.element, element, start.type, multiplier)
    strip = choose_strip(image.shape[0], window, channels * multiplier, run, image.element, start.type, dots=dots)
    combine = MultiplyAdd(
        context.target,
        Tile(start.type, strip.lanes, 1, strip.columns),
        image,
        start,
        multiplier > 1,
        filter=filter.pointer,
        filter_element=element,
        kernel_width=window.kernel[1],
        channels=channels * multiplier,
    )
    epilogue = Epilogue(context, root)
    if dots and strip.lanes % WORD == 0:
        dot = SlidingDot(context, epilogue, window, image, multiplier, combine, strip, filter=filter.pointer)
        return dot.emit()
    return Sliding(context, epilogue, window, image, multiplier, combine, strip).emit()
