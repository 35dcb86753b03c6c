"""How fast the devices of this machine are, measured once and kept.

A few small programs are compiled for a device and timed on it: a matrix product of each element type, a depthwise
convolution, element-wise arithmetic in the cache and beyond it, the least there is, and two devices that wait for each
other. It takes some seconds; what comes out lies in the cache folder (see `cache`) as JSON, one file for each device,
instruction set and CPU.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .atomic import atomic_write
from .cache import default_folder
from .cpu_features import host_features, host_name
from .device_spec import DeviceSpec
from .errors import TosaicError
from .rates import NOMINAL, Rates

if TYPE_CHECKING:
    from ..lowering.target import Target
    from .api import Program
    from .measure import Profile, StepProfile

_VERSION = 2
"""Of the programs below and what is made of their times."""

_SIDE = 384
"""Of the matrices that are multiplied: enough for the arithmetic to outweigh everything else."""

_RUNS, _FEW_RUNS = 15, 2
_LONG = 10e-3
"""Runs of a program, and of one that takes longer than so many seconds."""

_PRODUCTS = {"float32": ("f32", "f32"), "float64": ("f64", "f64"), "bfloat16": ("bf16", "f32")}
_PRODUCTS |= {"float16": ("f16", "f32"), "int8": ("i8", "i32")}
"""dtype -> the types of operands and sums in MLIR."""

_CHAIN = 16
"""Operations that one element goes through in the cache."""


_DEPTHWISE = """
func.func @main(%x: tensor<1x28x28x128xf32>) -> tensor<1x28x28x128xf32> {
  %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %bias = "tosa.const"() <{values = dense<0.5> : tensor<128xf32>}> : () -> tensor<128xf32>
  %w = "tosa.const"() <{values = dense<0.5> : tensor<3x3x128x1xf32>}> : () -> tensor<3x3x128x1xf32>
  %y = "tosa.depthwise_conv2d"(%x, %w, %bias, %zero, %zero) <{pad = array<i64: 1, 1, 1, 1>,
    stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>, acc_type = f32}> : (tensor<1x28x28x128xf32>,
    tensor<3x3x128x1xf32>, tensor<128xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x28x28x128xf32>
  return %y : tensor<1x28x28x128xf32>
}"""


def measured_rates(spec: DeviceSpec, target: Target, folder: Path | None = None) -> Rates:
    """The rates of a device whose code is made for `target`, from the cache or measured now, which takes seconds.

    A simulated device has those of what it simulates.

    folder: of the cache, by default the user's. Raises DeviceError where the machine cannot run it.
    """
    path = _path(spec.kind, spec.threads, target.name, folder)
    known = NOMINAL.get(spec.kind) or _read(path)
    if known is None:
        known = _measure(spec, target)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as stream:
                stream.write(json.dumps(asdict(known), indent=1).encode())
    return known


def known_rates(spec: DeviceSpec, target: str, folder: Path | None = None) -> Rates | None:
    """What was measured before of a device with code for the target of that name."""
    return NOMINAL.get(spec.kind) or _read(_path(spec.kind, spec.threads, target, folder))


def rates_of(program: Program, folder: Path | None = None) -> dict[str, Rates]:
    """The rates of the devices of a loaded program, by name, as far as they are known or the compiler can be asked."""
    rates: dict[str, Rates] = {}
    for slot, image in zip(program.artifact.devices, program.variant.images, strict=True):
        spec = DeviceSpec(slot.kind, slot.threads or None)
        known = known_rates(spec, image.target, folder) or _measured_if_possible(spec, image.target, folder)
        if known is not None:
            rates[slot.name] = known
    return rates


def _measured_if_possible(spec: DeviceSpec, target: str, folder: Path | None) -> Rates | None:
    try:
        from ..lowering.target import resolve_target
        from ..lowering.targets.devices import device_targets

        host = resolve_target("host")
        chosen = host if target == host.name else resolve_target(target) if spec.kind == "cpu" else host
        return measured_rates(spec, device_targets([spec], chosen)[spec.name], folder)
    except (ImportError, TosaicError):
        return None


def _path(kind: str, threads: int | None, target: str, folder: Path | None) -> Path:
    machine = [_VERSION, kind, threads, target, host_name(), sorted(host_features())]
    key = hashlib.sha256(json.dumps(machine).encode()).hexdigest()[:32]
    return (folder or default_folder()) / f"rates-{key}.json"


def _read(path: Path) -> Rates | None:
    try:
        return Rates(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _measure(spec: DeviceSpec, target: Target) -> Rates:
    contraction: dict[str, float] = {}
    for dtype, types in _PRODUCTS.items():
        try:
            contraction[dtype] = _rate(spec, target, _product(*types), "matmul")
        except TosaicError:  # the device does not multiply this type
            if dtype == "float32":
                raise
    window = _rate(spec, target, _DEPTHWISE, "depthwise")
    chain = _rate(spec, target, _chain("128x128xf32", _CHAIN), "")
    traffic = _seconds(spec, target, _chain("2048x1024xf32", 1))
    least = _seconds(spec, target, _chain("16xf32", 1))
    return Rates(contraction, window, {"float32": chain}, 3 * 4 * 2048 * 1024 / traffic, least, _handover(spec, target))


def _rate(spec: DeviceSpec, target: Target, text: str, kind: str) -> float:
    """Scalar operations per second of the only dispatch whose description begins with `kind`."""
    (step,) = [step for step in _profiled(spec, target, text).steps if _is_kind(step.step.description, kind)]
    return step.step.flops / _least(step)


def _is_kind(description: str, kind: str) -> bool:
    return kind in description.split(" ")[0] or (kind == "matmul" and "mmt4d" in description)


def _seconds(spec: DeviceSpec, target: Target, text: str) -> float:
    """The least time of the only dispatch of a program."""
    (step,) = _profiled(spec, target, text).steps
    return _least(step)


def _least(step: StepProfile) -> float:
    """Seconds of the fastest run, or what the clock can just tell."""
    runs = [float((times[..., 1] - times[..., 0]).max(axis=1).sum()) for times in step.seconds]
    return max(min(runs), 1e-7)


def _profiled(spec: DeviceSpec, target: Target, text: str) -> Profile:
    from ..lowering import compile
    from ..tosa.text import parse
    from .api import load
    from .measure import example_inputs, profile

    with load(compile(parse(text, "calibration"), [str(spec)], target)) as program:
        inputs = example_inputs(program.inputs)
        begin = time.perf_counter()
        program.run(inputs)
        is_long = time.perf_counter() - begin > _LONG
        return profile(program.main.executor, inputs, _FEW_RUNS if is_long else _RUNS)


def _handover(spec: DeviceSpec, target: Target) -> float:
    """Seconds per change of device, when two of them take turns on next to nothing."""
    from ..lowering import compile
    from ..tosa.text import parse
    from .api import load
    from .measure import example_inputs

    changes = 6
    lines = [
        f"  %{n + 1} = arith.addf %{n}, %{n} {{device.affinity = @{'ab'[n % 2]}}} : tensor<16xf32>"
        for n in range(changes)
    ]
    text = "\n".join(
        [
            f'device.declare @a = "{spec}"',
            f'device.declare @b = "{spec}"',
            "func.func @main(%0: tensor<16xf32>) -> tensor<16xf32> {",
            *lines,
            f"  return %{changes} : tensor<16xf32>",
            "}",
        ]
    )
    with load(compile(parse(text, "calibration"), target=target)) as program:
        inputs = example_inputs(program.inputs)
        times = []
        for _ in range(10 * _RUNS):
            begin = time.perf_counter()
            program.run(inputs)
            times.append(time.perf_counter() - begin)
    return min(times) / changes


def _product(element: str, sum: str) -> str:
    operand, result = f"tensor<{_SIDE}x{_SIDE}x{element}>", f"tensor<{_SIDE}x{_SIDE}x{sum}>"
    zero = "0" if sum.startswith("i") else "0.0"
    return f"""
func.func @main(%lhs: {operand}, %rhs: {operand}) -> {result} {{
  %zero = arith.constant {zero} : {sum}
  %empty = tensor.empty() : {result}
  %zeros = linalg.fill ins(%zero : {sum}) outs(%empty : {result}) -> {result}
  %product = linalg.matmul ins(%lhs, %rhs : {operand}, {operand}) outs(%zeros : {result}) -> {result}
  return %product : {result}
}}"""


def _chain(type: str, length: int) -> str:
    """`length` operations on each element of two tensors."""
    lines = [f"func.func @main(%0: tensor<{type}>, %y: tensor<{type}>) -> tensor<{type}> {{"]
    for number in range(length):
        operation = "mulf" if number % 2 else "addf"
        lines.append(f"  %{number + 1} = arith.{operation} %{number}, %y : tensor<{type}>")
    return "\n".join([*lines, f"  return %{length} : tensor<{type}>", "}"])
