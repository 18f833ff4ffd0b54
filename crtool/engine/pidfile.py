"""The file that tells the PID of a restored root.

It is written before anybody runs, without a name (O_TMPFILE), so that nothing is left of it however crtool ends, and
given its name when everything runs. A file system that has no files without names gets a hidden one beside it.
It replaces a file or a symbolic link of its name, and nothing is ever written through these; anything else stays.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress

from crtool.errors import EnvironmentDiffers
from crtool.image.place import NO_TMPFILE, folder_at
from crtool.kernel.interruption import whole

__all__ = ["Pidfile", "judge_pidfile"]

# Whatever the umask is: who may write it decides whom the caller ends by "kill $(cat FILE)".
_MODE = 0o644


def judge_pidfile(path: str) -> None:
    """EnvironmentDiffers if *path* is no place for such a file, as far as that can be seen."""
    try:
        os.close(_folder_of(path))
        if not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _cannot_be_written(path, error) from None


def _folder_of(path: str) -> int:
    """A descriptor (O_PATH) of the folder; OSError if there is none, or something has the name that is not replaced."""
    folder = folder_at(os.fsencode(os.path.dirname(path)))
    try:
        _require_replaceable(folder, os.path.basename(path))
    except BaseException:
        os.close(folder)
        raise
    return folder


def _require_replaceable(folder: int, name: str) -> None:
    try:
        mode = os.lstat(name or ".", dir_fd=folder).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise OSError(errno.EEXIST, "it is no regular file, and stays")


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
            with whole:
                self._folder = _folder_of(path)
            self._fd = self._open()
            os.write(self._fd, b"%d\n" % pid)
        except OSError as error:
            self.discard()
            raise _cannot_be_written(path, error) from None

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CLOEXEC
        try:
            return os.open(".", flags | os.O_TMPFILE, _MODE, dir_fd=self._folder)
        except OSError as error:
            if error.errno not in NO_TMPFILE:
                raise
        fd = os.open(self._hidden, flags | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=self._folder)
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
