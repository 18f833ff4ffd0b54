"""A folder as it was: what a specimen changes in its files after a checkpoint is undone, so that its image fits again.

An image speaks of files by name and expects them as they were. A test that lets the target go on after its checkpoint,
and then restarts the image, has to put the files back in between.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FolderState"]


@dataclass(frozen=True)
class _Entry:
    path: Path
    status: os.stat_result
    content: bytes  # of a regular file; the target of a symbolic link


class FolderState:
    """The files, folders, FIFOs and symbolic links below *folder* at one moment, but for *apart* (names in it)."""

    def __init__(self, folder: Path, apart: set[str]) -> None:
        self.folder = folder
        self.apart = apart
        self.entries = [self._read(path) for path in self._walk()]

    def _walk(self) -> list[Path]:
        found = sorted(self.folder.rglob("*"))
        return [path for path in found if path.relative_to(self.folder).parts[0] not in self.apart]

    @staticmethod
    def _read(path: Path) -> _Entry:
        status = path.lstat()
        content = b""
        if stat.S_ISREG(status.st_mode) and status.st_blocks:
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.fsencode(os.readlink(path))
        return _Entry(path, status, content)

    def restore(self) -> None:
        """Makes the folder what it was; files that are still there keep their inodes."""
        known = {entry.path for entry in self.entries}
        for path in reversed(self._walk()):
            if path not in known:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        links: dict[tuple[int, int], Path] = {}
        for entry in self.entries:
            links.setdefault((entry.status.st_dev, entry.status.st_ino), entry.path)
        for entry in self.entries:
            first = links[entry.status.st_dev, entry.status.st_ino]
            if not os.path.lexists(entry.path):
                self._make(entry, first)
            elif stat.S_ISREG(entry.status.st_mode) and not self._same(entry):
                with open(entry.path, "r+b") as file:
                    file.write(entry.content)
                    file.truncate(entry.status.st_size)
        for entry in reversed(self.entries):
            os.utime(entry.path, ns=(entry.status.st_atime_ns, entry.status.st_mtime_ns), follow_symlinks=False)

    @staticmethod
    def _same(entry: _Entry) -> bool:
        now = entry.path.lstat()
        return now.st_size == entry.status.st_size and now.st_mtime_ns == entry.status.st_mtime_ns

    @staticmethod
    def _make(entry: _Entry, first: Path) -> None:
        mode = entry.status.st_mode
        if entry.path != first:
            os.link(first, entry.path)
            return
        if stat.S_ISDIR(mode):
            entry.path.mkdir()
        elif stat.S_ISFIFO(mode):
            os.mkfifo(entry.path)
        elif stat.S_ISLNK(mode):
            os.symlink(entry.content, entry.path)
            return
        elif stat.S_ISSOCK(mode):
            os.mknod(entry.path, stat.S_IFSOCK)  # as one is whose socket has gone
        else:
            entry.path.write_bytes(entry.content)
            os.truncate(entry.path, entry.status.st_size)
        os.chown(entry.path, entry.status.st_uid, entry.status.st_gid)
        os.chmod(entry.path, stat.S_IMODE(mode))
