"""Whether two devices are faster than the better one alone: python -m benchmarks.devices

One big matrix product, a convolution and a batch of them are compiled for each of two CPU devices of different
instruction sets, one thread each, and for both, where they are split by what was measured of the devices. The rounds of
the three take turns, so that what disturbs the machine disturbs all; the times are the medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import typer
from tosaic.lowering import compile
from tosaic.lowering.target import resolve_target
from tosaic.runtime import load
from tosaic.runtime.api import Program
from tosaic.runtime.calibration import measured_rates, rates_of
from tosaic.runtime.measure import example_inputs
from tosaic.runtime.plan import make_plan
from tosaic.runtime.report import LEFT, RIGHT, format_table
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import ModuleOp

_MATMUL = """
func.func @main(%x: tensor<{m}x{k}x{element}>, %w: tensor<{k}x{n}x{element}>) -> tensor<{m}x{n}x{sum}> {{
  %zero = arith.constant {zero} : {sum}
  %empty = tensor.empty() : tensor<{m}x{n}x{sum}>
  %zeros = linalg.fill ins(%zero : {sum}) outs(%empty : tensor<{m}x{n}x{sum}>) -> tensor<{m}x{n}x{sum}>
  %y = linalg.matmul ins(%x, %w : tensor<{m}x{k}x{element}>, tensor<{k}x{n}x{element}>)
      outs(%zeros : tensor<{m}x{n}x{sum}>) -> tensor<{m}x{n}x{sum}>
  return %y : tensor<{m}x{n}x{sum}>
}}"""

_CONV = """
func.func @main(%x: tensor<{n}x{s}x{s}x{c}xf32>) -> tensor<{n}x{s}x{s}x{f}xf32> {{
  %zero = "tosa.const"() <{{values = dense<0.0> : tensor<1xf32>}}> : () -> tensor<1xf32>
  %bias = "tosa.const"() <{{values = dense<0.0> : tensor<{f}xf32>}}> : () -> tensor<{f}xf32>
  %w = "tosa.const"() <{{values = dense<0.5> : tensor<{f}x3x3x{c}xf32>}}> : () -> tensor<{f}x3x3x{c}xf32>
  %y = tosa.conv2d %x, %w, %bias, %zero, %zero {{pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>,
    dilation = array<i64: 1, 1>, acc_type = f32}} : (tensor<{n}x{s}x{s}x{c}xf32>, tensor<{f}x3x3x{c}xf32>,
    tensor<{f}xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<{n}x{s}x{s}x{f}xf32>
  return %y : tensor<{n}x{s}x{s}x{f}xf32>
}}"""

_CASES = {
    "matmul 1024x1024x1024 f32": _MATMUL.format(m=1024, k=1024, n=1024, element="f32", sum="f32", zero="0.0"),
    "matmul 1024x1024x1024 i8": _MATMUL.format(m=1024, k=1024, n=1024, element="i8", sum="i32", zero="0"),
    "conv 3x3 1x56x56x64 to 128 f32": _CONV.format(n=1, s=56, c=64, f=128),
    "conv 3x3 8x28x28x64 to 64 f32": _CONV.format(n=8, s=28, c=64, f=64),
}


def main(
    devices: Annotated[str, typer.Option(help="Two CPU devices.")] = "cpu@x86-64-v4:1,cpu@x86-64-v3:1",
    rounds: Annotated[int, typer.Option(help="Of each program.")] = 40,
) -> None:
    """Print, for each case, the times alone and together, and what was predicted of the shares."""
    names = devices.split(",")
    header = {"case": LEFT, **{f"{name} ms": RIGHT for name in names}, "both ms": RIGHT, "gain": RIGHT, "shares": LEFT}
    rows = []
    for case, text in _CASES.items():
        module = parse(text, case)
        programs = [_program(module, [name]) for name in names] + [_program(module, names)]
        *alone, both = _times(programs, rounds)
        rows.append(
            (
                case,
                *(f"{t * 1e3:.2f}" for t in alone),
                f"{both * 1e3:.2f}",
                f"{min(alone) / both:.2f}",
                _shares(programs[-1]),
            )
        )
        for program in programs:
            program.close()
    print(format_table(header, rows))


def _program(module: ModuleOp, devices: Sequence[str]) -> Program:
    return load(compile(module, devices, resolve_target("host"), rates=measured_rates))


def _times(programs: Sequence[Program], rounds: int) -> list[float]:
    """The median seconds of each program, all on the same inputs; their results are compared."""
    inputs = [np.asarray(array) for array in example_inputs(programs[0].inputs)]
    results = [program.run(inputs)[0] for program in programs]
    for result in results:
        scale = max(1.0, float(np.abs(results[0].astype(np.float64)).max()))
        np.testing.assert_allclose(result.astype(np.float64) / scale, results[0].astype(np.float64) / scale, atol=1e-5)
    seconds: list[list[float]] = [[] for _ in programs]
    for _ in range(rounds):
        for times, program in zip(seconds, programs, strict=True):
            begin = time.perf_counter()
            program.run(inputs)
            times.append(time.perf_counter() - begin)
    return [statistics.median(times) for times in seconds]


def _shares(program: Program) -> str:
    plan = make_plan(program, program.main, rates_of(program))
    return "; ".join(
        f"{node.text.split(',')[0]} predicted {node.predicted * 1e3:.2f} ms"
        for node in plan.nodes
        if node.predicted is not None and "pack" not in node.text
    )


if __name__ == "__main__":
    typer.run(main)
