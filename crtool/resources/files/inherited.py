"""Standard streams that lead out of the tree, and become those of the restart.

The kernel keeps a pipe, or the two stream sockets of a unix connection, between the program and somebody who is not in
the image: the shell's next command, a logger (systemd-journald), a container's runtime.

We read only which of the three standard streams it was (the number of its descriptor), if the user has allowed it.

We put crtool's own stream of that number in its place, as a shell hands its own on; /dev/null where crtool has none.
The open file description is shared with crtool, so its flags stay as they are.

Lost: what was unread in the old pipe or socket; it belongs to those outside.
"""

from __future__ import annotations

import errno
import os

from crtool.record import dataclass

__all__ = ["InheritedRecord", "restore"]

@dataclass(frozen=True)
class InheritedRecord:
    """A standard stream of whoever restarts the image."""

    stream: int  # 0, 1 or 2


def restore(record: InheritedRecord) -> int:
    """A descriptor for crtool's own stream."""
    try:
        return os.dup(record.stream)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
