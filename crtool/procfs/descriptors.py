"""The descriptors of a thread: /proc/PID/task/TID/fd and fdinfo, two folders that are opened once.

A program may have thousands, and a name in a folder that is open is found in half of the time of a path.
"""

from __future__ import annotations

import os

from crtool.procfs import fdinfo as fdinfo_file
from crtool.procfs.fdinfo import Fdinfo
from crtool.procfs.read import Translated, open_file

__all__ = ["Descriptors"]

# What a descriptor tells is one record of a seq_file with nothing behind it (single_open() in the kernel's
# fs/seq_file.c): it comes whole if there is room, so that a read which leaves some was the last.
_ROOM = 4096


class Descriptors:
    """Of process *pid*, or of its thread *tid*; errors are those of :mod:`.read`. A context manager."""

    def __init__(self, pid: int, tid: int | None = None) -> None:
        self._pid, self._tid = pid, tid
        flags = os.O_RDONLY | os.O_DIRECTORY
        self._links = open_file(pid, "fd", flags, tid)
        try:
            self._infos = open_file(pid, "fdinfo", flags, tid)
        except BaseException:
            os.close(self._links)
            raise

    def __enter__(self) -> Descriptors:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the folders."""
        os.close(self._links)
        os.close(self._infos)

    def numbers(self) -> list[int]:
        """Of all of them, in order."""
        with Translated(self._pid, "fd", self._tid):
            return sorted(map(int, os.listdir(self._links)))

    def link(self, fd: int) -> bytes:
        """Where the link of one points, exactly as the kernel says it."""
        try:
            return os.readlink(b"%d" % fd, dir_fd=self._links)
        except OSError as error:
            with Translated(self._pid, f"fd/{fd}", self._tid):
                raise error

    def info(self, fd: int) -> Fdinfo:
        """What is said of one."""
        try:
            return fdinfo_file.parse(self._read(b"%d" % fd))
        except OSError as error:
            with Translated(self._pid, f"fdinfo/{fd}", self._tid):
                raise error

    def _read(self, name: bytes) -> bytes:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._infos)
        try:
            data = piece = os.read(fd, _ROOM)
            while len(piece) == _ROOM:
                piece = os.read(fd, _ROOM)
                data += piece
            return data
        finally:
            os.close(fd)
