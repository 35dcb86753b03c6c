"""Element-wise loop nests on a GPU: neighbouring threads take neighbouring vectors, over all blocks.

A warp so reads and writes whole cache lines of everything that is contiguous along the innermost loop; what is so along
another loop is turned in shared memory (`turned`). Threads are as many as vectors, up to what fills the GPU a few times
over; they go on in strides of all threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...targets.block_tile import SMS
from ..arithmetic import i64
from ..extent import Extent, emit_extent, product
from ..kernel import Grid, KernelContext
from ..lanes import Compute, Lanes
from ..nest import Nest
from ..types import Value
from .block import grid_threads
from .sliding import split_index
from .turned import THREADS, across_loop, emit_turned

_MOST_BLOCKS = 16 * SMS
"""Blocks of 128 threads that are resident on all SMs at once (2048 threads on each)."""


def emit_on_grid(context: KernelContext, nest: Nest, inputs: int, compute: Compute, lanes: int) -> None:
    """Runs `compute` over all iterations. The first `inputs` accesses of `nest` are read, the others written.

    `lanes` is the widest vector that `compute` should get; it gets one element where the innermost loop of the results
    is not contiguous, or of a length that is not known. The context's grid is made large enough.
    """
    across = across_loop(nest, inputs)
    if across is not None:
        _enlarge(context, emit_turned(context, nest, inputs, compute, across))
        return
    f, reads, writes = context.f, nest.accesses[:inputs], nest.accesses[inputs:]
    lanes = _fitting_lanes(nest, inputs, lanes)
    last = len(nest.sizes) - 1
    counts = list(nest.sizes) or [1]
    if lanes > 1:
        counts[-1] = int(str(counts[-1])) // lanes
    with grid_threads(f, product(counts), THREADS) as vector:
        indices = split_extents(context, vector.index, counts) if nest.sizes else []
        if lanes > 1:
            indices[-1] = f.mul(indices[-1], i64(lanes))
        point = Lanes(indices, last if nest.sizes else None, lanes)
        loop = last if lanes > 1 else None
        values = [access.load(f, indices, loop, lanes) for access in reads]
        for access, result in zip(writes, compute(point, values), strict=True):
            access.store(f, result, indices, loop, lanes)
    launch_threads(context, product(counts))


def launch_threads(context: KernelContext, threads: Extent) -> None:
    """Makes the context's grid one of `threads` threads, if it is not larger: in so many blocks as the GPU has use
    for, or as many as it can hold where their number is known only at run time."""
    wanted = min(max(-(-threads // THREADS), 1), _MOST_BLOCKS) if isinstance(threads, int) else 0
    _enlarge(context, Grid(THREADS, wanted))


def _enlarge(context: KernelContext, grid: Grid) -> None:
    """Makes the context's grid one that suits this work too, which its kernel does after what it does already."""
    before = context.grid or grid
    blocks = 0 if 0 in (before.blocks, grid.blocks) else max(before.blocks, grid.blocks)
    context.grid = Grid(THREADS, blocks, max(before.shared_bytes, grid.shared_bytes))


def split_extents(context: KernelContext, index: Value, sizes: Sequence[Extent]) -> list[Value]:
    """The indices along dimensions of `sizes` of element `index`."""
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) == len(sizes):
        return split_index(context.f, index, known)
    f, found = context.f, []
    for size in reversed(sizes[1:]):
        extent = emit_extent(f, size)
        found.append(f.urem(index, extent))
        index = f.udiv(index, extent)
    return [index, *reversed(found)]


def _fitting_lanes(nest: Nest, inputs: int, lanes: int) -> int:
    """The most of a vector that divides the innermost loop, along which all results are contiguous."""
    size = nest.sizes[-1] if nest.sizes else 1
    if not isinstance(size, int) or any(
        access.strides[-1:] != (1,) or access.quasi for access in nest.accesses[inputs:]
    ):
        return 1
    while size % lanes:
        lanes //= 2
    return lanes
