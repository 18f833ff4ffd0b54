"""/proc/PID/cgroup: the control groups of a process, one per hierarchy.

Spec: cgroups(7), "/proc files"; proc_cgroup_show() in the kernel's kernel/cgroup/cgroup.c. A line reads
``5:cpuacct,cpu:/daemons``, that of the unified hierarchy (cgroup v2) ``0::/daemons``.
"""

from __future__ import annotations

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["Membership", "parse"]

_DELETED = b" (deleted)"


@dataclass(frozen=True)
class Membership:
    """The group of the process in one hierarchy."""

    hierarchy: int  # 0 for cgroup v2; else a number of this boot
    controllers: tuple[str, ...]  # of cgroup v1: "cpu", "memory"…; "name=systemd" for one without controllers
    path: bytes  # below the root of the reader's cgroup namespace; begins with "/.." outside of it
    deleted: bool  # the group has been removed (its last process is a zombie)

    @property
    def is_unified(self) -> bool:
        """Whether this is cgroup v2."""
        return self.hierarchy == 0


def parse(data: bytes) -> tuple[Membership, ...]:
    """One entry per hierarchy, in the order of the file; ProcfsError with the line that has another form."""
    return tuple(_line(line) for line in data.split(b"\n") if line)


def _line(line: bytes) -> Membership:
    try:
        # The kernel refuses newlines in the name of a group, but not colons.
        hierarchy, controllers, path = line.split(b":", 2)
        deleted = path.endswith(_DELETED)
        return Membership(
            hierarchy=int(hierarchy),
            controllers=tuple(controllers.decode("utf-8").split(",")) if controllers else (),
            path=path[: -len(_DELETED)] if deleted else path,
            deleted=deleted,
        )
    except ValueError:
        raise ProcfsError("cgroup", line) from None
