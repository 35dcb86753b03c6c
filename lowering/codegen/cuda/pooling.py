"""`linalg.pooling_nhwc_max` and `linalg.pooling_nhwc_sum` on a GPU, with the padding of their image.

They read every element of the image about once and are bound by that; see `strip`.
"""

from __future__ import annotations

from ...dialects.linalg import PoolingNhwcMaxOp, PoolingNhwcSumOp
from ..epilogue import Epilogue
from ..kernel import Grid, KernelContext
from ..pooling import Maximum, Sum
from ..window_tile import Image, Tile, start_of
from .sliding import Sliding, window_of
from .strip import choose_strip


def emit_pooling(context: KernelContext, root: PoolingNhwcMaxOp | PoolingNhwcSumOp) -> Grid:
    """Emits a pooling."""
    image, start = Image.of(context, root.image), start_of(context, root.init)
    window, channels = window_of(root, image), image.shape[3]
    strip = choose_strip(image.shape[0], window, channels, channels, image.element, start.type)
    tile = Tile(start.type, strip.lanes, 1, strip.columns)
    combine = (Maximum if isinstance(root, PoolingNhwcMaxOp) else Sum)(context.target, tile, image, start)
    return Sliding(context, Epilogue(context, root), window, image, 1, combine, strip).emit()
