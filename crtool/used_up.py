"""What a machine has no more of: memory, open files, parts of Python. That is its state, and no failure of crtool's."""

from __future__ import annotations

import errno
import os

from crtool.errors import EnvironmentDiffers, RemoteCallError

__all__ = ["used_up"]

_USED_UP = {
    errno.ENOMEM: (
        "no memory is left, or a limit on it is reached",
        "free some; limits are those of the control group, ulimit -v, and vm.max_map_count (sysctl)",
    ),
    errno.ENFILE: ("the machine has too many files open", "close some, or raise fs.file-max (sysctl)"),
    errno.EMFILE: ("too many files are open at once", "raise the limit: ulimit -n, or LimitNOFILE= of systemd"),
}


def used_up(error: BaseException) -> EnvironmentDiffers | None:
    """What *error* says of a machine that has no memory, or no open files, left to give: no failure of crtool's.

    A module that cannot be loaded says the same: libraries are mapped when they are used first.
    """
    if isinstance(error, ImportError):
        return EnvironmentDiffers(
            f"Python cannot load what crtool needs: {error}",
            "free some memory, raise limits on it (ulimit -v), or install crtool anew",
        )
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    if not isinstance(error, OSError | RemoteCallError | MemoryError) or number not in _USED_UP:
        return None
    cause, remedy = _USED_UP[number]
    about = str(error) if isinstance(error, RemoteCallError) else getattr(error, "filename", None)
    return EnvironmentDiffers(cause if about is None else f"{os.fsdecode(str(about))}: {cause}", remedy)
