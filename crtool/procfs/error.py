"""What can go wrong with a file of /proc, apart from the end of its process (:class:`~crtool.errors.TargetDied`)."""

from __future__ import annotations

from crtool.errors import CrtoolError, TargetError

__all__ = ["NoSuchFile", "ProcfsError"]

_SHOWN = 120  # bytes of the offending value that a one-line message can bear


class ProcfsError(CrtoolError):
    """a file of /proc does not look as proc(5) says

    *file* is the name below /proc/PID, *value* the line or word that was not understood.
    """

    status = 125

    def __init__(self, file: str, value: bytes) -> None:
        shown = repr(value if len(value) <= _SHOWN else value[:_SHOWN] + b"...")[1:]
        super().__init__(
            f"/proc/PID/{file}: cannot understand {shown}",
            "this kernel writes a format that crtool does not know: please report the line",
        )
        self.file = file
        self.value = value


class NoSuchFile(TargetError):
    """the process lives, but has no such file: an older kernel, another configuration, a descriptor that is closed"""

    def __init__(self, pid: int, file: str) -> None:
        super().__init__(f"PID {pid}: there is no {file}")
        self.pid = pid
        self.file = file
