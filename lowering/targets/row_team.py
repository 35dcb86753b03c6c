"""Which threads of a GPU share a row that stays in registers: a warp as long as that makes no thread hold more than 32
columns, else a block of eight warps, which has to meet at a barrier for every reduction."""

from __future__ import annotations

WARP = 32
BLOCK = 256

_MOST_THREAD_COLUMNS = 32

MOST_COLUMNS = BLOCK * _MOST_THREAD_COLUMNS

MOST_VALUES = 192
"""Elements of rows, three quarters of its registers, that a thread may hold: not all of them live at once."""


def team_threads(columns: int) -> int:
    """How many threads share a row."""
    return WARP if columns <= WARP * _MOST_THREAD_COLUMNS else BLOCK


def thread_columns(columns: int) -> int:
    """How many columns of it each of them has."""
    return -(-columns // team_threads(columns))
