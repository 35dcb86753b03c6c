"""The code of the device `reference`: the records of every segment, to be evaluated by the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from xdsl.dialects.builtin import IntegerAttr

from ..runtime.reference.file import SegmentRecord, write
from ..tosa.dialect import ConstOp
from .dialects.dispatch import SegmentOp
from .meaning.translation import Translation, value_type
from .plan_memory import OFFSET


def encode_segments(segments: Mapping[str, SegmentOp]) -> bytes:
    """The code of segments, by name, whose memory is planned."""
    return write({name: _record(segment) for name, segment in segments.items()})


def _record(segment: SegmentOp) -> SegmentRecord:
    block = Translation().block(segment.body.block)
    for op, record in zip(segment.body.block.ops, block.operations, strict=True):
        if isinstance(op, ConstOp):
            record.attributes = {"offset": cast(IntegerAttr, op.attributes[OFFSET]).value.data}
    return SegmentRecord([value_type(scalar.type).element for scalar in segment.scalars], block)
