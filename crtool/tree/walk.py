"""The living tree: a process and all its descendants, by parent PID.

The only place that uses psutil, which is imported when it is needed: that takes as long as all the rest of a walk.
/proc/PID/task/TID/children, which would be faster, does not exist on every kernel.
"""

from __future__ import annotations

import os

from crtool.errors import TargetDied, TargetError
from crtool.procfs.read import read

__all__ = ["Walk", "bearer", "name_of"]


class Walk:
    """Lists the same living tree again and again, for somebody who makes it stand still meanwhile.

    Only what was not there the last time is looked at: on a machine of thousands of processes everything else would
    take most of the time for which the tree stands still. Nobody becomes a descendant later on: a process whose parent
    ends is given to an ancestor. Whose parent could not be seen, because it ended just then, is looked at again. A
    number that was given to somebody else shows by another inode.
    """

    def __init__(self) -> None:
        self._parents: dict[tuple[int, int], int] = {}  # (PID, inode of its folder in /proc) → PID of its parent

    def __call__(self, pid: int) -> list[int]:
        """*pid* first, then all its descendants, parents before their children; zombies are among them."""
        with os.scandir("/proc") as entries:
            found = [(int(entry.name), entry.inode()) for entry in entries if entry.name.isdigit()]
        parents = {}
        for key in found:
            parent = self._parents.get(key, -1)
            parent = _parent(key[0]) if parent < 0 else parent
            if parent >= 0:
                parents[key] = parent
        numbers = {0} | {number for number, _ in parents}
        self._parents = {key: parent for key, parent in parents.items() if parent in numbers}
        if pid not in numbers:
            raise TargetError(f"there is no process with PID {pid}", "look for it with ps")
        children: dict[int, list[int]] = {}
        for (number, _), parent in parents.items():
            children.setdefault(parent, []).append(number)
        line = [pid]
        for number in line:
            line += children.get(number, ())
        return line


def _parent(pid: int) -> int:
    """The PID of the parent, 0 if that is outside of this PID namespace; −1 of a process that has ended."""
    try:
        return int(read(pid, "stat").rpartition(b")")[2].split(None, 2)[1])
    except TargetDied:
        return -1


def bearer(number: int) -> str:
    """Who bears *number*, as PID, TID, or number of a group or session, in words."""
    import psutil  # noqa: PLC0415

    try:
        process = psutil.Process(number)
        if process.status() == psutil.STATUS_ZOMBIE:
            parent = process.ppid()
            return f"it is a zombie waiting for its parent {parent}, {name_of(parent)}"
        return f"it is now {process.name()}"
    except psutil.Error:
        pass
    for process in psutil.process_iter():
        try:
            if any(thread.id == number for thread in process.threads()):
                return f"it is a thread of PID {process.pid}, {process.name()}"
        except psutil.Error:
            continue
    return "it is the number of a process group or session"


def name_of(pid: int) -> str:
    """The name of a process, for messages; "?" if it is gone."""
    import psutil  # noqa: PLC0415

    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return "?"
