"""Compiled artifacts, kept by the content they were made from.

The key covers the input's bytes, the options, the package's version, its own files (a change of one line
invalidates, so working on the compiler is safe) and, for the target "host", the features of this CPU. Files lie under
$XDG_CACHE_HOME/tosaic (~/.cache/tosaic); the least recently used go first when they exceed `TOSAIC_CACHE_BYTES`.

Finding and loading an entry imports nothing of the compiler: a cached model starts as fast as an artifact does.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .artifact import Artifact
from .atomic import atomic_write
from .cpu_features import host_features
from .errors import MalformedFileError

if TYPE_CHECKING:
    from .artifact_writer import Encoded

_DEFAULT_BYTES = 4 << 30
_PACKAGES = ("importers", "tosa", "lowering", "runtime")
"""What decides the artifact: the compiler, and the runtime whose records and calling convention it follows."""

_SUFFIX = ".module"
_CODE_SUFFIX = ".cubin"
_DIGEST_BYTES = 32


class Cache:
    """The user's cache folder. Whatever goes wrong in it costs time, never a result: errors of the disk are a miss."""

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.folder = folder or default_folder()
        self.limit = limit if limit is not None else int(os.environ.get("TOSAIC_CACHE_BYTES", _DEFAULT_BYTES))

    def load(self, key: str) -> Artifact | None:
        """The artifact stored under `key`, or None. A damaged one is removed."""
        path = self._path(key)
        try:
            artifact = Artifact.load(path)
            os.utime(path)
        except MalformedFileError:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        except OSError:
            return None
        return artifact

    def store(self, key: str, artifact: Artifact | Encoded) -> None:
        """Keep `artifact`, then remove the least recently used beyond the limit."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            artifact.save(self._path(key))
            self._evict()

    def load_code(self, key: str) -> bytes | None:
        """The code stored under `key`, or None. A damaged one is removed: a digest stands in front of it."""
        path = self.folder / f"{key}{_CODE_SUFFIX}"
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, code = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(code).digest() != digest:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return code

    def store_code(self, key: str, code: bytes) -> None:
        """Keep the code that a driver made, likewise."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder / f"{key}{_CODE_SUFFIX}") as stream:
                stream.write(hashlib.sha256(code).digest() + code)
            self._evict()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _evict(self) -> None:
        entries = [(path.stat(), path) for end in (_SUFFIX, _CODE_SUFFIX) for path in self.folder.glob(f"*{end}")]
        total = sum(status.st_size for status, _ in entries)
        for status, path in sorted(entries, key=lambda entry: entry[0].st_mtime):
            if total <= self.limit:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size


def default_folder() -> Path:
    """$XDG_CACHE_HOME/tosaic, by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "tosaic"


def cache_key(content: bytes | memoryview, options: Mapping[str, object]) -> str:
    """The name under which the artifact compiled from `content` with `options` (JSON values) is kept."""
    description = {
        "content": hashlib.sha256(content).hexdigest(),
        "options": options,
        "version": _version(),
        "sources": _source_fingerprint(),
        "host": sorted(host_features()) if options.get("target") == "host" else None,
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _version() -> str:
    try:
        return importlib.metadata.version("tosaic")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _source_fingerprint() -> list[tuple[str, int, int]]:
    """Name, size and time of every source file of the package: a few milliseconds, unlike reading them."""
    fingerprint = []
    for package in _PACKAGES:
        for root in _package_folders(package):
            for path in sorted(root.rglob("*.py")):
                status = path.stat()
                fingerprint.append((f"{package}/{path.relative_to(root)}", status.st_size, status.st_mtime_ns))
    return fingerprint


def _package_folders(package: str) -> list[Path]:
    """Where `tosaic.PACKAGE` lies, found without importing it."""
    from importlib.util import find_spec

    specification = find_spec(f"tosaic.{package}")
    locations = (specification.submodule_search_locations if specification else None) or []
    return [Path(location) for location in locations]
