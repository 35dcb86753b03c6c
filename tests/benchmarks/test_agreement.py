"""When an engine's results count as those of the model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.agreement import differences, is_correct, is_equal

REFERENCE = np.linspace(-1, 1, 101, dtype=np.float32)


def test_the_error_is_relative_to_the_spread_about_the_mean() -> None:
    offset = np.float32(1000)
    found = differences([REFERENCE + offset + np.float32(0.125)], [REFERENCE + offset])
    assert found["error"] == pytest.approx(0.125 / np.std(REFERENCE), rel=1e-3)
    assert "steps" not in found


def test_equal_results_have_no_error() -> None:
    assert differences([REFERENCE], [REFERENCE]) == {"error": 0.0}
    constant = np.full(4, 3, np.int8)
    assert differences([constant], [constant]) == {"error": 0.0, "steps": 0.0}


def test_outputs_may_come_in_another_order_and_shape() -> None:
    boxes, scores = np.arange(12.0).reshape(1, 3, 4), np.arange(12.0)[::-1].reshape(3, 4)
    assert differences([scores, boxes[0]], [boxes, scores]) == {"error": 0.0}


def test_a_missing_output_or_one_that_is_no_number_is_infinitely_wrong() -> None:
    assert differences([REFERENCE[1:]], [REFERENCE])["error"] == math.inf
    assert differences([REFERENCE * np.float32(np.nan)], [REFERENCE])["error"] == math.inf


@pytest.mark.parametrize(
    ("engine", "kind", "correct"),
    [
        ({"times": {}, "error": 1e-5}, "f32", True),
        ({"times": {}, "error": 0.02}, "f32", False),
        ({"times": {}, "error": 0.1}, "bf16", True),
        ({"times": {}, "error": 1.8, "steps": 90.0}, "int8", False),
        ({"times": {}, "error": 0.9, "steps": 2.0}, "int8", True),  # few distinct values, all nearly right
        ({"times": {}}, "f32", True),  # nothing to compare with
        ({"refused": "no such operator"}, "f32", False),
    ],
)
def test_limits(engine: dict[str, object], kind: str, correct: bool) -> None:
    assert is_correct(engine, kind) == correct


def test_equality_is_of_every_bit() -> None:
    left = np.array([1, 2, 3], np.int8)
    assert is_equal([left], [left.copy()])
    assert not is_equal([left], [left + np.int8(1)])
    assert not is_equal([left, left], [left])
