"""An NVIDIA GPU, through the driver; needs the package cuda-bindings (`pip install tosaic[cuda]`)."""

from __future__ import annotations

from ..cache import Cache
from ..cuda import nvidia
from ..cuda.cubins import Cubins
from ..cuda.device import CudaDevice
from ..device_spec import DeviceSpec


def open_device(spec: DeviceSpec) -> CudaDevice:
    """The GPU of that number, or the first. Raises DeviceError where something is missing, and says what."""
    return CudaDevice(spec.kind, nvidia.open_gpu(spec.ordinal or 0), Cubins(Cache()))
