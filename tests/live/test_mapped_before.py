"""Files that are held open from before a tree stands still: what has their number and name then is the same file."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from crtool.engine.mapped import FilesBefore
from crtool.procfs import maps as maps_file
from crtool.procfs import ns
from crtool.procfs.maps import Mapping
from crtool.procfs.read import read


def test_what_was_mapped_before_is_known_and_nothing_else(tmp_path: Path) -> None:
    base = ns.inode(os.getpid(), "mnt")
    with mapped(tmp_path / "file"), FilesBefore() as before:
        before.look([os.getpid()], base)
        (found,) = mappings(tmp_path / "file")
        fd = before.find(found, None)

        assert os.path.samestat(os.stat(tmp_path / "file"), os.fstat(fd))
        assert -1 == before.find(found, 1)  # by that name, in another mount namespace

        os.unlink(tmp_path / "file")
        with mapped(tmp_path / "file"):
            both = mappings(tmp_path / "file")

            assert [True, False] == sorted((one.deleted for one in both), reverse=True)
            assert [-1, -1] == [before.find(one, None) for one in both]
    assert -1 == before.find(found, None)


def test_what_is_called_otherwise_by_now_is_asked_for(tmp_path: Path) -> None:
    with mapped(tmp_path / "file"), FilesBefore() as before:
        before.look([os.getpid()], ns.inode(os.getpid(), "mnt"))
        os.rename(tmp_path / "file", tmp_path / "other")

        assert [-1] == [before.find(one, None) for one in mappings(tmp_path / "other")]


def mapped(path: Path) -> mmap.mmap:
    """A new file, mapped by this process until the end of the block."""
    path.write_bytes(bytes(mmap.PAGESIZE))
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), mmap.PAGESIZE)


def mappings(path: Path) -> list[Mapping]:
    return [one for one in maps_file.parse(read(os.getpid(), "maps")) if one.name == os.fsencode(path)]
