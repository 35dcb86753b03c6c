"""A GPU as a device of the runtime, whatever driver is behind it."""

from __future__ import annotations

from ..artifact import Image
from ..device import Constants
from .capability import OLDEST, why_not
from .cubins import Cubins
from .driver import Gpu
from .executable import CudaExecutable

ARCHITECTURE = "nvptx64"
"""The first feature of images for GPUs; the second is the compute capability."""


class CudaDevice:
    """One GPU. Every program on it has a stream and memory of its own.

    kind: as users write it.
    """

    def __init__(self, kind: str, gpu: Gpu, cubins: Cubins) -> None:
        self.memory = f"{kind}:{gpu.number}"
        self._kind = kind
        self.gpu = gpu
        self._cubins = cubins

    def lacks(self, image: Image) -> str | None:
        if image.features[:1] != (ARCHITECTURE,):
            return f"{image.target} is no code for the device {self._kind}"
        capability = self.gpu.capability
        if capability is None:
            return None
        where = f"{self.gpu.name} (GPU {self.gpu.number})"
        if capability < OLDEST:
            oldest, here = (".".join(map(str, each)) for each in (OLDEST, capability))
            return f"{where} has compute capability {here}; {oldest} (Turing) or later is needed"
        problem = why_not(image.target, capability)
        if problem is None:
            return None
        return f"{where}: {problem}; compile with --devices {self._kind}@sm_{capability[0]}{capability[1]} or older"

    def load(self, image: Image, constants: Constants) -> CudaExecutable:
        """Translate the code and upload the constants. Raises DeviceError, DeviceLostError where memory is short."""
        return CudaExecutable(self.gpu, image, constants, self._cubins)
