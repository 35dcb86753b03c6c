"""The cache of compiled artifacts: what makes a new entry, and that nothing in the folder can break a command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tosaic.runtime import cache as cache_module
from tosaic.runtime.cache import Cache, cache_key, default_folder

from . import native


def test_what_is_stored_is_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new" / "folder")
    assert cache.load("a") is None
    cache.store("a", native.artifact(source="a"))
    found = cache.load("a")
    assert found is not None and found.metadata == {"source": "a"}
    assert cache.load("b") is None


def test_a_damaged_entry_is_a_miss_and_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.store("a", native.artifact())
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:1000])
    assert cache.load("a") is None
    assert list(tmp_path.iterdir()) == []


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    native.artifact().save(tmp_path / "alone")
    size = (tmp_path / "alone").stat().st_size
    cache = Cache(tmp_path, limit=3 * size)
    for number, name in enumerate("abc"):
        cache.store(name, native.artifact())
        (entry,) = tmp_path.glob(f"{name}.*")
        assert entry.stat().st_size == size
        os.utime(entry, (number, number))
    assert cache.load("a") is not None
    cache.limit = 2 * size
    cache.store("d", native.artifact())
    assert [name for name in "abcd" if cache.load(name)] == ["a", "d"]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "cache")
    cache.store("a", native.artifact())
    assert cache.load("a") is None


def test_the_key_covers_content_options_compiler_and_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    key = cache_key(b"model", {"target": "host"})
    assert key == cache_key(b"model", {"target": "host"})
    different = {
        cache_key(b"model2", {"target": "host"}),
        cache_key(b"model", {"target": "x86-64-v3"}),
        cache_key(b"model", {"target": "host", "shapes": {"x": [1]}}),
    }
    monkeypatch.setattr(cache_module, "host_features", lambda: frozenset({"x86_64"}))
    assert cache_key(b"model", {"target": "x86-64-v3"}) in different, "the CPU is of no concern to a named target"
    different.add(cache_key(b"model", {"target": "host"}))
    monkeypatch.setattr(cache_module, "_source_fingerprint", lambda: [("lowering/new.py", 1, 1)])
    different.add(cache_key(b"model", {"target": "x86-64-v3"}))
    assert len(different | {key}) == 6


def test_the_fingerprint_sees_every_package() -> None:
    packages = {name.split("/")[0] for name, _, _ in cache_module._source_fingerprint()}
    assert packages == {"importers", "tosa", "lowering", "runtime"}


def test_the_folder_is_where_the_xdg_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/tosaic")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == Path.home() / ".cache" / "tosaic"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "tosaic"


def test_a_look_into_the_cache_imports_nothing_of_the_compiler(tmp_path: Path) -> None:
    code = (
        "import sys; from tosaic.runtime.cache import Cache, cache_key;"
        "Cache().load(cache_key(b'', {'target': 'host'}));"
        "print([m for m in sys.modules if m.startswith(('xdsl', 'llvmlite', 'tosaic.lowering', 'tosaic.tosa'))])"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "[]\n", done.stderr
