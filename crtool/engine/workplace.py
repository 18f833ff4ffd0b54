"""Who is at work on the images of a job: one run at a time, and no second one while its command still lives.

A hidden file beside the images is locked (flock(2)) by the run and says which process it takes care of. If the run is
killed, the lock goes with it, and its command lives on: the next run sees it by its PID, its start time and the boot.
The file is made by the caller, for himself: one that is a link or no file, or that others own, have linked, or may
write is none of crtool's. It is not opened for writing, and nobody waits for its lock.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from crtool.errors import EnvironmentDiffers, TargetDied
from crtool.image.place import folder_at
from crtool.image.trouble import shown
from crtool.kernel.interruption import whole
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read

__all__ = ["Workplace"]


class Workplace:
    """The lock on the images at *place*; as a context manager it is held for the block, and its file goes then."""

    def __init__(self, path: str, place: str) -> None:
        self._path = path
        self._place = place
        self._fd = self._folder = -1
        self._base = os.path.basename(path)

    def __enter__(self) -> Workplace:
        try:
            with whole:
                self._folder = folder_at(os.fsencode(os.path.dirname(self._path)))
            self._fd = self._locked()
        except OSError as error:
            self._close()
            folder = os.path.dirname(self._path) or "."
            raise EnvironmentDiffers(
                f"{folder}: no images can be made there: {error.strerror}", "make that folder, or see --image"
            ) from None
        except BaseException:
            self._close()
            raise
        content = os.pread(self._fd, 256, 0).decode(errors="replace").split()
        if len(content) == 3 and content == _identity(content[0]):
            self._close()
            raise EnvironmentDiffers(
                f"{self._place}: the command of an earlier run still runs as PID {content[0]}",
                f"wait until it has ended, or end it: kill {content[0]}",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # While the lock is held: nobody can have opened a new file of that name and locked this one.
        with suppress(OSError):
            if self._has_its_name(self._fd):
                os.unlink(self._base, dir_fd=self._folder)
        self._close()

    def _close(self) -> None:
        for fd in (self._fd, self._folder):
            if fd >= 0:
                os.close(fd)
        self._fd = self._folder = -1

    def occupy(self, pid: int) -> None:
        """Writes down that the run takes care of process *pid*."""
        line = " ".join(_identity(str(pid)) or ())
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, line.encode(), 0)

    def _locked(self) -> int:
        while True:
            fd = self._opened()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Another run may have removed the name between the two calls.
                if self._has_its_name(fd):
                    return fd
            except BlockingIOError:
                os.close(fd)
                raise EnvironmentDiffers(
                    f"{self._place}: another crtool run is at work there",
                    "wait until it has ended, or choose another place",
                ) from None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _has_its_name(self, fd: int) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(fd), os.lstat(self._base, dir_fd=self._folder))
        return False

    def _opened(self) -> int:
        """The file, made if there is none. EnvironmentDiffers if it is not the caller's alone."""
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            with suppress(FileExistsError):
                return os.open(self._base, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._folder)
            try:
                held = os.open(self._base, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
            except FileNotFoundError:
                continue  # another run has ended just now
            try:
                self._judge(os.fstat(held))
                return os.open(f"/proc/self/fd/{held}", os.O_RDWR | os.O_CLOEXEC)
            finally:
                os.close(held)

    def _judge(self, status: os.stat_result) -> None:
        """Refuses what somebody else may lock for ever, or has put there to have it written over."""
        if not stat.S_ISREG(status.st_mode):
            why = "is no file"
        elif status.st_uid != os.geteuid():
            why = f"belongs to user {status.st_uid}"
        elif status.st_nlink > 1:
            why = "has another name"
        elif status.st_mode & 0o077:
            why = "may be opened by others"
        else:
            return
        raise EnvironmentDiffers(
            f"{shown(self._path)}: the lock of the images there {why}", "remove it, or choose another place: --image"
        )


def _identity(pid: str) -> list[str] | None:
    """What tells a process from all others: its PID, its start time, and the boot; None if it does not live."""
    try:
        found = stat_file.parse(read(int(pid), "stat"))
    except (TargetDied, ValueError):
        return None
    if found.state in ("Z", "X"):
        return None
    return [pid, str(found.starttime), Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()]
