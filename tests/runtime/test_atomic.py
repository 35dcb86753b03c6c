"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tosaic.runtime.atomic import atomic_write


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "new") as stream:
            stream.write(b"content")
            assert not (tmp_path / "new").exists()
    finally:
        os.umask(mask)
    assert (tmp_path / "new").read_bytes() == b"content"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_an_old_file_keeps_its_permissions_and_a_link_its_target(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "old").chmod(0o600)
    (tmp_path / "link").symlink_to("old")
    with atomic_write(tmp_path / "link") as stream:
        stream.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "old").read_bytes() == b"new" and (tmp_path / "old").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_things_as_they_were(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(error), atomic_write(tmp_path / "file") as stream:
        stream.write(b"half")
        raise error
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == b"old"


def test_errors_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as raised, atomic_write(path):
        pass
    assert raised.value.filename == str(path)


def test_a_pipe_is_written_directly() -> None:
    read, write = os.pipe()
    with atomic_write(f"/dev/fd/{write}") as stream:
        stream.write(b"through")
    os.close(write)
    assert os.read(read, 100) == b"through"
    os.close(read)
