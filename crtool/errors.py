"""Every exception that crtool raises on purpose.

    CrtoolError                      a message, an exit status, an optional remedy
    ├── UsageError            120    the command line asks for something that makes no sense
    ├── TargetError           121    no such process, or not permitted
    │   └── TargetDied        121    the process ended while crtool looked at it
    ├── ObstacleError         122    something in the target cannot be checkpointed
    ├── ImageError            123    the image is damaged, cut, untrusted or of an unknown version
    ├── TimeoutExpired        124    the time that the caller gave was not enough
    ├── InternalError         125    crtool's own failure
    │   └── RemoteCallError   125    a system call that a puppet made for crtool failed
    ├── EnvironmentDiffers    126    this machine is not what the image needs
    │   └── PidTaken          126    somebody has a PID of the image
    └── NotFound              127    no such image or command

The exit statuses are those of ``docs/exit-statuses.md``, which is generated from this module.
The class attribute :attr:`CrtoolError.status` is the exit status of the command line tool; the first
docstring line of each class is what the manual says about that status.
"""

from __future__ import annotations

import errno as errno_module
import os
from collections.abc import Sequence

from crtool.record import dataclass

__all__ = [
    "CrtoolError",
    "EnvironmentDiffers",
    "ImageError",
    "InternalError",
    "NotFound",
    "Obstacle",
    "ObstacleError",
    "ParentMissing",
    "PidTaken",
    "RemoteCallError",
    "TargetDied",
    "TargetError",
    "TimeoutExpired",
    "UsageError",
]


class CrtoolError(Exception):
    """Base of everything crtool raises on purpose.

    *message* is one line that names the object it speaks of; *remedy* is one line that says what
    the user can do about it.
    """

    status = 125

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(CrtoolError):
    """usage"""

    status = 120


class TargetError(CrtoolError):
    """no such target, or not permitted"""

    status = 121


class TargetDied(TargetError):
    """the target ended while crtool was looking at it"""

    def __init__(self, pid: int) -> None:
        super().__init__(f"PID {pid} ended while it was being looked at")
        self.pid = pid


@dataclass(frozen=True)
class Obstacle:
    """One thing in the target that stands in the way of a checkpoint.

    *pid* is the process it was found in (as crtool sees it), *what* names the object within the
    process ("fd 7", "mapping 7f00…", ""), *cause* and *remedy* are half sentences for the user.
    """

    pid: int
    what: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        where = f"PID {self.pid} {self.what}".rstrip()
        return f"{where}: {self.cause}"


class ObstacleError(CrtoolError):
    """something in the target cannot be checkpointed (the target is unharmed)"""

    status = 122

    def __init__(self, obstacles: Sequence[Obstacle]) -> None:
        first = obstacles[0]
        super().__init__(str(first), first.remedy)
        self.obstacles = tuple(obstacles)


class ImageError(CrtoolError):
    """image corrupt, truncated, untrusted or of an unknown version"""

    status = 123


class ParentMissing(ImageError):
    """an image builds on one that is not there, and may be sound itself"""


class TimeoutExpired(CrtoolError):
    """timed out"""

    status = 124


class InternalError(CrtoolError):
    """crtool's own failure"""

    status = 125


class RemoteCallError(InternalError):
    """a system call that a puppet made for crtool failed"""

    def __init__(self, call: str, args: Sequence[int], errno: int, pid: int) -> None:
        shown = ", ".join(hex(arg & 0xFFFFFFFFFFFFFFFF) if abs(arg) > 9999 else str(arg) for arg in args)
        name = errno_module.errorcode.get(errno, str(errno))
        super().__init__(f"PID {pid}: {call}({shown}) failed: {os.strerror(errno)} ({name})")
        self.call = call
        self.call_args = tuple(args)
        self.errno = errno
        self.pid = pid


class EnvironmentDiffers(CrtoolError):
    """this environment differs: CPU, file, address, PID taken"""

    status = 126


class PidTaken(EnvironmentDiffers):
    """this environment differs: somebody has a PID of the image"""

    def __init__(self, pid: int, bearer: str) -> None:
        super().__init__(
            f"PID {pid} {bearer}", "try again when it is free, or restart without --no-pidns: in a new PID namespace"
        )
        self.pid = pid
        self.bearer = bearer


class NotFound(CrtoolError):
    """image or command not found"""

    status = 127
