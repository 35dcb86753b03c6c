"""The engines that benchmarks compare, each behind the same call.

This file and `worker.py` run in the interpreter of each engine: more than numpy and that engine is not there.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Run = Callable[[Sequence[np.ndarray]], Any]
"""One inference: arrays in the model's order in, a sequence of what `np.asarray` takes out."""


@dataclass(frozen=True)
class Engine:
    """The distribution and module that an engine comes from, and what opens a file for so many threads and such inputs.

    A model of other input sizes is resized for them where the engine can do that.
    """

    distribution: str
    module: str
    open: Callable[[str, int, Sequence[np.ndarray]], Run]

    def version(self) -> str:
        """Imports the engine; raises ImportError where it is not installed."""
        importlib.import_module(self.module)
        return importlib.metadata.version(self.distribution)


def _open_tosaic(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """`path` is an artifact that `deploy -o` wrote."""
    from tosaic.runtime import load

    return load(path, threads=threads).run


def _open_tosaic_bound(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """The arrays of all calls are bound to the program once."""
    from tosaic.runtime import load

    call = load(path, threads=threads).bind(inputs)
    return lambda inputs: call()


def _open_tosaic_streams(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """The samples of a batch one by one, each on one thread."""
    from tosaic.runtime import load

    program = load(path, threads=threads)

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        (batch,) = inputs
        samples = ([batch[place : place + 1]] for place in range(len(batch)))
        return [np.concatenate([result for (result,) in program.map(samples)])]

    return run


def _open_litert(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """With the default resolver, which means XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    return _run_interpreter(Interpreter(model_path=path, num_threads=threads), inputs)


def _open_litert_reference(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """LiteRT's reference kernels: what int8 results have to be."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_path=path, num_threads=threads, experimental_op_resolver_type=resolver)
    return _run_interpreter(interpreter, inputs)


def _run_interpreter(interpreter: Any, inputs: Sequence[np.ndarray]) -> Run:
    sources = interpreter.get_input_details()
    places = [detail["index"] for detail in sources]
    for detail, array in zip(sources, inputs, strict=True):
        if tuple(detail["shape"]) != array.shape:
            interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    results = [detail["index"] for detail in interpreter.get_output_details()]

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        for index, array in zip(places, inputs, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in results]

    return run


def _open_openvino(path: str, threads: int, inputs: Sequence[np.ndarray], precision: str = "f32") -> Run:
    """`path` is a .tflite or .onnx file, which OpenVINO reads itself."""
    import openvino  # pyright: ignore[reportMissingImports]

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    core = openvino.Core()
    model = core.read_model(path)
    if any(tuple(port.shape) != array.shape for port, array in zip(model.inputs, inputs, strict=True)):
        model.reshape({place: list(array.shape) for place, array in enumerate(inputs)})
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        results = request.infer(dict(enumerate(inputs)), share_inputs=True, share_outputs=True)
        return list(results.values())

    return run


def _open_openvino_bf16(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """What OpenVINO does by default where the processor has bf16."""
    return _open_openvino(path, threads, inputs, "bf16")


def _open_openvino_streams(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """OpenVINO's way to a high throughput: the samples of a batch one by one, as many at once as there are threads."""
    import openvino  # pyright: ignore[reportMissingImports]

    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads, "PERFORMANCE_HINT": "THROUGHPUT"}
    core = openvino.Core()
    model = core.compile_model(core.read_model(path), "CPU", settings | {"INFERENCE_PRECISION_HINT": "f32"})
    queue = openvino.AsyncInferQueue(model, 2 * threads)

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        (batch,) = inputs
        results: list[Any] = [None] * len(batch)
        queue.set_callback(lambda request, place: results.__setitem__(place, request.get_output_tensor().data.copy()))
        for place in range(len(batch)):
            queue.start_async({0: batch[place : place + 1]}, place, share_inputs=True)
        queue.wait_all()
        return [np.concatenate(results)]

    return run


def _open_onnxruntime(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [argument.name for argument in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def _open_iree(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """`path` is what `iree-compile` wrote. The inputs are handed over once, before they are timed."""
    import iree.runtime as runtime  # pyright: ignore[reportMissingImports]

    runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
    config = runtime.Config("local-task" if threads > 1 else "local-sync")
    module = runtime.load_vm_module(runtime.VmModule.mmap(config.vm_instance, path), config)
    (name,) = (name for name in module.vm_module.function_names if not name.startswith("__") and "$" not in name)
    function = module[name]
    handed_over: dict[tuple[int, ...], list[Any]] = {}

    def run(inputs: Sequence[np.ndarray]) -> list[Any]:
        key = tuple(map(id, inputs))
        if key not in handed_over:
            handed_over[key] = [runtime.asdevicearray(config.device, array) for array in inputs]
        results = function(*handed_over[key])
        return list(results) if isinstance(results, tuple) else [results]

    return run


def _open_numpy(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """Not a model but the product of the two inputs; i8 goes by i32, as numpy has no product that widens."""

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        left, right = inputs
        if left.dtype == np.int8:
            return [np.matmul(left.astype(np.int32), right.astype(np.int32))]
        return [np.matmul(left, right)]

    return run


def _open_torch(path: str, threads: int, inputs: Sequence[np.ndarray]) -> Run:
    """The product of the two inputs, handed over once; i8 by `torch._int_mm`."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads)
    handed_over: dict[tuple[int, ...], list[Any]] = {}

    def run(inputs: Sequence[np.ndarray]) -> list[Any]:
        key = tuple(map(id, inputs))
        if key not in handed_over:
            handed_over[key] = [torch.from_numpy(array) for array in inputs]
        left, right = handed_over[key]
        with torch.inference_mode():
            return [torch._int_mm(left, right) if left.dtype == torch.int8 else torch.matmul(left, right)]

    return run


ENGINES = {
    "tosaic": Engine("tosaic", "tosaic.runtime.api", _open_tosaic),
    "tosaic_bound": Engine("tosaic", "tosaic.runtime.api", _open_tosaic_bound),
    "tosaic_streams": Engine("tosaic", "tosaic.runtime.api", _open_tosaic_streams),
    "litert": Engine("ai-edge-litert", "ai_edge_litert.interpreter", _open_litert),
    "litert_reference": Engine("ai-edge-litert", "ai_edge_litert.interpreter", _open_litert_reference),
    "openvino": Engine("openvino", "openvino", _open_openvino),
    "openvino_bf16": Engine("openvino", "openvino", _open_openvino_bf16),
    "openvino_streams": Engine("openvino", "openvino", _open_openvino_streams),
    "onnxruntime": Engine("onnxruntime", "onnxruntime", _open_onnxruntime),
    "iree": Engine("iree-base-runtime", "iree.runtime", _open_iree),
    "numpy": Engine("numpy", "numpy", _open_numpy),
    "torch": Engine("torch", "torch", _open_torch),
}
