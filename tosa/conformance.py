"""The limits of the specification that exchanged programs must keep, though nothing here needs them.

A program in the exchange format is checked against level 8K and the ERROR_IF conditions that bound attributes. A module
from an importer may exceed them: a 20-fold reduction of an image compiles as well as a 15-fold one.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp, TensorType

from .dialect import FFT2DOp, ResizeOp, RFFT2DOp, ScatterOp, TosaOp, constant, constant_shape
from .dialect.types import shape_of

MAX_RANK = 6
MAX_RESIZE_EXTENT = 16384
MAX_SCALE_NUMERATOR = 1 << 11
MAX_DOWNSCALE = 16


def check_conformance(module: ModuleOp) -> None:
    """Raise VerifyException for the first operation that exceeds a limit."""
    for operation in module.walk():
        if isinstance(operation, TosaOp):
            _check_extents(operation)
        if isinstance(operation, ResizeOp):
            _check_resize(operation)
        if isinstance(operation, (FFT2DOp, RFFT2DOp)):
            _check_transform(operation)
        if isinstance(operation, ScatterOp):
            _check_scatter(operation)


def _check_extents(operation: TosaOp) -> None:
    for value in (*operation.operands, *operation.results):
        if isinstance(value.type, TensorType):
            shape = shape_of(value)
            if len(shape) > MAX_RANK:
                operation.fail(f"{value.type} has more than {MAX_RANK} dimensions")
            if 0 in shape:
                operation.fail(f"{value.type} has no elements")


def _check_resize(operation: ResizeOp) -> None:
    scale, offset, border = map(constant_shape, (operation.scale, operation.offset, operation.border))
    if scale is None or offset is None or border is None:
        operation.fail("scale, offset and border must be constant")
    for axis in (0, 1):
        numerator, denominator = scale[2 * axis : 2 * axis + 2]
        if numerator > MAX_SCALE_NUMERATOR or denominator >= MAX_DOWNSCALE * numerator:
            operation.fail(f"scale {numerator}/{denominator} is out of range")
        if not -numerator <= offset[axis] < MAX_DOWNSCALE * numerator:
            operation.fail(f"offset {offset[axis]} is out of range for scale {numerator}/{denominator}")
        if not -MAX_DOWNSCALE * numerator <= border[axis] < numerator:
            operation.fail(f"border {border[axis]} is out of range for scale {numerator}/{denominator}")
    for value in (operation.input, operation.output):
        if max(shape_of(value)[1:3]) >= MAX_RESIZE_EXTENT:
            operation.fail(f"{value.type} is not smaller than {MAX_RESIZE_EXTENT}")


def _check_transform(operation: FFT2DOp | RFFT2DOp) -> None:
    for extent in shape_of(operation.operands[0])[1:]:
        if extent > 0 and extent & (extent - 1):
            operation.fail(f"height and width must be powers of two, got {extent}")


def _check_scatter(operation: ScatterOp) -> None:
    indices = constant(operation.indices)
    if indices is not None and any(len(set(row)) < len(row) for row in indices.tolist()):
        operation.fail("indices of a row must differ")
