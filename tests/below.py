"""Who is below this process, without asking everybody on the machine each time.

Not every kernel has /proc/PID/task/TID/children, and to ask all for their parents costs more than all else that a small
test does. But who is not below this process never will be, since only a descendant can be handed to it (a subreaper):
strangers are asked once. The inode number of /proc/PID tells whether a number still is the same process's: the kernel
gives a new one to each (get_next_ino, fs/proc/inode.c).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["below", "children", "parents"]

_strangers: dict[int, int] = {}
"""PIDs of those that are not below this process, and the inode numbers of their folders. Who is forked inherits it:
strangers to the parent are strangers to the child.
"""


def parents() -> dict[int, int]:
    """The parent of each process below this one, the dead that nobody has waited for included; parents come first."""
    with os.scandir("/proc") as entries:
        there = {int(entry.name): entry.inode() for entry in entries if entry.name.isdecimal()}
    for pid in _strangers.keys() - there.keys():
        del _strangers[pid]
    asked = {pid: _parent(pid) for pid in there if pid != os.getpid() and _strangers.get(pid) != there[pid]}
    # Whose ancestors cannot all be seen, since one of them has just ended, is neither.
    for pid in _reached(asked, {0, *_strangers} - asked.keys()):
        _strangers[pid] = there[pid]
    return _reached(asked, {os.getpid()})


def children(pid: int) -> list[int]:
    """Those of a process that is below this one, or is this one; in the order of their numbers."""
    return sorted(child for child, parent in parents().items() if parent == pid)


def below(pid: int) -> list[int]:
    """All descendants of a process that is below this one, or is this one; parents come first."""
    return [*_reached(parents(), {pid})]


def _reached(asked: Mapping[int, int], tops: set[int]) -> dict[int, int]:
    """Those of *asked*, a parent for each, who are below *tops*."""
    found: dict[int, int] = {}
    while tops := {pid for pid, parent in asked.items() if parent in tops} - found.keys():
        found |= {pid: asked[pid] for pid in tops}
    return found


def _parent(pid: int) -> int:
    """-1: it has just ended."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        return int(file.read(512).rpartition(b") ")[2].split(b" ", 2)[1])
    return -1
