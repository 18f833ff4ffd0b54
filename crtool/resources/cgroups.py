"""Control groups of a process (cgroups(7)).

The kernel keeps a group for each hierarchy and task; the threads of a process are together, but for threaded groups.

We read /proc/PID/cgroup.

We do not rebuild it: the restored process stays in the groups of crtool, whose limits it then shares. The record says
where it came from, for the user and for the day when there is more.
"""

from __future__ import annotations

from functools import lru_cache

from crtool.procfs import cgroup as cgroup_file
from crtool.procfs.read import read
from crtool.record import dataclass

__all__ = ["CgroupRecord", "CgroupsRecord", "dump"]


@dataclass(frozen=True)
class CgroupRecord:
    """The group in one hierarchy."""

    controllers: tuple[str, ...]  # of cgroup v1, "name=systemd" among them; () for cgroup v2
    path: bytes  # below the root of crtool's cgroup namespace


@dataclass(frozen=True)
class CgroupsRecord:
    """One process."""

    groups: tuple[CgroupRecord, ...]  # in the order of /proc/PID/cgroup; () on a kernel without control groups


def dump(pid: int) -> CgroupsRecord:
    """The groups of any process."""
    return _record(read(pid, "cgroup", missing=b""))


@lru_cache  # most processes of a tree are in the same
def _record(text: bytes) -> CgroupsRecord:
    found = cgroup_file.parse(text)
    return CgroupsRecord(tuple(CgroupRecord(group.controllers, group.path) for group in found))
