"""The file that tells the PID of a restored root.

It is written before anybody runs, without a name (O_TMPFILE), so that nothing is left of it however crtool ends, and
given its name when everything runs. A file system that has no files without names gets a hidden one beside it.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress

from crtool.errors import EnvironmentDiffers
from crtool.image.place import NO_TMPFILE

__all__ = ["Pidfile", "judge_pidfile"]


def judge_pidfile(path: str) -> None:
    """EnvironmentDiffers if *path* is no place for such a file, as far as that can be seen."""
    try:
        os.close(_folder_of(path))
        if not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _cannot_be_written(path, error) from None


def _folder_of(path: str) -> int:
    """A descriptor (O_PATH) of the folder; OSError if there is none, or a folder itself has the name."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _cannot_be_written(path: str, error: OSError) -> EnvironmentDiffers:
    return EnvironmentDiffers(f"{path} cannot be written: {error.strerror}", "choose another --pidfile")


class Pidfile:
    """A PID file that has been written, and has no name yet."""

    def __init__(self, path: str, pid: int) -> None:
        """EnvironmentDiffers if it cannot be written."""
        self._path = path
        self._base = os.path.basename(path)
        self._hidden = f".{self._base}.{secrets.token_hex(8)}"
        self._has_name = False
        self._folder = self._fd = -1
        try:
            self._folder = _folder_of(path)
            self._fd = self._open()
            os.write(self._fd, b"%d\n" % pid)
        except OSError as error:
            self.discard()
            raise _cannot_be_written(path, error) from None

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CLOEXEC
        try:
            return os.open(".", flags | os.O_TMPFILE, 0o666, dir_fd=self._folder)
        except OSError as error:
            if error.errno not in NO_TMPFILE:
                raise
        fd = os.open(self._hidden, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self._folder)
        self._has_name = True
        return fd

    def appear(self) -> None:
        """Gives it its name, in the place of what has that. OSError if that does not go; it may be tried again."""
        if not self._has_name:
            # The way for O_TMPFILE that open(2) describes; linkat(2) replaces nothing.
            source = f"/proc/self/fd/{self._fd}"
            with suppress(FileExistsError):
                os.link(source, self._base, dst_dir_fd=self._folder, follow_symlinks=True)
                return
            os.link(source, self._hidden, dst_dir_fd=self._folder, follow_symlinks=True)
            self._has_name = True
        os.rename(self._hidden, self._base, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._has_name = False

    def discard(self) -> None:
        """Lets go of it: nothing is left, unless it has appeared."""
        if self._has_name:
            with suppress(OSError):
                os.unlink(self._hidden, dir_fd=self._folder)
            self._has_name = False
        for fd in (self._fd, self._folder):
            if fd >= 0:
                os.close(fd)
        self._fd = self._folder = -1
