"""Whether an engine computes what the model says: its results beside those of LiteRT's reference kernels.

A figure of an engine that computes something else is not one to be compared with. How far apart results are is their
relative error: the root of the mean square of the differences, over the reference's own root mean square about its
mean (so that a constant offset, which softmax outputs are full of, does not hide anything). The limits are between
what rounding does and what mistakes do:

- f32: every engine sums in its own order, and IREE's polynomials put 1e-3 into BERT; wrong is from 1e-2 on.
- int8 and dynamic range: engines that round their own way flip last bits, which a network of many layers amplifies
  (XNNPACK agrees with LiteRT's own kernels in 38 % of a U-Net's outputs). An engine is wrong from 0.5 on, where more
  than a quarter of the result's variance is error. Integers of which none differs by more than two steps are right all
  the same: a thousand classes may share a handful of them.
- bf16: 8 bits of mantissa are what was asked for. An engine is wrong from 1 on, where nothing of the result is left.

Our own int8 results have to be equal bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LIMITS = {"f32": 1e-2, "bf16": 1.0, "int8": 0.5, "dynamic range": 0.5}
"""Of the relative error, by class."""
STEPS = 2
"""By which integers may differ."""


def differences(results: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> dict[str, float]:
    """The greatest relative "error" of all outputs, and where all are integers the greatest difference in "steps".

    The error is infinite where an output of the right size is missing or a number is none. Peers may name and order
    outputs their own way, and drop sizes of 1: each of the reference's is compared with the nearest of its size.
    """
    nearest = [_nearest(results, np.asarray(wanted)) for wanted in reference]
    found = {"error": max(error for error, _ in nearest)}
    if all(np.asarray(wanted).dtype.kind in "iu" for wanted in reference):
        found["steps"] = max(steps for _, steps in nearest)
    return found


def is_correct(engine: Mapping[str, Any], kind: str) -> bool:
    """Whether the differences of a measured engine are within the limits of the class; without a reference they are."""
    error, steps = engine.get("error", 0.0), engine.get("steps", float("inf"))
    return "times" in engine and (error <= LIMITS[kind] or steps <= STEPS)


def is_equal(results: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> bool:
    """Bit for bit, in order."""
    return len(results) == len(reference) and all(map(np.array_equal, results, reference))


def _nearest(results: Sequence[np.ndarray], wanted: np.ndarray) -> tuple[float, float]:
    """The error and the greatest difference of the result with as many elements that is nearest."""
    flat = wanted.astype(np.float64).ravel()
    same = [np.asarray(result, np.float64).ravel() for result in results if np.size(result) == flat.size]
    return min((_compare(result, flat) for result in same), default=(float("inf"), float("inf")))


def _compare(result: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    if not np.isfinite(result).all():
        return float("inf"), float("inf")
    difference = np.abs(result - wanted)
    spread = float(np.std(wanted)) or float(np.abs(wanted).max()) or 1.0
    return float(np.sqrt(np.mean(difference**2))) / spread, float(difference.max())
