"""The living tree: a process and all its descendants, by parent PID.

The only place that uses psutil, which is imported when it is needed: that takes as long as all the rest of a walk.
/proc/PID/task/TID/children, which would be faster, does not exist on every kernel.
"""

from __future__ import annotations

import os
from typing import TypeAlias

from crtool.errors import TargetDied, TargetError
from crtool.procfs.read import read

__all__ = ["Walk", "bearer", "name_of", "port_user"]


_Entry: TypeAlias = "tuple[str, int]"
"""A name in /proc, and its inode number: that of somebody else who bears the number has another."""


class Walk:
    """Lists the same living tree again and again, for somebody who makes it stand still meanwhile.

    Only what was not there the last time is looked at: on a machine of thousands of processes everything else would
    take most of the time for which the tree stands still. Nobody becomes a descendant later on: a process whose parent
    ends is given to an ancestor. Whose parent could not be seen, because it ended just then, is looked at again. A
    number that was given to somebody else shows by another inode.
    """

    def __init__(self) -> None:
        self._parents: dict[_Entry, int] = {}  # of processes → PID of the parent
        self._others: set[_Entry] = set()  # what else there is in /proc
        self._numbers: set[int] = set()
        self._children: dict[int, list[int]] = {}

    def __call__(self, pid: int) -> list[int]:
        """*pid* first, then all its descendants, parents before their children; zombies are among them."""
        with os.scandir("/proc") as entries:
            found = {(entry.name, entry.inode()) for entry in entries}
        new, gone = found - self._parents.keys() - self._others, self._parents.keys() - found
        if new or gone:
            self._update(new, gone)
        if pid not in self._numbers:
            raise TargetError(f"there is no process with PID {pid}", "look for it with ps")
        line = [pid]
        for number in line:
            line += self._children.get(number, ())
        return line

    def _update(self, new: set[_Entry], gone: set[_Entry]) -> None:
        for key in gone:
            del self._parents[key]
        for key in new:
            if not key[0].isdigit():
                self._others.add(key)
            elif (parent := _parent(int(key[0]))) >= 0:
                self._parents[key] = parent
        self._numbers = {0, *(int(name) for name, _ in self._parents)}
        self._children = {}
        for (name, _), parent in self._parents.items():
            self._children.setdefault(parent, []).append(int(name))
        for children in self._children.values():
            children.sort()
        self._parents = {key: parent for key, parent in self._parents.items() if parent in self._numbers}


def _parent(pid: int) -> int:
    """The PID of the parent, 0 if that is outside of this PID namespace; −1 of a process that has ended."""
    try:
        return int(read(pid, "stat").rpartition(b")")[2].split(None, 2)[1])
    except TargetDied:
        return -1


def bearer(number: int) -> str:
    """Who bears *number*, as PID, TID, or number of a group or session, in words that go on "PID N …"."""
    import psutil  # noqa: PLC0415

    try:
        process = psutil.Process(number)
        if process.status() == psutil.STATUS_ZOMBIE:
            parent = process.ppid()
            return f"is a zombie waiting for its parent {parent}, {name_of(parent)}"
        if process.pid == number and number in psutil.pids():
            return f"is now {process.name()}"
    except psutil.Error:
        pass
    for process in psutil.process_iter():
        try:
            if any(thread.id == number for thread in process.threads()):
                return f"is now a thread of PID {process.pid}, {process.name()}"
            for kind, its in (("session", os.getsid(process.pid)), ("process group", os.getpgid(process.pid))):
                if its == number:
                    return f"is now the number of a {kind}, that of PID {process.pid}, {process.name()}"
        except (psutil.Error, OSError):
            continue
    return "was taken, and is free again"


def port_user(port: int) -> str:
    """Who uses a local TCP port, in words."""
    import psutil  # noqa: PLC0415

    try:
        found = [entry for entry in psutil.net_connections("tcp") if entry.laddr and entry.laddr.port == port]
    except (psutil.Error, OSError):
        return "by somebody who cannot be seen"
    found.sort(key=lambda entry: (entry.pid is None, entry.status != psutil.CONN_LISTEN))
    if not found:
        return "by somebody who cannot be seen, perhaps a socket that is only bound"
    if found[0].pid is None:
        return f"by a connection in state {found[0].status}, which no process has open"
    return f"by PID {found[0].pid}, {name_of(found[0].pid)}"


def name_of(pid: int) -> str:
    """The name of a process, for messages; "?" if it is gone."""
    import psutil  # noqa: PLC0415

    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return "?"
