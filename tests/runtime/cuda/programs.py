"""Small programs for a GPU, compiled once, and how tests load them on emulated GPUs that they can look into."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from tosaic.lowering import compile
from tosaic.runtime import Program, load
from tosaic.runtime.artifact import Artifact
from tosaic.runtime.cuda.cubins import Cubins
from tosaic.runtime.cuda.device import CudaDevice
from tosaic.runtime.cuda_emulator.driver import EmulatedGpu
from tosaic.runtime.device_spec import DeviceSpec
from tosaic.runtime.devices import cuda_emulator
from tosaic.tosa.text import parse

SCALE = """
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %weights = "tosa.const"() <{values = dense<3.0> : tensor<4x8xf32>}> : () -> tensor<4x8xf32>
  %y = arith.mulf %x, %weights : tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}"""
"""Three times its input."""

WEIGHTED = """
func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  %weights = "tosa.const"() <{values = dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]> : tensor<8xf32>}> :
    () -> tensor<8xf32>
  %y = arith.mulf %x, %weights : tensor<8xf32>
  return %y : tensor<8xf32>
}"""

ANY_SIZE = """
func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {
  %y = arith.addf %x, %x : tensor<?xf32>
  return %y : tensor<?xf32>
}"""

COUNTED = """
func.func @main(%x: tensor<64xf32>, %count: tensor<i64>) -> tensor<64xf32> {
  %n = tensor.extract %count[] : tensor<i64>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %end = arith.index_cast %n : i64 to index
  %y = scf.for %i = %c0 to %end step %c1 iter_args(%v = %x) -> (tensor<64xf32>) {
    %w = arith.addf %v, %x : tensor<64xf32>
    scf.yield %w : tensor<64xf32>
  }
  return %y : tensor<64xf32>
}"""
"""The host runs a loop around what the device does: count + 1 times its input."""

TWO_DEVICES = """
device.declare @a = "{a}"
device.declare @b = "{b}"
func.func @main(%x: tensor<64xf32>) -> tensor<64xf32> {{
  %0 = arith.addf %x, %x {{device.affinity = @a}} : tensor<64xf32>
  %1 = arith.addf %0, %0 {{device.affinity = @b}} : tensor<64xf32>
  %2 = arith.addf %1, %0 {{device.affinity = @a}} : tensor<64xf32>
  return %2 : tensor<64xf32>
}}"""
"""Six times its input."""


@cache
def compiled(text: str, *devices: str) -> Artifact:
    return compile(parse(text, "program"), devices)


def load_on(
    artifact: Artifact, gpus: list[EmulatedGpu], monkeypatch: pytest.MonkeyPatch, cubins: Cubins | None = None
) -> Program:
    """The program on these GPUs, by their numbers."""

    def open_device(spec: DeviceSpec) -> CudaDevice:
        return CudaDevice(spec.kind, gpus[spec.ordinal or 0], cubins or Cubins(None))

    monkeypatch.setattr(cuda_emulator, "open_device", open_device)
    return load(artifact)


def with_launches(artifact: Artifact, **changes: int) -> Artifact:
    """The artifact whose kernels are launched otherwise."""
    (variant,) = artifact.variants
    (image,) = variant.images
    image = replace(image, launches=tuple(replace(launch, **changes) for launch in image.launches))
    return replace(artifact, variants=(replace(variant, images=(image,)),))
