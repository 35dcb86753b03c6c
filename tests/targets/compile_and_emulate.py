"""Another architecture as the system under test of third-party suites: `compile_and_run.py` under qemu-user.

TOSAIC_TARGET names the target, such as "neoverse-v1".
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import tosaic.importers
import tosaic.lowering
import tosaic.tosa
from tosaic.lowering.target import resolve_target
from tosaic.runtime.errors import UnsupportedError

from tests.targets.device import run_emulated
from tests.targets.emulator import EmulatorError

TARGET = resolve_target(os.environ["TOSAIC_TARGET"])


def run(model_path: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of the first signature in the model's order, as LiteRT's interpreter gives them."""
    path = Path(model_path)
    try:
        if path.suffix == ".tosa":
            module = tosaic.tosa.read(path)
        else:
            module = tosaic.importers.import_model(path, shapes=[array.shape for array in inputs])
        artifact = tosaic.lowering.compile(module, devices=["cpu:1"], target=TARGET)
    except UnsupportedError as error:
        raise NotImplementedError(str(error)) from None
    try:
        return run_emulated(artifact, TARGET, inputs)
    except EmulatorError as error:
        raise NotImplementedError(str(error)) from None
