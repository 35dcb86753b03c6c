"""How long a dispatch will take on a device: a roofline over the device's rates.

    seconds = dispatch + max(products / product rate + windows / window rate + others / loop rate, bytes / bandwidth)

Rates are measured once for each device of this machine (`runtime/calibration.py`) and handed to the compiler. Where
they are not, nominal ones stand in, which only say which device is the faster one. A size that only a call knows counts
as `UNKNOWN_SIZE`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType
from xdsl.dialects.linalg.ops import GenericOp, YieldOp
from xdsl.ir import Operation, SSAValue

from ...runtime.device import DeviceSpec
from ...runtime.rates import Rates
from ...tosa.elements import numpy_dtype
from ..cost import arithmetic_dtype
from ..dialects import tiled
from ..dialects.dispatch import RegionOp
from ..dialects.linalg import BatchMmt4dOp, Mmt4dOp, NamedOp, PlainContraction
from ..dialects.linalg.base import loop_extents
from ..ir import shape_of, tensor_type
from ..target import Target

UNKNOWN_SIZE = 256
"""What an unknown size is taken for: any number does that is neither tiny nor huge."""

_NOMINAL_CLOCK = 2.5e9
"""Cycles per second of no particular machine."""

_INTERPRETED = 1e9
"""Operations per second of numpy, roughly."""


def seconds(region: RegionOp, rates: Rates) -> float:
    """The predicted time of one execution of `region` on a device with `rates`."""
    return rates.seconds(*work(region), bytes_moved(region), arithmetic_dtype(region))


def work(region: RegionOp) -> tuple[int, int, int]:
    """(multiplications and additions of contractions, of windows, scalar operations of everything else)."""
    products = windows = other = 0
    for op in region.body.block.ops:
        if isinstance(op, PlainContraction | tiled.MatmulOp | tiled.Conv2DOp | Mmt4dOp | BatchMmt4dOp):
            products += 2 * _iterations(op)
        elif isinstance(op, GenericOp):
            scalars = sum(
                not isinstance(inner, YieldOp) and inner.name != "arith.constant" for inner in op.body.block.ops
            )
            other += scalars * _iterations(op)
        elif isinstance(op, NamedOp):
            windows += 2 * _iterations(op)
    return products, windows, other


def bytes_moved(region: RegionOp) -> int:
    """Bytes of all operands and results."""
    return sum(
        size_in_bytes(value) for value in (*region.inputs, *region.outputs) if isinstance(value.type, TensorType)
    )


def size_in_bytes(value: SSAValue) -> int:
    """Bytes of a tensor, unknown sizes taken for `UNKNOWN_SIZE`."""
    return prod(_sizes(value)) * numpy_dtype(tensor_type(value).get_element_type()).itemsize


def nominal_rates(spec: DeviceSpec, target: Target) -> Rates:
    """Rates by what `target` and the number of threads promise; numpy's for a device without machine code."""
    if not target.vector_bits:
        return Rates({"float32": _INTERPRETED}, _INTERPRETED / 10, {"float32": _INTERPRETED / 10}, 1e9, 20e-6, 20e-6)
    threads = spec.threads or len(os.sched_getaffinity(0))
    lanes = target.vector_bits / 32
    contraction = {"float32": 4 * lanes, "float64": 2 * lanes, "int8": (16 if target.vnni else 4) * lanes}
    contraction["bfloat16"] = (8 if target.bf16 else 2) * lanes
    return Rates(
        {dtype: per_cycle * _NOMINAL_CLOCK * threads for dtype, per_cycle in contraction.items()},
        lanes * _NOMINAL_CLOCK * threads,
        {"float32": lanes * _NOMINAL_CLOCK * threads},
        10e9,
        1e-6,
        20e-6,
    )


def _iterations(op: Operation) -> int:
    if isinstance(op, tiled.MatmulOp):
        return prod(_sizes(op.result)) * _sizes(op.lhs)[-1]
    if isinstance(op, tiled.Conv2DOp):
        return prod(_sizes(op.result)) * prod(op.kernel.get_values()) * _sizes(op.image)[-1]
    if isinstance(op, GenericOp):
        maps = [attribute.data for attribute in op.indexing_maps]
        extents = loop_extents(op, maps, len(op.iterator_types))
    else:
        assert isinstance(op, NamedOp)
        extents = op.iteration_sizes()
    return prod(_assumed(extents))


def _sizes(value: SSAValue) -> list[int]:
    return _assumed(shape_of(value))


def _assumed(sizes: Sequence[int]) -> list[int]:
    return [UNKNOWN_SIZE if size == DYNAMIC_INDEX else size for size in sizes]
