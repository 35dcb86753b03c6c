"""fuse-strips: a matmul over pixels, or a first convolution, and the depthwise one behind it become one dispatch.

Computed apart, what the former makes goes to memory and comes back if it is larger than the second
level of cache: at about 30 GB/s that takes longer than the few multiply-adds that each byte is made with. Computed in
strips, a few image rows of one panel of channels are made, and the depthwise convolution reads them, while they are in
the cache. That costs a copy of the rows that neighbouring strips share, so that what fits in the cache stays as it is,
and so does what reads rows that have to be copied: 784x256 of k 256 with stride 2 behind takes 991 us apart, 1111 in
strips. Of convolutions those of images of few channels are merged, whose sums are as short as a matmul's; Winograd's
transforms have strips of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from xdsl.dialects.builtin import ModuleOp, bf16, f32
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import ExpandShapeOp
from xdsl.ir import Operation, OpResult, SSAValue

from .dialects.dispatch import RegionOp, dynamic_dims
from .dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from .dialects.tiled import Conv2DOp, MatmulOp
from .ir import LOOPLESS, byte_size, functions, regions, shape_of, tensor_type, view_source
from .target import Target
from .tiles import rows_alias

_LEAST_BYTES = 768 * 1024
"""From this size on a tensor leaves an L2 of 1 MiB before it is read again."""
_LANES = 16
"""Of a register: the depthwise convolution takes whole ones of a panel."""
_FEW_CHANNELS = 4
"""Of an image whose convolution is a first one."""


def fuse_strips(module: ModuleOp, targets: Mapping[str, Target]) -> None:
    """Merge the regions of every function in place; `targets` maps each device to the target of its code."""
    for function in functions(module):
        for region in regions(function):
            producer = _producer(region)
            if producer is None or region.device is None or region.device != producer.device:
                continue
            if targets[region.device.data].avx512:
                _merge(producer, region)


def _work(region: RegionOp) -> list[Operation]:
    return [op for op in region.body.block.ops if op.results and not isinstance(op, LOOPLESS)]


def _producer(region: RegionOp) -> RegionOp | None:
    """The region that computes the image of the depthwise convolution in `region`, if strips of both pay."""
    depthwise = next((op for op in _work(region) if isinstance(op, DepthwiseConv2DNhwcHwcmOp)), None)
    if depthwise is None or _work(region)[0] not in (depthwise, depthwise.image.owner):
        return None
    image = _image_argument(region, depthwise)
    if image is None or len(list(image.uses)) != 1:
        return None
    source = _source(image)
    producer = source.op if isinstance(source, OpResult) else None
    if not isinstance(producer, RegionOp) or producer.parent is not region.parent or len(list(source.uses)) != 1:
        return None
    return producer if _can_be_strips(producer, region, depthwise, image) else None


def _source(value: SSAValue) -> SSAValue:
    """What `value` expands, or itself."""
    return value.op.src if isinstance(value, OpResult) and isinstance(value.op, ExpandShapeOp) else value


def _image_argument(region: RegionOp, depthwise: DepthwiseConv2DNhwcHwcmOp) -> SSAValue | None:
    """What `region` is called with for the image that `depthwise` reads."""
    value = depthwise.image
    if isinstance(value, OpResult):
        value = value.op.operands[0]
    pairs = zip(region.body.block.args, region.inputs, strict=True)
    return next((given for argument, given in pairs if argument is value), None)


def _can_be_strips(producer: RegionOp, region: RegionOp, depthwise: DepthwiseConv2DNhwcHwcmOp, image: SSAValue) -> bool:
    work = _work(producer)
    if len(work) != 2 or not isinstance(work[0], MatmulOp | Conv2DOp) or not isinstance(work[1], GenericOp):
        return False
    expand, activate = cast(MatmulOp | Conv2DOp, work[0]), cast(GenericOp, work[1])
    values = [*producer.inputs, *region.inputs, *producer.results, *region.results]
    if len(producer.results) != 1 or dynamic_dims([value.type for value in values]):
        return False
    reads_in_place = _is_first_convolution(expand) if isinstance(expand, Conv2DOp) else _reads_in_place(expand)
    if not reads_in_place or view_source(activate.inputs[0]) is not expand.result:
        return False
    left, right = expand.operands
    elements = [tensor_type(value).get_element_type() for value in (left, image)]
    if tensor_type(expand.result).get_element_type() != f32 or any(element not in (f32, bf16) for element in elements):
        return False
    (batch, _, width, channels), multiplier, n0 = shape_of(image), shape_of(depthwise.window)[3], shape_of(right)[2]
    return (
        (batch, multiplier, channels % n0, n0 % _LANES) == (1, 1, 0, 0)
        and shape_of(expand.result) == shape_of(producer.results[0])
        and width >= expand.rows.value.data
        and all(dilation == 1 for dilation in depthwise.dilation_values)
        and byte_size(image.type) >= _LEAST_BYTES
    )


def _reads_in_place(matmul: MatmulOp) -> bool:
    """Whether rows of pixels are read where they lie: each panel would copy them anew."""
    (*batch, pixels, k), (panels, *_, k0) = shape_of(matmul.lhs), shape_of(matmul.rhs)
    row_bytes = byte_size(matmul.lhs.type) // max(pixels, 1)
    return not batch and k % k0 == 0 and not rows_alias(row_bytes, matmul.rows.value.data, panels)


def _is_first_convolution(convolution: Conv2DOp) -> bool:
    """Whether it reads few channels, and all that it makes is one panel: each would pad rows of the image anew."""
    dilations, kernel = convolution.dilations.get_values(), convolution.kernel.get_values()
    (panels, *_, k0), channels = shape_of(convolution.filter), shape_of(convolution.image)[3]
    whole_steps = int(kernel[1]) * channels % k0 == 0
    return panels == 1 and channels <= _FEW_CHANNELS and whole_steps and all(dilation == 1 for dilation in dilations)


def _merge(producer: RegionOp, region: RegionOp) -> None:
    """Moves what `producer` does into `region`, in front."""
    body, source = region.body.block, producer.body.block
    position = next(index for index, value in enumerate(region.inputs) if _views(value, producer))
    image = region.inputs[position]
    inputs = [*region.inputs[:position], *producer.inputs, *region.inputs[position + 1 :]]
    arguments = [body.insert_arg(value.type, position + 1 + index) for index, value in enumerate(producer.inputs)]
    for old, new in zip(source.args, arguments, strict=True):
        old.replace_all_uses_with(new)
    result = producer.yielded.values[0]
    moved = [op for op in source.ops if op is not producer.yielded]
    if isinstance(image, OpResult) and isinstance(image.op, ExpandShapeOp):
        moved.append(image.op)
    first = body.first_op
    assert first is not None
    for op in moved:
        op.detach()
        body.insert_op_before(op, first)
    if image in producer.results:
        image = result
    else:
        moved[-1].operands[0] = result
    body.args[position].replace_all_uses_with(image)
    body.erase_arg(body.args[position])
    region.set_inputs(inputs)
    producer.detach()
    producer.erase()


def _views(value: SSAValue, producer: RegionOp) -> bool:
    return _source(value) in producer.results
