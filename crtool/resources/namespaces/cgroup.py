"""Control group namespaces (cgroup_namespaces(7)).

The kernel keeps in each which group of every hierarchy is its root: that in which its maker was.

We read /proc/PID/cgroup of its members from within, where paths begin at these roots.

We rebuild it by unshare(2): a restart does not put processes into control groups, so the one in which crtool is becomes
the root.

Refused: one of whose members somebody is in another group than its root, which would then be lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from crtool.abi.clone import CLONE_NEWCGROUP
from crtool.kernel.within import within
from crtool.procfs import cgroup as cgroup_file
from crtool.record import dataclass

__all__ = ["FLAG", "CgroupNamespaceRecord", "obstacle"]

FLAG = CLONE_NEWCGROUP


@dataclass(frozen=True)
class CgroupNamespaceRecord:
    """A control group namespace whose members are in the groups that are its roots."""

    members: tuple[int, ...]  # PIDs of the processes that live in it, as of ProcessRecord.pids[0]


def obstacle(doors: Iterable[int]) -> str | None:
    """Why the namespace in which the threads *doors* live cannot be saved, if so."""
    doors = tuple(doors)
    for door, text in zip(doors, within(doors[0], FLAG, lambda: _groups(doors)).split(b"\0"), strict=True):
        for group in cgroup_file.parse(text):
            if group.path != b"/":
                shown = group.path.decode(errors="replace")
                return f"has PID {door} in the control group {shown} of a namespace of its own, which is not put back"
    return None


def _groups(doors: tuple[int, ...]) -> bytes:
    return b"\0".join(Path(f"/proc/{door}/cgroup").read_bytes() for door in doors)
