"""/proc/PID/map_files."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import pytest

from crtool.errors import TargetDied
from crtool.procfs import map_files
from crtool.procfs.error import NoSuchFile
from crtool.procfs.read import entries

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_CHECKPOINT_RESTORE to follow the links")


def test_name() -> None:
    assert "map_files/400000-41f000" == map_files.name(0x400000, 0x41F000)
    assert "/proc/7/map_files/400000-41f000" == map_files.path_of(7, 0x400000, 0x41F000)


@needs_root
def test_a_deleted_file(tmp_path: Path) -> None:
    """It is reached through its mapping, and its text has no escapes."""
    pid = os.getpid()
    path = tmp_path / "a\nb\\012"
    path.write_bytes(b"here".ljust(mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), mmap.PAGESIZE) as memory:
        view = ctypes.c_char.from_buffer(memory)
        start = ctypes.addressof(view)
        end = start + len(memory)
        path.unlink()
        fd = map_files.open_mapped(pid, start, end, os.O_RDONLY)
        try:
            assert os.path.samestat(os.fstat(file.fileno()), os.fstat(fd))
            assert b"here" == os.read(fd, 4)
        finally:
            os.close(fd)
        assert os.path.samestat(os.fstat(file.fileno()), map_files.stat(pid, start, end))
        assert 0 == map_files.stat(pid, start, end).st_nlink
        assert os.fsencode(path) + b" (deleted)" == map_files.link(pid, start, end)
        assert map_files.name(start, end).rpartition("/")[2] in entries(pid, "map_files")
        del view


@needs_root
def test_no_such_mapping(nobody: int) -> None:
    with pytest.raises(NoSuchFile):
        map_files.link(os.getpid(), 0x1000, 0x2000)
    with pytest.raises(TargetDied):
        map_files.link(nobody, 0x1000, 0x2000)
