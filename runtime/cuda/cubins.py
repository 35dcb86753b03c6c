"""Code that a driver translated, kept beside the compiled artifacts: it takes longer than all else of a load.

The key covers the PTX, the driver and the GPU's capability; files lie in the folder of `cache` and count towards its
limit, so that the least recently used go first.
"""

from __future__ import annotations

import hashlib
import json

from ..cache import Cache
from .driver import Gpu


class Cubins:
    """The cubins of a cache; without one every load translates anew."""

    def __init__(self, cache: Cache | None) -> None:
        self._cache = cache

    def cubin(self, gpu: Gpu, ptx: bytes) -> bytes:
        """The code of a PTX module for `gpu`. Raises DeviceError where the driver cannot translate it."""
        if self._cache is None or gpu.driver is None:
            return gpu.link(ptx)
        key = cubin_key(gpu.driver, gpu.capability, ptx)
        cubin = self._cache.load_code(key)
        if cubin is None:
            cubin = gpu.link(ptx)
            self._cache.store_code(key, cubin)
        return cubin


def cubin_key(driver: str, capability: tuple[int, int] | None, ptx: bytes) -> str:
    """The name under which the translation of `ptx` is kept."""
    description = json.dumps([hashlib.sha256(ptx).hexdigest(), driver, capability])
    return hashlib.sha256(description.encode()).hexdigest()
