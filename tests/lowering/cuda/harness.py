"""Runs kernels written for a GPU on the emulator, and shows them to NVIDIA's assembler where it can be had."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tosaic.lowering.codegen.kernel import Kernel
from tosaic.lowering.codegen.ptx import build_ptx_image
from tosaic.lowering.codegen.regions import compile_region
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.target import Target
from tosaic.lowering.targets import nvptx
from tosaic.runtime.abi import ptx_entry
from tosaic.runtime.cuda_emulator import tensor_map
from tosaic.runtime.cuda_emulator.launch import LoadedModule
from tosaic.runtime.cuda_emulator.memory import GlobalMemory
from tosaic.runtime.cuda_emulator.parser import parse
from tosaic.runtime.cuda_emulator.program import Grid

from ...cuda.ptxas import assemble
from ..codegen.harness import Array

NAME = "kernel"
CAPABILITIES = ("sm_75", "sm_80", "sm_90a")


def gpu(capability: str = "sm_80") -> Target:
    return nvptx.from_name(capability)


class Emulated:
    """The kernel of a region, which must be one written for a GPU, as PTX that the emulator has read."""

    def __init__(self, region: RegionOp, target: Target) -> None:
        self.kernel: Kernel = compile_region(region, target, NAME)
        assert self.kernel.grid is not None, "no kernel for a GPU"
        self.image = build_ptx_image([], {NAME: self.kernel}, target)
        (self.launch,) = self.image.launches

    def run(
        self, inputs: Sequence[Array], outputs: Sequence[Array], scalars: Sequence[int] = (), blocks: int = 0
    ) -> list[Array]:
        """The results; `outputs` give shapes, dtypes and what is there before. Buffers are exact in size.

        `blocks` are those of the launch if 0; any number has to give the same.
        """
        memory = GlobalMemory()
        module = LoadedModule(parse(bytes(self.image.code).decode()), memory)
        arrays = [np.ascontiguousarray(array).copy() for array in [*inputs, *outputs]]
        addresses = [memory.add(array) for array in arrays]
        launch = self.launch
        grid = Grid(blocks or launch.blocks or 3, launch.threads, launch.shared_bytes)
        scratch = memory.add(np.full(self.kernel.scratch_bytes * grid.blocks * grid.threads, 0xA5, np.uint8))
        maps = [tensor_map.encode(each, addresses[each.buffer]) for each in launch.tensor_maps]
        module.launch(ptx_entry(NAME), grid, [*addresses, *scalars, scratch, self.kernel.scratch_bytes, *maps])
        for given, array in zip(inputs, arrays, strict=False):
            assert given.tobytes() == array.tobytes(), "a kernel changed its input"
        return arrays[len(inputs) :]


def assert_nothing_spills(emulated: Emulated) -> None:
    """Skips the test where NVIDIA's assembler is missing."""
    (usage,) = assemble(emulated.image).values()
    assert (usage.stack, usage.spilled) == (0, 0), usage
