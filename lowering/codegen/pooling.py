"""`linalg.pooling_nhwc_max` and `linalg.pooling_nhwc_sum`, with the padding of their image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dialects.linalg import PoolingNhwcMaxOp, PoolingNhwcSumOp
from ..ir import shape_of
from ..target import Target
from .emit import Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .product import widen
from .sliding import Sliding, start_of
from .types import Value, is_float, memory_type
from .window import Window, unpadded


@dataclass(frozen=True)
class _Pool:
    """Elements as they are, in the type of the result."""

    target: Target
    start: Value

    def taps(
        self, f: Function, first: Value, count: int, channel: Value, lanes: int, mask: Value | None
    ) -> Sequence[Value | None]:
        return [None] * count

    def image(self, f: Function, loaded: Value) -> Value:
        return widen(f, self.target, loaded, self.start.type)


@dataclass(frozen=True)
class Sum(_Pool):
    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value:
        return f.fadd(sums, image) if is_float(sums.type) else f.add(sums, image)


@dataclass(frozen=True)
class Maximum(_Pool):
    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value:
        if not is_float(sums.type):
            return f.max(sums, image)
        # `maxps` returns its second operand where either is NaN: a new NaN enters so, an old one is kept by hand.
        larger = f.select(f.fcmp("ogt", sums, image), sums, image)
        return f.select(f.fcmp("uno", sums, sums), sums, larger)


def emit_pooling(context: KernelContext, root: PoolingNhwcMaxOp | PoolingNhwcSumOp) -> int:
    """Emits a pooling; it needs no scratch."""
    source, before, pad_value = unpadded(root.image)
    image = context.tensor(source)
    images, height, width, channels = image.shape
    kernel_height, kernel_width = shape_of(root.window)
    _, out_height, out_width, _ = shape_of(root.result)
    window = Window(
        (height, width),
        (out_height, out_width),
        (kernel_height, kernel_width),
        root.stride_values,
        root.dilation_values,
        before,
    )
    combine = (Maximum if isinstance(root, PoolingNhwcMaxOp) else Sum)(context.target, start_of(context, root.init))
    Sliding(
        context,
        Epilogue(context, root),
        window,
        image.pointer,
        memory_type(image.element),
        images,
        channels,
        1,
        pad_value,
        combine,
    ).emit()
    return 0
