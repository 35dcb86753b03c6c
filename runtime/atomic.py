"""Files that appear whole or not at all, whatever interrupts their writing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file for `path`: written beside it, synced and renamed over it at the end, removed on any exception.

    A symbolic link is followed and a device or pipe, such as /dev/stdout, is written directly. Raises OSError with
    `path` as its file name.
    """
    try:
        with _open(Path(path)) as stream:
            yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _open(path: Path) -> AbstractContextManager[BinaryIO]:
    if path.exists() and not path.is_file():
        return open(path, "wb")  # the caller's `with` closes it
    return _replace(path.resolve())


@contextlib.contextmanager
def _replace(target: Path) -> Iterator[BinaryIO]:
    import secrets  # takes milliseconds, which who only reads should not wait for

    # The name is chosen before the file exists, so that at no moment an interruption could leave it behind.
    temporary = target.with_name(f".tosaic-{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            if target.exists():
                os.fchmod(stream.fileno(), target.stat().st_mode & 0o777)
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
