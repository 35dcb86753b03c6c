"""Our importer and the TOSA interpreter as the system under test of third-party suites, without any lowering.

`run` raises NotImplementedError for what is valid but not supported, which the runner counts as skipped.
"""

from __future__ import annotations

import numpy as np
import tosaic.importers
import tosaic.tosa
from tosaic.runtime.errors import UnsupportedError
from xdsl.dialects.func import FuncOp


def run(model_path: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs in the model's order; inputs whose shapes are not the declared ones are imported for."""
    try:
        module = tosaic.importers.import_model(model_path, shapes=[array.shape for array in inputs])
        function = next(op for op in module.ops if isinstance(op, FuncOp))
        signless = [array.view(np.int8) if array.dtype == np.uint8 else array for array in inputs]
        results = tosaic.tosa.evaluate(module, function.sym_name.data, signless)
    except UnsupportedError as error:
        raise NotImplementedError(str(error)) from None
    attributes = function.res_attrs.data if function.res_attrs else []
    unsigned = ["ml_program.unsigned" in attribute.data for attribute in attributes]
    return [array.view(np.uint8) if flag else array for array, flag in zip(results, unsigned, strict=True)]
