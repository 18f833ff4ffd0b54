"""Where a new image goes: a file that appears under its name only when it is whole, or a pipe.

A file is written without a name (O_TMPFILE, since Linux 3.11), so that nothing is left of it however crtool
ends, and is given its name by linkat(2) at the end, which never replaces anything. File systems that cannot do
that (NFS, FAT…) get a hidden temporary name instead. A signal does not come between a name and the note of it.
What replaces a file has a hidden name for a moment, the kernel having no way to do that in one step: only if crtool is
killed just then, a whole image stays under that name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import termios
from array import array
from collections.abc import Callable
from typing import Protocol

from crtool import faults
from crtool.errors import EnvironmentDiffers, InternalError, UsageError
from crtool.image.trouble import Path, cannot_write, shown
from crtool.kernel.interruption import nothing, whole
from crtool.kernel.resolve import Diverted, resolve_folder
from crtool.kernel.syscall import syscall

__all__ = ["NewFile", "Pipe", "Place", "folder_at", "require_replaceable"]

# What open(2) says where there is no O_TMPFILE: old file systems know only the O_DIRECTORY that is part of the flag.
NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
# What link(2) says on file systems without hard links.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)
# The largest pipe that a user without CAP_SYS_RESOURCE gets by default (/proc/sys/fs/pipe-max-size).
PIPE_SIZE = 1 << 20
NAME_MAX = 255
_LONGEST_PAUSE = 20  # ms, until it is seen that a pipe is empty, of which no event tells
# linux/fs.h, sync_file_range(2): start writing these pages to the disk, do not wait.
SYNC_FILE_RANGE_WRITE = 2
# So often is the disk set to work while the next bytes are collected. 1 GiB with its fsync took 0.33 s instead of
# 0.51 s; steps of 4 MiB and of 256 MiB were slower.
WRITEBACK_STEP = 16 << 20


class Place(Protocol):
    """What an image is written to. Errors are those of :func:`crtool.image.trouble.cannot_write`."""

    name: str

    @property
    def direct(self) -> int:
        """A descriptor by which others may write bytes at their place in the file, −1 if there is no such place."""

    def write(self, view: memoryview | bytes) -> None:
        """Appends all of *view*."""

    def skip(self, nbytes: int) -> None:
        """Others have appended *nbytes*."""

    def read_back(self, view: memoryview, offset: int) -> None:
        """Fills *view* with what others have written from *offset* of the file on."""

    def hand_over(self, heed: Callable[[], None]) -> None:
        """All bytes are there. Waits until whoever reads a pipe has taken them; *heed* is called now and then.

        Nothing may be written afterwards.
        """

    def commit(self, done: Callable[[], None] = nothing) -> None:
        """All bytes are there: makes them last. Nothing may be written afterwards.

        *done* is called when they are, before a signal can come between.
        """

    def discard(self) -> None:
        """Leaves nothing behind. Does nothing after :meth:`commit`."""


def write_all(fd: int, view: memoryview | bytes, name: str) -> None:
    """write(2) until all of *view* is written; waits if *fd* is non-blocking, as a shell's standard output may be."""
    rest = memoryview(view)
    while rest:
        try:
            if number := faults.fail_transfer():
                raise OSError(number, os.strerror(number))
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
        except OSError as error:
            raise cannot_write(name, error) from error


def folder_at(path: bytes, flags: int = os.O_PATH) -> int:
    """A descriptor of the folder in which a file is to be made; EnvironmentDiffers if somebody else's link leads there.

    He would choose what the caller makes, or replaces, where.
    """
    try:
        held = resolve_folder(path)
    except Diverted as diverted:
        raise EnvironmentDiffers(
            f"{shown(path)} is reached through {shown(diverted.link)}, a symbolic link of user {diverted.owner}",
            "name the folder to which it leads, or another one",
        ) from None
    if flags == os.O_PATH:
        return held
    try:
        return os.open(b".", flags | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=held)
    finally:
        os.close(held)


def require_replaceable(mode: int, name: str) -> None:
    """UsageError for what no new file takes the place of: a folder, a named pipe, a device."""
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise UsageError(f"{name}: is no regular file and will not be replaced", "choose another name with -o")


class NewFile:
    """A new file at *path*, mode 0600. Without *force* a name that exists is refused, now and by :meth:`commit`."""

    def __init__(self, path: Path, *, force: bool) -> None:
        folder, self._base = os.path.split(os.fsencode(path))
        self.name = shown(path)
        self._force = force
        self._temporary: bytes | None = None
        self._fd = self._folder = -1
        self._length = self._pushed = 0
        self.status: os.stat_result | None = None  # of the file, when it had got its name
        if self._base in (b"", b".", b".."):
            name = self.name or "an empty name"
            raise UsageError(f"{name}: an image needs the name of a file", "add a file name to the folder")
        try:
            with whole:
                self._folder = folder_at(folder, os.O_RDONLY)
            self._refuse_existing()
            self._open()
            os.fchmod(self._fd, 0o600)
        except OSError as error:
            self.discard()
            raise cannot_write(self.name, error) from error
        except BaseException:
            self.discard()
            raise

    def _refuse_existing(self) -> None:
        """UsageError if the final name is taken by something that may not be replaced."""
        try:
            mode = os.lstat(self._base, dir_fd=self._folder).st_mode
        except FileNotFoundError:
            return
        require_replaceable(mode, self.name)
        if not self._force:
            raise self._exists()

    def _exists(self) -> UsageError:
        return UsageError(f"{self.name}: exists already", "choose another name with -o, or replace it with --force")

    @whole
    def _open(self) -> None:
        """Opens the file, without a name if the file system can do that."""
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            self._fd = os.open(b".", flags | os.O_TMPFILE, 0o600, dir_fd=self._folder)
        except OSError as error:
            if error.errno not in NO_TMPFILE:
                raise
            name = self._hidden_name()
            try:
                self._fd = os.open(name, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=self._folder)
            except FileNotFoundError:  # the folder is there: a file system in which nobody makes files, like /proc
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from None
            self._temporary = name

    def _hidden_name(self) -> bytes:
        """A name that nobody else has: ``.web.crt.1f0c…``."""
        end = b"." + os.urandom(8).hex().encode()
        return b"." + self._base[: NAME_MAX - 1 - len(end)] + end

    def write(self, view: memoryview | bytes) -> None:
        """Appends all of *view*."""
        write_all(self._fd, view, self.name)
        self._length += len(view)
        if self._length - self._pushed >= WRITEBACK_STEP:
            self._start_writeback()

    @property
    def direct(self) -> int:
        """The descriptor of the file."""
        return self._fd

    def read_back(self, view: memoryview, offset: int) -> None:
        """Fills *view* with what others have written from *offset* of the file on."""
        try:
            while view:
                if not (got := os.preadv(self._fd, [view], offset)):
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                view, offset = view[got:], offset + got
        except OSError as error:
            raise cannot_write(self.name, error) from error

    def hole(self, nbytes: int) -> None:
        """Appends *nbytes* of zeros as a hole, which takes no room."""
        if not nbytes:
            return
        try:
            os.ftruncate(self._fd, self._length + nbytes)
        except OSError as error:
            raise cannot_write(self.name, error) from error
        self.skip(nbytes)

    def skip(self, nbytes: int) -> None:
        """Others have appended *nbytes*."""
        self._length += nbytes
        os.lseek(self._fd, self._length, os.SEEK_SET)
        if self._length - self._pushed >= WRITEBACK_STEP:
            self._start_writeback()

    def _start_writeback(self) -> None:
        """Sets the disk to work on what it has not been told of yet, so that fsync(2) finds little left to do."""
        try:
            syscall("sync_file_range", self._fd, self._pushed, self._length - self._pushed, SYNC_FILE_RANGE_WRITE)
        except OSError:
            pass  # only a hint: some file systems know nothing of it, and real trouble is reported by fsync
        self._pushed = self._length

    def hand_over(self, heed: Callable[[], None]) -> None:
        """Nobody reads it yet."""

    def commit(self, done: Callable[[], None] = nothing) -> None:
        """Bytes on the disk first, then the name, then the folder on the disk: the name never stands for less."""
        try:
            faults.point("sync")
            if number := faults.fail_transfer():
                raise OSError(number, os.strerror(number))
            os.fsync(self._fd)
            with whole:
                self._give_name()
                faults.point("named")
                self._sync_folder()
                self.status = os.fstat(self._fd)
                done()
        except FileExistsError:
            raise self._exists() from None
        except OSError as error:
            raise cannot_write(self.name, error) from error
        finally:
            self.discard()

    def _sync_folder(self) -> None:
        """The name on the disk; takes it back if that fails, because nobody could rely on it."""
        try:
            os.fsync(self._folder)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
                return  # this file system (CIFS, some FUSE) has no such thing for folders
            os.unlink(self._base, dir_fd=self._folder)
            raise

    def _give_name(self) -> None:
        """Brings the file to its final name; FileExistsError if that has been taken in the meantime."""
        if not self._force:
            try:
                self._link(self._base)
            except OSError as error:
                if self._temporary is None or error.errno not in NO_LINKS:
                    raise
                # No hard links here: take the name first, so that nothing of anybody else's is replaced.
                os.close(os.open(self._base, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._folder))
                self._rename()
            return
        if self._temporary is None:
            name = self._hidden_name()
            self._link(name)
            self._temporary = name
        self._rename()

    def _link(self, name: bytes) -> None:
        """One more name in the folder for the file (linkat(2) with the way for O_TMPFILE that open(2) describes)."""
        if self._temporary is None:
            os.link(f"/proc/self/fd/{self._fd}", name, dst_dir_fd=self._folder, follow_symlinks=True)
        else:
            os.link(self._temporary, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)

    def _rename(self) -> None:
        """The temporary name becomes the final one, whatever that stood for."""
        assert self._temporary is not None
        os.rename(self._temporary, self._base, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._temporary = None

    @whole
    def discard(self) -> None:
        """Removes the temporary name and closes: what has no name vanishes with its last descriptor."""
        if self._temporary is not None:
            try:
                os.unlink(self._temporary, dir_fd=self._folder)
            except OSError:
                pass  # the folder went away, and the file with it
            self._temporary = None
        for fd in (self._fd, self._folder):
            if fd >= 0:
                os.close(fd)
        self._fd = self._folder = -1


def _not_taken(fd: int) -> int:
    """Bytes that the reader at the other end has not read: pipe(7), unix(7) and tcp(7), where it is the machine there
    that has them. 0 of whatever keeps nothing back.
    """
    mode = os.fstat(fd).st_mode
    if not stat.S_ISFIFO(mode) and not stat.S_ISSOCK(mode):
        return 0
    count = array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD if stat.S_ISFIFO(mode) else termios.TIOCOUTQ, count)
    except OSError:
        return 0  # a kind of socket that cannot tell
    return count[0]


class Pipe:
    """An open descriptor that is only ever appended to: a pipe, a socket, a file that the shell opened."""

    def __init__(self, fd: int) -> None:
        self.name = "standard output" if fd == 1 else f"descriptor {fd}"
        try:
            self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        except OSError as error:
            raise cannot_write(self.name, error) from error
        self._is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            pass  # no pipe, or its owner may not have a larger one: only slower

    @property
    def direct(self) -> int:
        """Nobody else can write."""
        return -1

    def write(self, view: memoryview | bytes) -> None:
        """Appends all of *view*."""
        write_all(self._fd, view, self.name)

    def skip(self, nbytes: int) -> None:
        """Nobody else can have written."""
        raise InternalError(f"{self.name}: {nbytes} bytes are missing")

    def read_back(self, view: memoryview, offset: int) -> None:
        """What is gone is gone."""
        raise InternalError(f"{self.name}: {len(view)} bytes at {offset} cannot be read back")

    def hand_over(self, heed: Callable[[], None]) -> None:
        """Waits until nothing is left in the pipe or socket; EPIPE if its reader closes it before.

        What the reader makes of it is his affair; but one who has refused it has not read it.
        """
        poll = select.poll()
        poll.register(self._fd, 0)  # only what is always reported: POLLERR of a pipe, POLLHUP of a socket
        pause = 1  # ms
        try:
            while True:
                if poll.poll(0):
                    raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
                if not _not_taken(self._fd):
                    return
                heed()
                poll.poll(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        except OSError as error:
            raise cannot_write(self.name, error) from error

    def commit(self, done: Callable[[], None] = nothing) -> None:
        """A file is brought to the disk; of a pipe nothing more can be done."""
        try:
            with whole:
                if self._is_file:
                    os.fsync(self._fd)
                done()
        except OSError as error:
            raise cannot_write(self.name, error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Closes; what has been written is in the reader's hands, who sees that the end is missing."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
