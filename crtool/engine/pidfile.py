"""The file that tells the PID of a restored root."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from crtool.errors import EnvironmentDiffers

__all__ = ["pidfile_beside"]


def pidfile_beside(path: str, pid: int) -> str:
    """Writes the PID beside *path*, so that nothing but a rename is left to be done when everything runs."""
    temporary = f"{path}.{os.getpid()}"
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with open(temporary, "w", encoding="ascii") as file:
            file.write(f"{pid}\n")
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise EnvironmentDiffers(f"{path} cannot be written: {error.strerror}", "choose another --pidfile") from None
    return temporary
