"""/proc/PID/fd: the open descriptors of a process, and what the kernel calls the files behind them.

Spec: proc_pid_fd(5). The text of a link is a path as crtool sees it, with `` (deleted)`` behind it if the file
has no name any more, or ``pipe:[31922]``, ``socket:[32066]``, ``anon_inode:[eventfd]``, ``/memfd:NAME (deleted)``… It
says what is behind a descriptor, never *which* file: compare st_dev and st_ino, or descriptions by kcmp(2).
"""

from __future__ import annotations

from crtool.procfs.error import NoSuchFile
from crtool.procfs.read import entries, read_link
from crtool.record import dataclass

__all__ = ["Descriptor", "numbers", "of"]

_DELETED = b" (deleted)"
_ANON_INODE = b"anon_inode:"


@dataclass(frozen=True)
class Descriptor:
    """One open descriptor."""

    number: int
    link: bytes  # text of the link, unescaped by nature

    @property
    def path(self) -> bytes:
        """The text without the mark of a deleted file."""
        return self.link[: -len(_DELETED)] if self.deleted else self.link

    @property
    def deleted(self) -> bool:
        """Whether the text ends in the mark; so may the name of a living file: st_nlink tells."""
        return self.link.endswith(_DELETED)

    @property
    def anonymous(self) -> bytes:
        """``eventfd``, ``eventpoll``, ``inotify``… for an anonymous inode, else empty."""
        if not self.link.startswith(_ANON_INODE):
            return b""
        return self.link[len(_ANON_INODE) :].strip(b"[]")


def numbers(pid: int, tid: int | None = None) -> tuple[int, ...]:
    """The numbers of the open descriptors, ascending."""
    return tuple(sorted(int(name) for name in entries(pid, "fd", tid)))


def of(pid: int, tid: int | None = None) -> tuple[Descriptor, ...]:
    """The open descriptors by number. One that is closed while they are listed is left out."""
    found = []
    for number in numbers(pid, tid):
        try:
            found.append(Descriptor(number, read_link(pid, f"fd/{number}", tid)))
        except NoSuchFile:
            continue
    return tuple(found)
