"""Tensors that do not lie in the host's memory, and what is asked of the devices that keep them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np

from .device import Array, Executable


class RemoteTensor(Protocol):
    """A dense tensor in the memory of a device. Its elements may still be computed when it is there already."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def reshape(self, shape: Sequence[int]) -> RemoteTensor:
        """The same elements in another shape; nothing is copied."""
        ...

    def __getitem__(self, index: tuple[slice, ...]) -> RemoteTensor:
        """A part along the last dimension of `index`, all before which are 1 long; nothing is copied."""
        ...

    def to_host(self) -> Array:
        """A copy, once the elements are computed. Raises DeviceError, which may be that of what computes them."""
        ...


Tensor: TypeAlias = Array | RemoteTensor


class RemoteExecutable(Executable, Protocol):
    """An executable whose segments take and make tensors of either kind."""

    def allocate(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], errors: AbstractContextManager[None]
    ) -> RemoteTensor:
        """A tensor for a segment to write. errors: what its errors pass through when somebody else reads it."""
        ...

    def receive(self, value: Tensor, target: RemoteTensor) -> None:
        """Copy a tensor to one that this executable allocated, in the order of its segments. Holds `lock` itself."""
        ...

    def readable(self, value: Tensor) -> Tensor:
        """What a segment can be given in place of a tensor of anybody; waits for another's. `lock` is not held."""
        ...


def is_remote(executable: Executable) -> TypeGuard[RemoteExecutable]:
    """Whether the tensors of a device lie elsewhere than in the host's memory."""
    return hasattr(type(executable), "readable")


def on_host(value: Tensor) -> Array:
    """The tensor as an array, copied only if it lies elsewhere."""
    return value if isinstance(value, np.ndarray) else value.to_host()
