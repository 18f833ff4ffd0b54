"""The living tree: a process and all its descendants, by parent PID.

The only place that uses psutil. /proc/PID/task/TID/children, which would be faster, does not exist on every kernel.
"""

from __future__ import annotations

import psutil

from crtool.errors import TargetError

__all__ = ["bearer", "descendants", "name_of"]


def descendants(pid: int) -> list[int]:
    """*pid* first, then all its descendants, parents before their children; zombies are among them."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        raise TargetError(f"there is no process with PID {pid}", "look for it with ps") from None


def bearer(number: int) -> str:
    """Who bears *number*, as PID, TID, or number of a group or session, in words."""
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
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return "?"
