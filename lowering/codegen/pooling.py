"""`linalg.pooling_nhwc_max` and `linalg.pooling_nhwc_sum`, with the padding of their image."""

from __future__ import annotations

from ..dialects.linalg import PoolingNhwcMaxOp, PoolingNhwcSumOp
from ..ir import shape_of
from .emit import Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .lanewise import Lanewise, lanewise_tile
from .sliding import Sliding
from .types import Value, is_float, splat_literal
from .window import Window
from .window_tile import Image, start_of


class Sum(Lanewise):
    """The sum of the elements of a window."""

    @property
    def ignores_padding(self) -> bool:
        return self.image.pad_value == 0

    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value:
        return f.fadd(sums, image) if is_float(sums.type) else f.add(sums, image)


class Maximum(Lanewise):
    """The greatest element of a window, or NaN if it holds one."""

    @property
    def ignores_padding(self) -> bool:
        return self.initial.text == splat_literal(self.initial.type, self.image.pad_value)

    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value:
        if not is_float(sums.type):
            return f.max(sums, image)
        # `maxps` returns its second operand where either is NaN: a new NaN enters so, an old one is kept by hand.
        larger = f.select(f.fcmp("ogt", sums, image), sums, image)
        return f.select(f.fcmp("uno", sums, sums), sums, larger)


def emit_pooling(context: KernelContext, root: PoolingNhwcMaxOp | PoolingNhwcSumOp) -> int:
    """Emits a pooling; it needs no scratch."""
    image, start = Image.of(context, root.image), start_of(context, root.init)
    kernel_height, kernel_width = shape_of(root.window)
    _, out_height, out_width, channels = shape_of(root.result)
    window = Window(
        (image.shape[1], image.shape[2]),
        (out_height, out_width),
        (kernel_height, kernel_width),
        root.stride_values,
        root.dilation_values,
        image.before,
    )
    tile = lanewise_tile(context.target, start.type, channels, 1, out_width)
    combine = (Maximum if isinstance(root, PoolingNhwcMaxOp) else Sum)(context.target, tile, image, start)
    Sliding(context, Epilogue(context, root), window, image, 1, combine, tile).emit()
    return 0
