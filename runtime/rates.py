"""What devices do in a second: the numbers that the compiler places dispatches by, measured or taken for granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf


@dataclass(frozen=True)
class Rates:
    """How fast one device is.

    contraction: multiplications and additions per second of a big matrix product, by numpy dtype of its operands.
    window: those of a depthwise convolution or a pooling, of float32.
    loops: scalar operations per second of everything else, while it computes in the cache, by dtype likewise.
    bandwidth: bytes per second read and written by what does nothing else.
    dispatch: seconds that a dispatch takes at least.
    call: seconds from the end of a dispatch on another device until one that waits for it begins.
    link: bytes per second between the memory of the device and the host's; infinite where it is the same memory.

    Both mappings have an entry for "float32", which stands in for dtypes that have none.
    """

    contraction: Mapping[str, float]
    window: float
    loops: Mapping[str, float]
    bandwidth: float
    dispatch: float
    call: float
    link: float = float("inf")

    def seconds(self, products: float, windows: float, other: float, size: float, dtype: str) -> float:
        """The time of a dispatch, by the roofline of the device.

        products: multiplications and additions of contractions. windows: those of depthwise convolutions and poolings.
        other: all other scalar operations. size: the bytes that it reads and writes. dtype: of what it computes with.
        """
        compute = products / _rate(self.contraction, dtype) + windows / self.window + other / _rate(self.loops, dtype)
        return self.dispatch + max(compute, size / self.bandwidth)

    @property
    def in_host_memory(self) -> bool:
        """Whether the device computes on the host's own memory."""
        return isinf(self.link)

    def transfer_seconds(self, source: Rates, size: float) -> float:
        """The time in which `size` bytes come here from a device with the rates `source`."""
        return size / source.link + size / self.link


def _rate(rates: Mapping[str, float], dtype: str) -> float:
    return rates.get(dtype) or rates["float32"]


_GPU = Rates(
    contraction={"float32": 19.5e12, "float64": 9.7e12, "bfloat16": 312e12, "float16": 312e12, "int8": 624e12},
    window=19.5e12,
    loops={"float32": 19.5e12},
    bandwidth=1.555e12,
    dispatch=4e-6,
    call=20e-6,
    link=25e9,
)
"""By the data sheet of an NVIDIA A100 (40 GB; f32 on CUDA cores), what a launch and a synchronisation commonly take,
and what of the 32 GB/s of PCIe 4.0 x16 copies from pinned memory commonly reach."""

NOMINAL = {"cuda": _GPU, "cuda-emulator": _GPU}
"""Kind of device -> what it is planned as, without timing it: programs for a GPU are compiled where there is none, and
timing the emulator would say nothing."""
