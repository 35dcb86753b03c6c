"""Tosaic as the system under test of third-party suites: a `.tflite` or `.tosa` and its inputs to its outputs.

Through every stage to the machine code of this CPU, or of the device that `TOSAIC_DEVICE` names. `run` raises
NotImplementedError for what is valid but not supported, which the runner counts as skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tosaic.importers
import tosaic.lowering
import tosaic.runtime
import tosaic.tosa
from tosaic.runtime.errors import UnsupportedError


def run(model_path: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of the first signature in the model's order, as LiteRT's interpreter gives them.

    A .tflite whose inputs are not of the declared shapes is imported for theirs.
    """
    path = Path(model_path)
    try:
        if path.suffix == ".tosa":
            module = tosaic.tosa.read(path)
        else:
            module = tosaic.importers.import_model(path, shapes=[array.shape for array in inputs])
        artifact = tosaic.lowering.compile(module, devices=[os.environ.get("TOSAIC_DEVICE", "cpu:1")])
    except UnsupportedError as error:
        raise NotImplementedError(str(error)) from None
    with tosaic.runtime.load(artifact) as program:
        return program.function(artifact.signatures[0].name).run(inputs)
