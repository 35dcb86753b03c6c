"""Kernels written for a GPU: a block of threads shares a tile, a warp its tensor cores, neighbours their loads.

`regions` says which dispatches have one; all others are computed by the kernels of CPUs, a register tile a thread.
"""
