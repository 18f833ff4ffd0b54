"""/proc/PID/ns: the namespaces of a task.

Spec: namespaces(7), "The /proc/pid/ns/ directory". Two tasks are in the same namespace exactly if the links lead to the
same inode of nsfs; inode numbers are unique on one machine in one boot.
"""

from __future__ import annotations

from functools import lru_cache

from crtool.procfs.error import NoSuchFile, ProcfsError
from crtool.procfs.read import read_link
from crtool.record import dataclass

__all__ = ["Namespaces", "inode", "of", "parse_link", "pid_namespace", "pid_namespaces"]


@dataclass(frozen=True)
class Namespaces:
    """Inode numbers. None: the kernel has no such namespaces."""

    cgroup: int | None
    ipc: int | None
    mnt: int | None
    net: int | None
    pid: int | None  # that of the task itself, for ever
    pid_for_children: int | None  # None also after unshare(CLONE_NEWPID), until the first child is born
    time: int | None
    time_for_children: int | None
    user: int | None
    uts: int | None

    def differing(self, other: Namespaces) -> tuple[str, ...]:
        """The names of the namespaces that are not the same."""
        return tuple(name for name in self.__match_args__ if getattr(self, name) != getattr(other, name))


@lru_cache  # most of what lives is in the same ones
def parse_link(text: bytes) -> tuple[str, int]:
    """Kind and inode number of a link text like ``net:[4026531833]``."""
    kind, colon, rest = text.partition(b":[")
    number = rest[:-1]
    if not (colon and rest.endswith(b"]") and number.isdigit()):
        raise ProcfsError("ns", text)
    return kind.decode("latin-1"), int(number)


def of(pid: int, tid: int | None = None) -> Namespaces:
    """The namespaces of the process, or of one of its threads; TargetDied for a zombie, which has left most of them."""
    return Namespaces(**{name: _inode(pid, name, tid) for name in Namespaces.__match_args__})


def inode(pid: int, kind: str) -> int | None:
    """The inode number of the namespace of one *kind*, as the fields of :class:`Namespaces` are called."""
    return _inode(pid, kind, None)


def pid_namespace(pid: int) -> int:
    """The inode number of the PID namespace of any process: a zombie has not left that one."""
    return parse_link(read_link(pid, "ns/pid"))[1]


def pid_namespaces(pid: int, tid: int) -> tuple[int | None, int | None]:
    """The inode numbers of the PID namespace of a thread, and of that of its children."""
    return _inode(pid, "pid", tid), _inode(pid, "pid_for_children", tid)


def _inode(pid: int, name: str, tid: int | None) -> int | None:
    # The text rather than stat(2): one system call either way, and the text says what it leads to.
    try:
        return parse_link(read_link(pid, f"ns/{name}", tid))[1]
    except NoSuchFile:
        return None
