"""How far a program in reduced precision is from the same program in full, on sample inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .api import load
from .artifact import Artifact
from .errors import TosaicError
from .measure import example_inputs

Array = npt.NDArray[Any]

_SAMPLES = 3


def describe_error(reduced: Artifact, full: Artifact) -> str:
    """The relative error of each function of `reduced` beside `full`, in words.

    Where this machine cannot run them, as for another architecture, it says so.
    """
    try:
        errors = relative_errors(reduced, full)
    except TosaicError as error:
        return f"error not measured: {error}"
    told = [f"{name} {value:.1e}" if len(errors) > 1 else f"{value:.1e}" for name, value in errors.items()]
    return f"relative error {', '.join(told)} beside f32 on {_SAMPLES} random inputs"


def relative_errors(reduced: Artifact, full: Artifact) -> dict[str, float]:
    """For each function the norm of the difference of its worst output, relative to that of the output in `full`.

    Inputs are those of `measure.example_inputs`. Raises TosaicError for what keeps the programs from running.
    """
    found = {}
    with load(reduced, threads=1) as first, load(full, threads=1) as second:
        for name, function in first.signatures.items():
            samples = [example_inputs(function.inputs, seed) for seed in range(_SAMPLES)]
            pairs = [(function.run(sample), second.signatures[name].run(sample)) for sample in samples]
            found[name] = max((_distance(*pair) for pair in pairs), default=0.0)
    return found


def _distance(results: Sequence[Array], exact: Sequence[Array]) -> float:
    distances = [0.0]
    for result, reference in zip(results, exact, strict=True):
        if reference.dtype.kind == "f":
            wide = reference.astype(np.float64)
            norm = float(np.linalg.norm(wide.ravel()))
            distances.append(float(np.linalg.norm((result - wide).ravel())) / (norm or 1.0))
    return max(distances)
