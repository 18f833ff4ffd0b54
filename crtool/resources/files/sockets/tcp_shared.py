"""TCP connections that a process outside the tree has open too, before a tree is frozen.

The kernel keeps one connection, however many processes have it open. If somebody outside goes on with it while the
tree is away, the numbers in the image are wrong as soon as a byte has been sent.

We look through /proc/PID/fd of everybody, but only if the tree has connections.

Nothing is rebuilt here: such a connection is an obstacle, unless --tcp=close leaves it behind.

Not seen: one that is only in flight within a unix socket, or held by somebody at whom crtool may not look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from crtool.errors import Obstacle
from crtool.kernel import tcp
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets.tcp import CONNECTED, recognise
from crtool.resources.files.sockets.unix_outside import holders

__all__ = ["SharedConnections"]


class SharedConnections:
    """The TCP connections that a living tree has open."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[int, int]] = {}  # inode → process, descriptor

    def add(self, file: OpenFile) -> None:
        """Takes note of one; anything but a TCP connection is passed over."""
        if recognise(file) and tcp.info(file.local).state in CONNECTED:
            self._places.setdefault(file.stat.st_ino, (file.pid, file.fd))

    def obstacles(self, tree: Collection[int], name_of: Callable[[int], str]) -> Iterator[Obstacle]:
        """One for each that somebody outside *tree* has open."""
        if not self._places:
            return
        for inode, other in holders(self._places, tree).items():
            pid, fd = self._places[inode]
            yield Obstacle(
                pid,
                f"fd {fd}",
                f"a TCP connection that PID {other} ({name_of(other)}), which is not in the tree, has open too",
                "let one of them close it, checkpoint a parent of both, or choose --tcp=close",
            )
