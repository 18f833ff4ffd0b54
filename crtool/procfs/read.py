"""Reading the files of a process, by PID or by PID and TID (proc(5)).

All paths are resolved from a descriptor of /proc that is opened once, on first use: neither a chroot nor a
later mount over /proc changes what crtool sees. PIDs are those of the PID namespace of that mount.

What goes wrong becomes one of four things. The process has ended, or lacks the asked file since it is a zombie or about
to become one: :class:`~crtool.errors.TargetDied`. It lives and the file is not there: :class:`.NoSuchFile`, a
TargetError. crtool may not look at it: :class:`~crtool.errors.TargetError`. Anything else (no descriptor left, say)
stays an OSError.

Not handled: a PID that was given to another process in the meantime. Hold the target, or a pidfd of it.
"""

from __future__ import annotations

import errno
import functools
import os
from types import TracebackType

from crtool.errors import TargetDied
from crtool.procfs.error import NoSuchFile
from crtool.procfs.permission import not_permitted
from crtool.procfs.stat import PF_EXITING

__all__ = ["Translated", "alive", "entries", "open_file", "path", "proc_root", "read", "read_link", "stat_of"]

_GONE = (errno.ENOENT, errno.ESRCH)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
# What is said of a task without memory, which belongs to root (task_dump_owner() in fs/proc/base.c), and of the mounts
# of one without namespaces (mounts_open_common() in fs/proc_namespace.c).
_SAID_OF_THE_DYING = (*_FORBIDDEN, errno.EINVAL)

# The kernel hands out seq_file text in pieces of about one page however much is asked for, except for the few files
# (environ, cmdline) that fill the whole buffer. 64 KiB is what read(2) allocates at no noticeable cost.
_PIECE = 1 << 16

_FLAGS = 6  # which word of ``stat`` they are, counted from the state


@functools.cache
def proc_root() -> int:
    """A descriptor of /proc (O_PATH, close-on-exec), the same one for the life of crtool."""
    return os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def path(pid: int, name: str, tid: int | None = None) -> str:
    """The path of a file of process *pid*, or of its thread *tid*, relative to :func:`proc_root`."""
    return f"{pid}/{name}" if tid is None else f"{pid}/task/{tid}/{name}"


def alive(pid: int, tid: int | None = None) -> bool:
    """Whether the process (or thread) exists, is no zombie, and not on its way there: it soon has no memory, no
    namespaces, and at last no files, while the kernel may still have a lot to do for its end.
    """
    try:
        fd = os.open(path(pid, "stat", tid), os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc_root())
        try:
            data = os.read(fd, 4096)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise
    words = data[data.rfind(b")") + 2 :].split(None, _FLAGS + 1)
    return len(words) > _FLAGS and words[0] not in (b"Z", b"X", b"x") and not int(words[_FLAGS]) & PF_EXITING


class Translated:
    """Turns the OSError of a block into TargetDied or TargetError about *name* of the process."""

    def __init__(self, pid: int, name: str, tid: int | None) -> None:
        self.pid, self.name, self.tid = pid, name, tid

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, OSError):
            return
        shown = f"/proc/{path(self.pid, self.name, self.tid)}"
        if error.errno in _GONE:
            # Asked after the failure, so the answer "alive" can only be wrong for a process that has ended since,
            # and the next look at it will say so. Every process has these two; if somebody is alive now who did not
            # have them, he has just been given the number of one that has ended.
            if self.name in ("stat", "status") or not alive(self.pid, self.tid):
                raise TargetDied(self.pid if self.tid is None else self.tid) from None
            raise NoSuchFile(self.pid, shown) from None
        if error.errno in _SAID_OF_THE_DYING and not alive(self.pid, self.tid):
            raise TargetDied(self.pid if self.tid is None else self.tid) from None
        if error.errno in _FORBIDDEN:
            raise not_permitted(self.pid, f"look at {shown}", proc_root()) from None


def read(pid: int, name: str, tid: int | None = None, *, missing: bytes | None = None) -> bytes:
    """The content of /proc/PID/*name*, or of /proc/PID/task/TID/*name*.

    *missing* is the answer when the process lives but has no such file (the kernel is too old or was built
    without it); by default that is an error.
    """
    # What goes well, as nearly always, costs no more than the calls: a frozen tree waits for hundreds of these.
    try:
        return _read(path(pid, name, tid))
    except OSError:
        try:
            with Translated(pid, name, tid):
                raise
        except NoSuchFile:
            if missing is None:
                raise
            return missing


def _read(relative: str) -> bytes:
    fd = os.open(relative, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc_root())
    try:
        content = os.read(fd, _PIECE)
        # Short reads are no sign of the end: only an empty one is.
        if not content or not (piece := os.read(fd, _PIECE)):
            return content
        pieces = [content]
        while piece:
            pieces.append(piece)
            piece = os.read(fd, _PIECE)
        return b"".join(pieces)
    finally:
        os.close(fd)


def read_link(pid: int, name: str, tid: int | None = None) -> bytes:
    """Where the link /proc/PID/*name* (``exe``, ``cwd``, ``fd/7``…) points, exactly as the kernel says it."""
    try:
        return os.readlink(path(pid, name, tid).encode(), dir_fd=proc_root())
    except OSError:
        with Translated(pid, name, tid):
            raise


def stat_of(pid: int, name: str, tid: int | None = None) -> os.stat_result:
    """stat(2) of what the link /proc/PID/*name* leads to, or of the file itself if it is no link."""
    with Translated(pid, name, tid):
        return os.stat(path(pid, name, tid), dir_fd=proc_root())


def open_file(pid: int, name: str, flags: int, tid: int | None = None) -> int:
    """A descriptor of what /proc/PID/*name* leads to, close-on-exec: ``mem``, ``root``, ``map_files/…``."""
    with Translated(pid, name, tid):
        return os.open(path(pid, name, tid), flags | os.O_CLOEXEC, dir_fd=proc_root())


def entries(pid: int, name: str, tid: int | None = None) -> list[str]:
    """The names in the folder /proc/PID/*name* (``fd``, ``task``, ``map_files``), in no order."""
    fd = open_file(pid, name, os.O_RDONLY | os.O_DIRECTORY, tid)
    try:
        with Translated(pid, name, tid):
            return os.listdir(fd)
    finally:
        os.close(fd)
