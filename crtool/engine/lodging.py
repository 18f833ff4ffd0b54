"""The namespaces that a tree lives in without having made them: those of its root.

An image does not have them. Its numbers are those of the root's PID namespace, and a restart happens wherever these
numbers can be had (:mod:`crtool.engine.where`). So a tree that was restarted in namespaces of its own, or that was
started in some by ``unshare`` or ``crtool eclone``, can be saved from outside of them.

That is sound if nothing else of them shows in the tree, which is looked at here:

- PID: the root is not the first process of it, which belongs to the tree; those that are nested in it come along;
- mount: nothing but /proc, and what lies below, is mounted in the place of what crtool has there (a further mount is a
  warning, and an open file on it that crtool does not find by its path is refused when its turn comes);
- user: ids are the same in there, and nobody has a capability, which out here would be power over the machine;
- IPC: all that is in it comes along, and a restart makes one anew;
- time: the clocks are in the image.
"""

from __future__ import annotations

import os

from crtool.errors import Obstacle
from crtool.procfs import idmap, mountinfo
from crtool.procfs import ns as ns_file
from crtool.procfs.ns import Namespaces
from crtool.procfs.read import read
from crtool.procfs.status import Status
from crtool.record import dataclass
from crtool.resources.namespaces import own_mounts
from crtool.resources.namespaces.mounts import shown_by

__all__ = ["Base", "base_of"]

_COME_ALONG = ("pid", "pid_for_children", "uts", "ipc", "net", "cgroup", "mnt")  # as far as possible
_PER_KIND = {
    "time_for_children": "has children in another time namespace than its own",
}


@dataclass(frozen=True)
class Base:
    """The namespaces of a root."""

    namespaces: Namespaces  # what all processes of the tree are to have in common
    depth: int  # how many levels of PID namespaces crtool's is above the base
    own_users: bool  # it has another user namespace than crtool
    own_ipc: bool  # … and another IPC namespace
    warnings: tuple[str, ...]  # about what of it does not come along

    def obstacles(self, pid: int, door: int, *, privileged: bool) -> list[Obstacle]:
        """What about the namespaces of process *pid*, with the living thread *door*, stands in the way.

        *privileged*: one of its threads has a capability.
        """
        found = []
        for kind in ns_file.of(door).differing(self.namespaces):
            if kind in _COME_ALONG:
                continue
            why = _PER_KIND.get(kind, f"lives in another {kind} namespace than the root of the tree, or crtool")
            found.append(Obstacle(pid, "", why, "run crtool inside that namespace"))
        if self.own_users and privileged:
            why = "has capabilities in a user namespace, which would be rights over the machine outside of it"
            found.append(Obstacle(pid, "", why, "run crtool inside that namespace"))
        return found


def base_of(door: int, status: Status) -> Base:
    """The base of the tree whose root has the living thread *door*, and *status*.

    Kinds of namespaces that cannot be left out are crtool's in it, so that the root differs.
    """
    its, own = ns_file.of(door), ns_file.of(os.getpid())
    taken = {}
    depth = 0
    if its.pid != own.pid and status.ns_pid[-1] != 1:
        taken["pid"] = taken["pid_for_children"] = its.pid
        depth = len(status.ns_pid) - 1
    warnings = []
    if its.mnt != own.mnt:
        mounts, here = _mounts(door), _mounts(os.getpid())
        # A /proc of a PID namespace that is in the tree comes along, and with it the mount namespace.
        shown = shown_by(door, b"/proc")
        lodging = shown in (None, own.pid, taken.get("pid"))
        more = sorted(mounts.keys() - here.keys())
        alike = all(mounts[point] == here[point] for point in mounts.keys() & here.keys())
        # Mounts of its own that can be made again come along, and with them the mount namespace.
        if lodging and alike and not (more and own_mounts.obstacle(door) is None):
            taken["mnt"] = its.mnt
            warnings = [
                f"{point.decode(errors='replace')} is mounted in the mount namespace of the tree only: a restart does "
                "not mount it"
                for point in more
            ]
    if its.user != own.user and _same_ids(door):
        taken["user"] = its.user
    if its.ipc != own.ipc:
        taken["ipc"] = its.ipc
    if its.time != own.time:
        taken["time"] = taken["time_for_children"] = its.time
    fields = {**own.__dict__, **taken}
    return Base(Namespaces(**fields), depth, fields["user"] != own.user, fields["ipc"] != own.ipc, tuple(warnings))


def _mounts(pid: int) -> dict[bytes, set[tuple[int, int, bytes, bool]]]:
    """What is mounted where, apart from /proc and what is below: device, root, whether read-only."""
    found: dict[bytes, set[tuple[int, int, bytes, bool]]] = {}
    for mount in mountinfo.parse(read(pid, "mountinfo")):
        if mount.mount_point != b"/proc" and not mount.mount_point.startswith(b"/proc/"):
            what = (mount.major, mount.minor, mount.root, mount.read_only)
            found.setdefault(mount.mount_point, set()).add(what)
    return found


def _same_ids(pid: int) -> bool:
    maps = [idmap.parse(read(pid, name)) for name in ("uid_map", "gid_map")]
    return all(known.inside == known.outside for ranges in maps for known in ranges)
