"""A .tflite model as a benchmark sees it: its class, its relatives, inputs, and what the reference makes of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from .inputs import example_inputs
from .processes import EngineError, EngineProcess
from .worker import load_arrays, save_arrays

F32, INT8, DYNAMIC_RANGE = "f32", "int8", "dynamic range"

_SEEDS = 8
"""Inputs that are tried: LiteRT 2.3.0's reference softmax aborts where a thousand values are nearly equal."""

_WEIGHTED = {
    tflite.BuiltinOperator.CONV_2D,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D,
    tflite.BuiltinOperator.FULLY_CONNECTED,
    tflite.BuiltinOperator.TRANSPOSE_CONV,
}


@dataclass(frozen=True)
class Subject:
    """One model. `folder` keeps what is made of it once: inputs and the reference's results."""

    path: Path
    folder: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def digest(self) -> str:
        """Of the file's content."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]

    @property
    def twin(self) -> str | None:
        """The same model in f32, of a file named after its kind, such as x_f32.tflite beside x_int8.tflite."""
        stem, _, kind = self.name.rpartition("_")
        twin = f"{stem}_f32"
        return twin if kind != "f32" and self.path.with_name(f"{twin}.tflite").exists() else None

    @property
    def onnx(self) -> Path | None:
        """The .onnx file of the same model in f32, beside a model in f32."""
        path = self.path.with_name(f"{self.name.removesuffix('_f32')}.onnx")
        return path if self.kind == F32 and path.exists() else None

    @cached_property
    def kind(self) -> str:
        """f32, int8 or dynamic range (weights int8, activations f32): what most convolutions and products are."""
        model: Any = tflite.Model.GetRootAs(self.path.read_bytes(), 0)
        graph = model.Subgraphs(0)
        kinds: Counter[str] = Counter()
        for number in range(graph.OperatorsLength()):
            operator = graph.Operators(number)
            code = model.OperatorCodes(operator.OpcodeIndex())
            if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) in _WEIGHTED:
                # The image is input 0, or for TRANSPOSE_CONV input 2; weights are input 1.
                image = 2 if code.BuiltinCode() == tflite.BuiltinOperator.TRANSPOSE_CONV else 0
                types = [graph.Tensors(operator.Inputs(place)).Type() for place in (image, 1)]
                quantized = [type == tflite.TensorType.INT8 for type in types]
                kinds[INT8 if quantized[0] else DYNAMIC_RANGE if quantized[1] else F32] += 1
        return kinds.most_common(1)[0][0] if kinds else F32

    @property
    def inputs(self) -> Path:
        """The file of its inputs, by position, once `reference` was asked for."""
        return self.folder / f"{self.digest}-inputs.npz"

    def reference(self, python: str) -> list[np.ndarray]:
        """What LiteRT's reference kernels make of the inputs. Raises EngineError where LiteRT cannot run the model."""
        path = self.folder / f"{self.digest}-reference.npz"
        for seed in range(_SEEDS):
            if path.exists() and self.inputs.exists():
                break
            save_arrays(self.inputs, example_inputs(self.path, seed))
            try:
                with EngineProcess("litert_reference", python, self.path, 1, self.inputs) as process:
                    process.ready().outputs(path)
            except EngineError:
                if seed == _SEEDS - 1:
                    raise
        return load_arrays(path)
