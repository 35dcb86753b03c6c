"""No GPU: the PTX made for one, executed on the CPU with every access checked. It never stands in for "cuda".

It is the device `cuda` with another driver behind it (see `cuda_emulator.driver`), which has as many GPUs as are asked
for.
"""

from __future__ import annotations

from ..cuda.cubins import Cubins
from ..cuda.device import CudaDevice
from ..cuda_emulator.driver import MOST_GPUS, EmulatedGpu
from ..device_spec import DeviceSpec
from ..errors import DeviceError


def open_device(spec: DeviceSpec) -> CudaDevice:
    """A GPU of its own for each device that is opened. Raises DeviceError for a number beyond the last."""
    number = spec.ordinal or 0
    if number >= MOST_GPUS:
        raise DeviceError(f"device {spec}: the emulator has the GPUs 0 to {MOST_GPUS - 1}")
    return CudaDevice(spec.kind, EmulatedGpu(number), Cubins(None))
