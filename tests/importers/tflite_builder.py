"""Builds small TFLite models in memory, and runs them in LiteRT and in our importer with the TOSA interpreter.

model = ModelBuilder()
x = model.tensor(np.int8, [1, 4, 4, 2], scale=0.5, zero_point=3)
y = model.tensor(np.int8, [1, 2, 2, 2], scale=0.5, zero_point=3)
model.operator("MAX_POOL_2D", [x], [y], schema.Pool2DOptionsT(padding=1, strideW=2, ...))
assert_same(model.build([x], [y]), [array])                    # bit for bit what BUILTIN_REF computes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import tosaic.importers
import tosaic.tosa
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Array = np.ndarray[Any, Any]

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}


class ModelBuilder:
    """One subgraph of tensors and operators, both told by the index that `tensor` and the order of calls give."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name="main")
        self.model = schema.ModelT(
            version=3, operatorCodes=[], subgraphs=[self.graph], description="", buffers=[schema.BufferT()]
        )

    def tensor(
        self,
        dtype: Any,
        shape: Sequence[int],
        scale: float | Sequence[float] | None = None,
        zero_point: int | Sequence[int] = 0,
        axis: int = 0,
        name: str | None = None,
        data: Array | None = None,
    ) -> int:
        """A tensor; -1 in `shape` declares a dynamic dimension, `data` makes it a constant."""
        tensor = schema.TensorT(
            shape=[max(dim, 1) for dim in shape],
            type=_TYPES[np.dtype(dtype)],
            name=name or f"tensor{len(self.graph.tensors)}",
            hasRank=True,
        )
        if -1 in shape:
            tensor.shapeSignature = list(shape)
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            zero_points = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape)
            tensor.quantization = schema.QuantizationParametersT(
                scale=scales.tolist(), zeroPoint=zero_points.tolist(), quantizedDimension=axis
            )
        if data is not None:
            tensor.buffer = len(self.model.buffers)
            raw = np.ascontiguousarray(data, dtype)
            self.model.buffers.append(schema.BufferT(data=raw.reshape(-1).view(np.uint8)))
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, data: Any, dtype: Any = np.int32, **named: Any) -> int:
        array = np.asarray(data, dtype)
        return self.tensor(dtype, array.shape, data=array, **named)

    def operator(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None, version: int = 1
    ) -> None:
        """Append an operator; `options` is the options table of the schema's object API, such as PadOptionsT()."""
        code = getattr(schema.BuiltinOperator, name)
        self.model.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=version)
        )
        operator = schema.OperatorT(
            opcodeIndex=len(self.model.operatorCodes) - 1, inputs=list(inputs), outputs=list(outputs)
        )
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.graph.operators.append(operator)

    def signature(self, name: str, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        """Name an entry point of the subgraph, and its inputs and outputs."""
        maps = [[schema.TensorMapT(name=k, tensorIndex=v) for k, v in side.items()] for side in (inputs, outputs)]
        definition = schema.SignatureDefT(inputs=maps[0], outputs=maps[1], signatureKey=name, subgraphIndex=0)
        self.model.signatureDefs = [*(self.model.signatureDefs or []), definition]

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def single_operator(
    name: str,
    inputs: Sequence[tuple[Array, dict[str, Any]] | Array],
    output: tuple[Any, dict[str, Any]] | Any,
    options: Any = None,
    *,
    constants: Sequence[int] = (),
    outputs: int = 1,
    version: int = 1,
) -> tuple[bytes, list[Array]]:
    """A model of one operator, and the arrays to run it with.

    `inputs` are example operands with their quantisation as keywords of `ModelBuilder.tensor`; those at the positions
    `constants` become constants. `output` is the result's dtype with its quantisation; LiteRT computes its shape.
    """
    model = ModelBuilder()
    operands, arrays, arguments = [], [], []
    for position, entry in enumerate(inputs):
        array, quantization = entry if isinstance(entry, tuple) else (entry, {})
        constant = position in constants
        operands.append(model.tensor(array.dtype, array.shape, data=array if constant else None, **quantization))
        if not constant:
            arguments.append(operands[-1])
            arrays.append(array)
    dtype, quantization = output if isinstance(output, tuple) else (output, {})
    results = [model.tensor(dtype, [], **quantization) for _ in range(outputs)]
    model.operator(name, operands, results, options, version)
    return model.build(arguments, results), arrays


def run_reference(model: bytes, inputs: Sequence[Array]) -> list[Array]:
    """What LiteRT's reference kernels compute."""
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]


def run_imported(model: bytes, inputs: Sequence[Array], function: str = "main") -> list[Array]:
    """What the imported TOSA module means. uint8 arrays are passed and returned as the signless bits they are."""
    module = tosaic.importers.import_model(model)
    signless = [array.view(np.int8) if array.dtype == np.uint8 else array for array in inputs]
    return tosaic.tosa.evaluate(module, function, signless)


def assert_same(model: bytes, inputs: Sequence[Array], tolerance: float = 0.0) -> None:
    """Our results equal LiteRT's: bit for bit, or floats within `tolerance` relative to the largest one."""
    for ours, reference in zip(run_imported(model, inputs), run_reference(model, inputs), strict=True):
        if reference.dtype == np.uint8:
            ours = ours.view(np.uint8)
        assert ours.dtype == reference.dtype
        assert ours.shape == reference.shape
        if tolerance:
            largest = float(np.max(np.abs(reference), initial=1e-30))
            np.testing.assert_allclose(ours, reference, rtol=0, atol=tolerance * largest)
        else:
            np.testing.assert_array_equal(ours, reference)
