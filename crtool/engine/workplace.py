"""Who is at work on the images of a job: one run at a time, and no second one while its command still lives.

A hidden file beside the images is locked (flock(2)) by the run and says which process it takes care of. If the run is
killed, the lock goes with it, and its command lives on: the next run sees it by its PID, its start time and the boot.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from crtool.errors import EnvironmentDiffers, TargetDied
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read

__all__ = ["Workplace"]


class Workplace:
    """The lock on the images at *place*; as a context manager it is held for the block, and its file goes then."""

    def __init__(self, path: str, place: str) -> None:
        self._path = path
        self._place = place
        self._fd = -1

    def __enter__(self) -> Workplace:
        try:
            self._fd = self._locked()
        except OSError as error:
            folder = os.path.dirname(self._path) or "."
            raise EnvironmentDiffers(
                f"{folder}: no images can be made there: {error.strerror}", "make that folder, or see --image"
            ) from None
        content = os.pread(self._fd, 256, 0).decode(errors="replace").split()
        if len(content) == 3 and content == _identity(content[0]):
            os.close(self._fd)
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
            os.unlink(self._path)
        os.close(self._fd)

    def occupy(self, pid: int) -> None:
        """Writes down that the run takes care of process *pid*."""
        line = " ".join(_identity(str(pid)) or ())
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, line.encode(), 0)

    def _locked(self) -> int:
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Another run may have removed the name between the two calls.
                if os.path.exists(self._path) and os.path.samestat(os.fstat(fd), os.stat(self._path)):
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


def _identity(pid: str) -> list[str] | None:
    """What tells a process from all others: its PID, its start time, and the boot; None if it does not live."""
    try:
        found = stat_file.parse(read(int(pid), "stat"))
    except (TargetDied, ValueError):
        return None
    if found.state in ("Z", "X"):
        return None
    return [pid, str(found.starttime), Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()]
