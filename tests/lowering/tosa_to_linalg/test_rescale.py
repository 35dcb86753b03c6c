from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.tosa import dialect as tosa
from tosaic.tosa.elements import element_type_of
from xdsl.dialects.builtin import IntegerType

from .equivalence import Constant, build, check_exact, integers, lowered, seeds, zero_point


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([np.int8, np.int16, np.int32]),
    st.sampled_from([np.int8, np.int16, np.int32]),
    st.sampled_from(["SINGLE_ROUND", "DOUBLE_ROUND", "INEXACT_ROUND"]),
    st.booleans(),
    st.integers(20, 45),
    seeds,
)
def test_rescale(source: type, target: type, rounding: str, per_channel: bool, shift: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    channels = 5 if per_channel else 1
    values = integers(seed, source, 3, 5)
    if source is np.int32:
        values >>= 10
    zero_points = [int(generator.integers(-128, 127)) if kind is np.int8 else 0 for kind in (source, target)]
    operands = [
        values,
        Constant(generator.integers(1 << 30, (1 << 31) - 1, channels, np.int32)),
        Constant(np.full(channels, max(shift, 33 if source is np.int32 else 20), np.int8)),
        zero_point(zero_points[0], source),
        zero_point(zero_points[1], target),
    ]
    check_exact(
        operands,
        lambda *v: tosa.RescaleOp(
            *v,
            scale32=True,
            rounding_mode=rounding,
            per_channel=per_channel,
            input_unsigned=False,
            output_unsigned=False,
            element_type=element_type_of(np.dtype(target)),
        ),
    )


@pytest.mark.parametrize(("input_unsigned", "output_unsigned"), [(True, False), (False, True)])
def test_unsigned_bytes(input_unsigned: bool, output_unsigned: bool) -> None:
    operands = [
        np.arange(-128, 128).astype(np.int8),
        Constant(np.array([1 << 30], np.int32)),
        Constant(np.array([30], np.int8)),
        zero_point(-128 if input_unsigned else 0, np.int8),
        zero_point(-128 if output_unsigned else 0, np.int8),
    ]
    check_exact(operands, lambda *values: _rescale(values, input_unsigned, output_unsigned))


def _rescale(values: Any, input_unsigned: bool, output_unsigned: bool) -> tosa.RescaleOp:
    return tosa.RescaleOp(
        *values,
        scale32=True,
        rounding_mode="SINGLE_ROUND",
        per_channel=False,
        input_unsigned=input_unsigned,
        output_unsigned=output_unsigned,
        element_type=IntegerType(8),
    )


def test_a_scale_of_16_bits() -> None:
    operands = [
        integers(1, np.int16, 40),
        Constant(np.array([20000], np.int16)),
        Constant(np.array([17], np.int8)),
        zero_point(0, np.int16),
        zero_point(0, np.int16),
    ]
    check_exact(
        operands,
        lambda *values: tosa.RescaleOp(
            *values,
            scale32=False,
            rounding_mode="SINGLE_ROUND",
            per_channel=False,
            input_unsigned=False,
            output_unsigned=False,
            element_type=IntegerType(16),
        ),
    )


def test_one_scale_is_a_scalar_of_the_body() -> None:
    operands = [
        integers(2, np.int8, 4, 3),
        Constant(np.array([1 << 30], np.int32)),
        Constant(np.array([31], np.int8)),
        zero_point(1, np.int8),
        zero_point(2, np.int8),
    ]
    (generic,) = (
        op
        for op in lowered(build(operands, lambda *values: _rescale(values, False, False))).walk()
        if op.name == "linalg.generic"
    )
    assert len(generic.operands) == 2
